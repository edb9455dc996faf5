import { describe, expect, test } from 'vitest';
import { allocate } from '../../src/allocation/allocate.js';
import type { AllocationTensor } from '../../src/allocation/operating-points.js';

/** A matrix with singular values 1/k. */
function tensor(rows: number, columns: number, scale = 1): AllocationTensor {
  const singularValues = Float64Array.from({ length: Math.min(rows, columns) }, (_, k) => scale / (k + 1));
  const energy = singularValues.reduce((sum, sigma) => sum + sigma * sigma, 0);
  return { rows, columns, energy, singularValues, exactByteLength: rows * columns * 2 };
}

const BITS = [...Array<number>(2).fill(8), ...Array<number>(32).fill(3), 2];
const OPTIONS = { bits: BITS, prior: 0 };

describe('bands', () => {
  test('every matrix gets the same bytes per weight, whatever its energy', () => {
    const tensors = [tensor(512, 512), tensor(1024, 512, 100), tensor(512, 2048, 0.01)];
    const weights = tensors.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
    const byteLength = Math.floor(weights / 8); // 1 bit per weight
    const { points, bits } = allocate(
      tensors,
      { kind: 'size', byteLength },
      { strategy: 'bands', ...OPTIONS },
    );
    expect(bits).toBe(BITS);
    expect(points.reduce((sum, point) => sum + point.byteLength, 0)).toBeLessThanOrEqual(byteLength);
    for (const [i, point] of points.entries()) {
      const { rows, columns } = tensors[i]!;
      expect((8 * point.byteLength) / (rows * columns)).toBeCloseTo(1, 1);
    }
  });

  test('at 1 bit per weight a 4096 × 4096 matrix gets the 1,002 components of the authors', () => {
    const square = tensor(4096, 4096);
    const target = { kind: 'size', byteLength: (4096 * 4096) / 8 + 1002 * 5 } as const; // 5: our component header
    const { points } = allocate([square], target, { strategy: 'bands', ...OPTIONS });
    expect(points[0]!.choice).toMatchObject({ kind: 'low-rank', rank: 2 + 32 + 968 });
  });

  test('an error is reached with the least common share', () => {
    const tensors = [tensor(300, 300), tensor(300, 900)];
    const energy = tensors.reduce((sum, { energy }) => sum + energy, 0);
    const { points } = allocate(
      tensors,
      { kind: 'error', squaredError: energy * 0.2 },
      { strategy: 'bands', ...OPTIONS },
    );
    const error = points.reduce((sum, point) => sum + point.squaredError, 0);
    expect(error).toBeLessThanOrEqual(energy * 0.2);
    expect(error).toBeGreaterThan(energy * 0.18);
  });

  test('a fixed rank is the rank of every matrix', () => {
    const { points } = allocate(
      [tensor(300, 300), tensor(300, 900)],
      { kind: 'fixed', value: 40 },
      { strategy: 'bands', ...OPTIONS },
    );
    expect(points.map(({ choice }) => choice)).toMatchObject([{ rank: 40 }, { rank: 40 }]);
  });
});

describe('what a tensor may be coded as', () => {
  const wide = { strategy: 'uniform', bits: 16, prior: 0 } as const;

  test('low rank only: exact coding is not taken even where it is smaller', () => {
    const cheap = { ...tensor(40, 40), exactByteLength: 100 };
    const target = { kind: 'fixed', value: 20 } as const;
    expect(allocate([cheap], target, wide).points[0]!.choice).toEqual({ kind: 'exact' });
    const bound = allocate([{ ...cheap, lowRankOnly: true }], target, wide);
    expect(bound.points[0]!.choice).toEqual({ kind: 'low-rank', rank: 20, bits: 16 });
    const greedy = allocate(
      [{ ...cheap, lowRankOnly: true }],
      { kind: 'error', squaredError: 0 },
      { ...wide, strategy: 'layerwise' },
    );
    expect(greedy.points[0]!.choice.kind).toBe('low-rank');
  });

  test('no rank over maxRank', () => {
    const capped = { ...tensor(400, 400), maxRank: 7 };
    for (const strategy of ['uniform', 'layerwise', 'energy'] as const) {
      const { points } = allocate(
        [capped],
        { kind: 'size', byteLength: 30_000 },
        { strategy, bits: 8, prior: 0 },
      );
      expect(points[0]!.choice).toMatchObject({ kind: 'low-rank', rank: 7 });
    }
  });
});

test('signs: one bit a weight for every matrix, whatever the target', () => {
  const tensors = [tensor(512, 512), tensor(512, 1024)];
  const { points } = allocate(tensors, { kind: 'fixed', value: 0 }, { strategy: 'signs', bits: 1, prior: 0 });
  expect(points.map((point) => point.byteLength)).toEqual([32_768, 65_536]);
  expect(points.map((point) => point.choice.kind)).toEqual(['sign', 'sign']);
});

/** What each allocation strategy promises, held against enumeration on small cases. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AllocateOptions, allocate } from '../../src/allocation/allocate.js';
import {
  type AllocationTarget,
  meets,
  totalByteLength,
  totalSquaredError,
} from '../../src/allocation/allocation.js';
import { energy } from '../../src/allocation/energy.js';
import { fillRemainder } from '../../src/allocation/fill-remainder.js';
import { layerwise } from '../../src/allocation/layerwise.js';
import {
  type AllocationTensor,
  lowRankPoints,
  type OperatingPoint,
  otherPoints,
} from '../../src/allocation/operating-points.js';
import { uniform } from '../../src/allocation/uniform.js';
import { anyTensors, tensorOf } from './tensors.js';

const options = (bits: number, prior = 0) => ({ bits, prior });
const allPoints = (tensor: AllocationTensor, bits: number) => [
  ...lowRankPoints(tensor, bits),
  ...otherPoints(tensor),
];
const rankOf = ({ choice }: OperatingPoint) =>
  choice.kind === 'low-rank' ? choice.rank : choice.kind === 'none' ? 0 : Number.NaN;

/** Every combination of one point a tensor. */
function* combinations(lists: readonly (readonly OperatingPoint[])[]): Generator<OperatingPoint[]> {
  const [first, ...rest] = lists;
  if (first === undefined) {
    yield [];
    return;
  }
  for (const tail of combinations(rest)) for (const point of first) yield [point, ...tail];
}

const anyBits = fc.constantFrom(2, 4, 8, 12);
/** A share of what exact coding of everything takes. */
const anyShare = fc.double({ min: 0, max: 1.1, noNaN: true });
const sizeTarget = (tensors: readonly AllocationTensor[], share: number): AllocationTarget => ({
  kind: 'size',
  byteLength: Math.floor(share * tensors.reduce((sum, tensor) => sum + tensor.exactByteLength, 0)),
});
const errorTarget = (tensors: readonly AllocationTensor[], share: number): AllocationTarget => ({
  kind: 'error',
  squaredError: share * tensors.reduce((sum, tensor) => sum + tensor.energy, 0),
});

describe('layerwise', () => {
  it('has at most the error of every allocation that is one step smaller', () => {
    // The greedy walk is optimal at every size it stops at; between two of them it may miss one step.
    fc.assert(
      fc.property(anyTensors, anyBits, anyShare, (tensors, bits, share) => {
        const target = sizeTarget(tensors, share);
        if (target.kind !== 'size') return;
        const chosen = layerwise(tensors, target, options(bits));
        const lists = tensors.map((tensor) => allPoints(tensor, bits));
        const largestStep = Math.max(...lists.flat().map(({ byteLength }) => byteLength));
        for (const other of combinations(lists)) {
          if (totalByteLength(other) > target.byteLength - largestStep) continue;
          const bound = totalSquaredError(other);
          expect(totalSquaredError(chosen)).toBeLessThanOrEqual(bound * (1 + 1e-9) + 1e-9);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('is optimal where steps are alike: ranks go to the largest σ² of all tensors together', () => {
    const tensors = [tensorOf(16, 16, [9, 5, 1]), tensorOf(16, 16, [8, 7, 6]), tensorOf(16, 16, [2])];
    const component = lowRankPoints(tensors[0]!, 8)[1]!.byteLength;
    for (const [count, ranks] of [
      [1, [1, 0, 0]],
      [3, [1, 2, 0]],
      [5, [2, 3, 0]],
      [6, [2, 3, 1]],
    ] as const) {
      const byteLength = count * component;
      const points = layerwise(tensors, { kind: 'size', byteLength }, options(8));
      expect(points.map(rankOf)).toEqual(ranks);
    }
  });

  it('weighs a component by its bytes: at equal σ the smaller matrix goes first', () => {
    const tensors = [tensorOf(400, 400, [5]), tensorOf(390, 390, [5])];
    const byteLength = lowRankPoints(tensors[0]!, 8)[1]!.byteLength;
    expect(layerwise(tensors, { kind: 'size', byteLength }, options(8)).map(rankOf)).toEqual([0, 1]);
  });

  it('codes a flat spectrum densely, and a spiked one by rank', () => {
    const flat = tensorOf(32, 32, new Array(32).fill(1));
    const spiked = tensorOf(32, 32, [100, ...new Array(31).fill(0.01)]);
    const points = layerwise([flat, spiked], { kind: 'size', byteLength: 700 }, options(8));
    expect(points.map(({ choice }) => choice.kind)).toEqual(['dense', 'low-rank']);
  });

  it('a prior of p gives every tensor at least p of its uniform rank', () => {
    const tensors = [tensorOf(99, 99, [90, 80, 70, 60]), tensorOf(99, 99, [0.4, 0.3, 0.2, 0.1])];
    const byteLength = 4 * lowRankPoints(tensors[0]!, 8)[1]!.byteLength;
    const ranks = (prior: number) =>
      layerwise(tensors, { kind: 'size', byteLength }, options(8, prior)).map(rankOf);
    expect(ranks(0)).toEqual([4, 0]);
    expect(ranks(0.5)).toEqual([3, 1]);
    expect(ranks(1)).toEqual([2, 2]);
  });

  it('has no parameter of its own', () => {
    expect(() => layerwise([], { kind: 'fixed', value: 1 }, options(8))).toThrow(RangeError);
  });
});

describe('uniform', () => {
  it('gives every matrix the same rank, capped where a matrix has no more', () => {
    const tensors = [
      tensorOf(200, 200, [5, 4, 3]),
      tensorOf(100, 200, [9]),
      tensorOf(200, 200, [1, 1, 1, 1]),
    ];
    expect(uniform(tensors, { kind: 'fixed', value: 3 }, options(8)).map(rankOf)).toEqual([3, 1, 3]);
  });

  it('codes exactly where a rank would cost as much', () => {
    const [point] = uniform([tensorOf(4, 4, [3, 2, 1])], { kind: 'fixed', value: 3 }, options(8));
    expect(point!.choice.kind).toBe('exact'); // 3 · (5 + 4 + 4) bytes against 32
  });

  it('with a size, ranks differ by at most one', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 20_000 }), (byteLength) => {
        const tensors = [300, 200, 250].map((rows) => tensorOf(rows, 300, [6, 5, 4, 3, 2, 1]));
        const ranks = uniform(tensors, { kind: 'size', byteLength }, options(8)).map(rankOf);
        expect(Math.max(...ranks) - Math.min(...ranks)).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe('energy', () => {
  it('keeps its share of Σσ² at the smallest sufficient rank of every matrix', () => {
    fc.assert(
      fc.property(anyTensors, fc.double({ min: 0.01, max: 0.999, noNaN: true }), (tensors, share) => {
        const points = energy(tensors, { kind: 'fixed', value: share }, options(8));
        for (const [i, point] of points.entries()) {
          if (point.choice.kind === 'exact') continue;
          const { singularValues, energy: whole } = tensors[i]!;
          const kept = (rank: number) =>
            singularValues.slice(0, rank).reduce((sum, sigma) => sum + sigma * sigma, 0) / whole;
          const rank = rankOf(point);
          expect(kept(rank)).toBeGreaterThanOrEqual(share - 1e-12);
          expect(kept(rank - 1)).toBeLessThan(share + 1e-12);
        }
      }),
    );
  });

  it('a share of 1 keeps all components, whatever rounding the sums have', () => {
    const [point] = energy([tensorOf(90, 90, [0.1, 0.2, 0.3])], { kind: 'fixed', value: 1 }, options(8));
    expect(rankOf(point!)).toBe(3);
  });
});

describe('every strategy', () => {
  const strategies = { layerwise, uniform, energy };
  for (const [name, strategy] of Object.entries(strategies)) {
    it(`${name} never exceeds a size`, () => {
      fc.assert(
        fc.property(anyTensors, anyBits, anyShare, (tensors, bits, share) => {
          const target = sizeTarget(tensors, share);
          const points = strategy(tensors, target, options(bits));
          expect(points).toHaveLength(tensors.length);
          expect(meets(points, target)).toBe(true);
        }),
      );
    });

    it(`${name} meets an error that it can reach`, () => {
      fc.assert(
        fc.property(
          anyTensors,
          anyBits,
          fc.double({ min: 0.35, max: 1, noNaN: true }),
          (tensors, bits, share) => {
            const target = errorTarget(tensors, share);
            expect(meets(strategy(tensors, target, options(bits)), target)).toBe(true);
          },
        ),
      );
    });

    it(`${name} gives equal allocations for equal input`, () => {
      fc.assert(
        fc.property(anyTensors, anyShare, (tensors, share) => {
          const target = sizeTarget(tensors, share);
          expect(strategy(tensors, target, options(6))).toEqual(strategy(tensors, target, options(6)));
        }),
        { numRuns: 20 },
      );
    });
  }

  it('nothing to allocate gives nothing', () => {
    for (const strategy of Object.values(strategies)) {
      expect(strategy([], { kind: 'size', byteLength: 100 }, options(8))).toEqual([]);
    }
  });
});

describe('fillRemainder', () => {
  it('stays within the size, never adds error, and stops only when no step fits', () => {
    fc.assert(
      fc.property(anyTensors, anyBits, anyShare, (tensors, bits, share) => {
        const lists = tensors.map((tensor) => allPoints(tensor, bits));
        const start = lists.map((points) => points[0]!);
        const target = sizeTarget(tensors, share) as { kind: 'size'; byteLength: number };
        const filled = fillRemainder(lists, start, target.byteLength);
        expect(totalByteLength(filled)).toBeLessThanOrEqual(target.byteLength);
        const left = target.byteLength - totalByteLength(filled);
        for (const [i, point] of filled.entries()) {
          expect(point.squaredError).toBeLessThanOrEqual(start[i]!.squaredError);
          for (const other of lists[i]!) {
            const fits = other.byteLength > point.byteLength && other.byteLength - point.byteLength <= left;
            if (fits) expect(other.squaredError).toBeGreaterThanOrEqual(point.squaredError);
          }
        }
      }),
    );
  });

  it('leaves its input as it is', () => {
    const tensor = tensorOf(16, 16, [2, 1]);
    const chosen = [lowRankPoints(tensor, 8)[0]!];
    fillRemainder([lowRankPoints(tensor, 8)], chosen, 1000);
    expect(chosen.map(rankOf)).toEqual([0]);
  });
});

describe('allocate', () => {
  const tensors = [tensorOf(300, 200, [9, 4, 2, 1, 0.5]), tensorOf(200, 200, [3, 2, 1])];
  const auto = (strategy: AllocateOptions['strategy']): AllocateOptions => ({
    strategy,
    bits: 'auto',
    prior: 0,
  });

  it('bits "auto" has at most the error of every width at the same size', () => {
    const target: AllocationTarget = { kind: 'size', byteLength: 900 };
    const chosen = allocate(tensors, target, auto('layerwise'));
    for (const bits of [2, 3, 4, 5, 6, 8]) {
      const fixed = allocate(tensors, target, { ...auto('layerwise'), bits });
      expect(fixed.bits).toBe(bits);
      expect(totalSquaredError(chosen.points)).toBeLessThanOrEqual(totalSquaredError(fixed.points));
    }
  });

  it('bits "auto" reaches an error with the fewest bytes', () => {
    const target = errorTarget(tensors, 0.2);
    const chosen = allocate(tensors, target, auto('layerwise'));
    expect(meets(chosen.points, target)).toBe(true);
    for (const bits of [2, 3, 4, 5, 6, 8]) {
      const fixed = allocate(tensors, target, { ...auto('layerwise'), bits });
      if (meets(fixed.points, target)) {
        expect(totalByteLength(chosen.points)).toBeLessThanOrEqual(totalByteLength(fixed.points));
      }
    }
  });

  it('bits "auto" is 8 where a rank or an energy is fixed', () => {
    expect(allocate(tensors, { kind: 'fixed', value: 2 }, auto('uniform')).bits).toBe(8);
    expect(allocate(tensors, { kind: 'fixed', value: 0.5 }, auto('energy')).bits).toBe(8);
  });
});

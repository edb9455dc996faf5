import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { diff } from '../../src/residual/diff.js';
import type { DiffOptions, DiffReport, TensorDiff } from '../../src/residual/diff-report.js';
import { encode } from '../../src/residual/encode.js';
import { effectiveRank } from '../../src/residual/spectrum-summary.js';
import { safetensorsBytes, type TensorToWrite } from '../helpers/safetensors-bytes.js';
import { withTempFolder, writeTree } from '../helpers/temp-folder.js';
import { tinylm } from '../helpers/tinylm.js';

/** Float32 tensor of the values, row-major. */
function f32(name: string, shape: readonly number[], value: (i: number) => number): TensorToWrite {
  const count = shape.reduce((product, dimension) => product * dimension, 1);
  const data = new Uint8Array(Float32Array.from({ length: count }, (_, i) => value(i)).buffer);
  return { name, dtype: 'F32', shape, data };
}

/** Deterministic, about normal. */
function gaussian(seed: number): () => number {
  let state = seed;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** Diffs two model folders of these tensors. */
async function diffOf(
  base: readonly TensorToWrite[],
  fineTuned: readonly TensorToWrite[],
  options: Partial<DiffOptions> = {},
  files: Readonly<Record<string, string>> = {},
): Promise<DiffReport> {
  return withTempFolder(async (folder) => {
    await writeTree(folder, {
      'base/model.safetensors': safetensorsBytes(base),
      'tuned/model.safetensors': safetensorsBytes(fineTuned),
      ...files,
    });
    return diff(join(folder, 'tuned'), { base: join(folder, 'base'), threads: 1, gemm: 'wasm', ...options });
  });
}

/** The report on the only tensor. */
async function diffOne(base: TensorToWrite, fineTuned: TensorToWrite): Promise<TensorDiff> {
  return (await diffOf([base], [fineTuned])).tensors[0]!;
}

const wave = (i: number) => Math.sin(i + 1);

describe('diff: unchanged elements', () => {
  test('are counted exactly, tensor by tensor and in total', async () => {
    const { tensors, ...report } = await diffOf(
      [f32('a', [20, 16], wave), f32('b', [8], wave), f32('c', [4, 4], wave)],
      [
        f32('a', [20, 16], (i) => wave(i) + (i % 10 === 0 ? 0.5 : 0)),
        f32('b', [8], (i) => wave(i) + (i === 3 ? 1 : 0)),
        f32('c', [4, 4], wave),
      ],
    );
    expect(tensors.map((tensor) => [tensor.name, tensor.case, tensor.unchangedCount])).toEqual([
      ['a', 'residual', 288],
      ['b', 'vector', 7],
      ['c', 'identical', 16],
    ]);
    expect(report).toMatchObject({ elementCount: 344, unchangedCount: 311, changedTensorCount: 2 });
    expect(report.unchangedShare).toBe(311 / 344);
  });

  test('another dtype leaves none, though the values are the same', async () => {
    const wide = { ...f32('a', [2, 4], () => 1), dtype: 'F64' as const };
    const data = new Uint8Array(new Float64Array(8).fill(1).buffer);
    const tensor = await diffOne(
      f32('a', [2, 4], () => 1),
      { ...wide, data },
    );
    expect(tensor).toMatchObject({ unchangedCount: 0, unchangedShare: 0, relativeResidual: 0 });
  });

  test('added rows have none', async () => {
    const tensor = await diffOne(f32('a', [4, 8], wave), f32('a', [6, 8], wave));
    expect(tensor).toMatchObject({ case: 'resized', elementCount: 48, unchangedCount: 32 });
  });

  test('integers have a count and no residual', async () => {
    const ids = (data: number[]): TensorToWrite => ({
      name: 'ids',
      dtype: 'U8',
      shape: [4],
      data: Uint8Array.from(data),
    });
    const tensor = await diffOne(ids([1, 2, 3, 4]), ids([1, 2, 3, 5]));
    expect(tensor).toMatchObject({ case: 'exact', unchangedCount: 3 });
    expect(tensor).not.toHaveProperty('relativeResidual');
    expect(tensor).not.toHaveProperty('spectrum');
  });

  test('a tensor that is not finite has a count and no residual', async () => {
    const tensor = await diffOne(
      f32('a', [4, 4], wave),
      f32('a', [4, 4], (i) => (i === 5 ? Number.NaN : wave(i))),
    );
    expect(tensor).toMatchObject({ case: 'exact', unchangedCount: 15 });
    expect(tensor).not.toHaveProperty('squaredResidual');
  });

  test('a tensor without elements is unchanged', async () => {
    const tensor = await diffOne(f32('a', [0, 4], wave), f32('a', [0, 4], wave));
    expect(tensor).toMatchObject({ case: 'identical', elementCount: 0, unchangedShare: 1 });
  });
});

describe('diff: residuals', () => {
  test('relative residual is ‖R‖ / ‖W_base‖, of matrices and vectors', async () => {
    const { tensors, relativeResidual } = await diffOf(
      [f32('a', [8, 8], wave), f32('b', [8], () => 2)],
      [f32('a', [8, 8], (i) => 1.25 * wave(i)), f32('b', [8], () => 3)],
    );
    expect(tensors[0]!.relativeResidual).toBeCloseTo(0.25, 6);
    expect(tensors[1]).toMatchObject({ squaredResidual: 8, relativeResidual: 0.5 });
    const squaredBase = Array.from({ length: 64 }, (_, i) => wave(i) ** 2).reduce((x, y) => x + y);
    expect(relativeResidual).toBeCloseTo(Math.sqrt((squaredBase / 16 + 8) / (squaredBase + 32)), 6);
  });

  test('over a base of zeros there is a residual and no relative one', async () => {
    const tensor = await diffOne(
      f32('a', [2, 2], () => 0),
      f32('a', [2, 2], () => 1),
    );
    expect(tensor.squaredResidual).toBe(4);
    expect(tensor).not.toHaveProperty('relativeResidual');
  });

  test('a residual of rank 1 has effective rank 1 and all its energy in the first component', async () => {
    const product = (i: number) => wave(i % 48) * (1 + Math.floor(i / 48));
    const { spectrum } = await diffOne(
      f32('a', [40, 48], () => 0),
      f32('a', [40, 48], product),
    );
    expect(spectrum).toMatchObject({ knownRank: 1, complete: true });
    expect(spectrum!.energyTop1).toBeCloseTo(1, 5);
    expect(spectrum!.effectiveRank).toBeCloseTo(1, 5);
  });

  test.each([
    [96, 96],
    [16, 64],
  ])(
    'a multiple of the identity with %i values, %i of them asked for, has them all as effective rank',
    async (n, maxRank) => {
      const base = [f32('a', [n, n], wave)];
      const tuned = [f32('a', [n, n], (i) => wave(i) + (i % (n + 1) === 0 ? 1 : 0))];
      const { spectrum } = (await diffOf(base, tuned, { maxRank })).tensors[0]!;
      expect(spectrum!.complete).toBe(true);
      expect(spectrum!.effectiveRank).toBeCloseTo(n, 3);
      expect(spectrum!.energyTop8).toBeCloseTo(8 / n, 4);
    },
  );

  test('a flat spectrum is known by a few of its values', async () => {
    const base = [f32('a', [96, 96], () => 0)];
    const tuned = [f32('a', [96, 96], (i) => (i % 97 === 0 ? 1 : 0))];
    const { spectrum } = (await diffOf(base, tuned, { maxRank: 8 })).tensors[0]!;
    expect(spectrum).toMatchObject({ knownRank: 8, complete: false });
    expect(spectrum!.effectiveRank).toBeCloseTo(96, 1);
  });

  test('tied tensors have one spectrum', async () => {
    const tuned = gaussian(7);
    const data = Array.from({ length: 256 }, tuned);
    const names = ['embed', 'head'];
    const { tensors } = await diffOf(
      names.map((name) => f32(name, [16, 16], wave)),
      names.map((name) => f32(name, [16, 16], (i) => data[i]!)),
    );
    expect(tensors[1]!.spectrum).toEqual(tensors[0]!.spectrum);
    expect(tensors[1]!.spectrum).toBeDefined();
  });
});

test('effective rank is exp of the entropy of σ / Σσ', () => {
  expect(effectiveRank(Float64Array.of(3))).toBe(1);
  expect(effectiveRank(new Float64Array(12).fill(0.1))).toBeCloseTo(12, 10);
  // Shares 1/2, 1/4, 1/4: entropy 3/2 ln 2.
  expect(effectiveRank(Float64Array.of(2, 1, 1))).toBeCloseTo(2 ** 1.5, 10);
  expect(effectiveRank(new Float64Array(0))).toBe(0);
});

describe('diff: what does not match', () => {
  test('added and removed tensors, shapes and side files are listed', async () => {
    const report = await diffOf(
      [f32('a', [4, 4], wave), f32('gone', [2], wave), f32('shape', [2, 3], wave)],
      [f32('a', [4, 4], wave), f32('new', [2], wave), f32('shape', [3, 2], wave)],
      {},
      {
        'base/config.json': '{}',
        'base/merges.txt': 'a b',
        'base/vocab.json': '{}',
        'tuned/config.json': '{"a":1}',
        'tuned/vocab.json': '{}',
        'tuned/chat_template.jinja': 'x',
      },
    );
    expect(report).toMatchObject({
      added: ['new', 'shape'],
      removed: ['gone'],
      shapeConflicts: ['shape: base [2,3], fine-tuned [3,2]'],
      changedTensorCount: 0,
    });
    expect(Object.fromEntries(report.sideFiles.map((file) => [file.path, file.status]))).toEqual({
      'config.json': 'changed',
      'merges.txt': 'removed',
      'vocab.json': 'same',
      'chat_template.jinja': 'added',
    });
  });

  test('a base of other names is a finding, not an error', async () => {
    const report = await diffOf([f32('x', [8, 8], wave)], [f32('y', [8, 8], wave)]);
    expect(report.mismatches).toHaveLength(1);
    expect(report.mismatches[0]).toContain('0.0 % of the fine-tuned bytes have a counterpart');
  });

  test('unrelated weights are a finding, with their spectra all the same', async () => {
    const [x, y] = [gaussian(1), gaussian(2)];
    const report = await diffOf([f32('a', [32, 32], x)], [f32('a', [32, 32], y)]);
    expect(report.mismatches).toEqual([expect.stringContaining('the weights are unrelated')]);
    expect(report.tensors[0]!.spectrum).toBeDefined();
  });

  test('of two equal checkpoints nothing is left to store', async () => {
    const tensors = [f32('a', [64, 64], wave), f32('b', [64], wave)];
    const report = await diffOf(tensors, tensors);
    expect(report).toMatchObject({
      unchangedShare: 1,
      relativeResidual: 0,
      mismatches: [],
      gemmEngine: 'none',
    });
    for (const { relativeError, extrapolated } of report.estimates) {
      expect({ relativeError, extrapolated }).toEqual({ relativeError: 0, extrapolated: false });
    }
  });
});

describe('diff: estimates', () => {
  test('default to five shares; a size below the least archive is called out of reach', async () => {
    const tuned = gaussian(3);
    const pair = [[f32('a', [64, 64], wave)], [f32('a', [64, 64], (i) => wave(i) + 0.01 * tuned())]] as const;
    const ratios = (await diffOf(...pair)).estimates.map(({ budget }) => budget);
    expect(ratios).toEqual([0.01, 0.03, 0.06, 0.12, 0.25].map((ratio) => ({ kind: 'ratio', ratio })));
    const [least] = (await diffOf(...pair, { budgets: [{ kind: 'size', byteLength: 10 }] })).estimates;
    expect(least).toMatchObject({ reachable: false, relativeError: 1 });
    expect(least!.archiveByteLength).toBeGreaterThan(10);
  });

  test('every kind of budget has one: ranks, energies and errors too', async () => {
    const tuned = gaussian(4);
    const { estimates } = await diffOf(
      [f32('a', [64, 64], wave)],
      [f32('a', [64, 64], (i) => wave(i) + 0.01 * tuned())],
      {
        maxRank: 16,
        budgets: [
          { kind: 'rank', rank: 8 },
          { kind: 'rank', rank: 32 },
          { kind: 'energy', energy: 0.9 },
          { kind: 'max-error', relativeError: 0.5 },
        ],
      },
    );
    expect(estimates.map((estimate) => estimate.extrapolated)).toEqual([
      false,
      true,
      true,
      expect.anything(),
    ]);
    expect(estimates[1]!.archiveByteLength).toBeGreaterThan(estimates[0]!.archiveByteLength);
    expect(estimates[2]!.relativeError).toBeCloseTo(Math.sqrt(0.1), 1);
    expect(estimates[3]!.relativeError).toBeLessThanOrEqual(0.5);
  });

  test('at 1 % and 3 % of a real fine-tune: size within 1 % and error within 3 % of what encode gives', async () => {
    const ratios = [0.01, 0.03];
    const { estimates } = await diff(tinylm('python'), {
      base: tinylm('base'),
      budgets: ratios.map((ratio) => ({ kind: 'ratio', ratio })),
    });
    await withTempFolder(async (folder) => {
      for (const [i, ratio] of ratios.entries()) {
        const encoded = await encode(tinylm('python'), {
          base: tinylm('base'),
          output: join(folder, `${ratio}.ere`),
          budget: { kind: 'ratio', ratio },
        });
        const { archiveByteLength, relativeError } = estimates[i]!;
        expect(Math.abs(archiveByteLength / encoded.archiveByteLength - 1)).toBeLessThan(0.01);
        expect(Math.abs(relativeError / encoded.relativeError - 1)).toBeLessThan(0.03);
      }
    });
  });
});

describe('diff: running', () => {
  const base = [f32('a', [32, 24], wave), f32('b', [24, 24], wave)];
  const noise = gaussian(5);
  const tuned = base.map((tensor) => ({
    ...f32(tensor.name, tensor.shape, (i) => wave(i) + 0.01 * noise()),
  }));

  test('two threads report what one does', async () => {
    const [one, two] = await Promise.all([
      diffOf(base, tuned, { threads: 1 }),
      diffOf(base, tuned, { threads: 2 }),
    ]);
    expect({ ...two, durationMs: 0 }).toEqual({ ...one, durationMs: 0 });
  });

  test('progress counts fine-tuned bytes up to all of them', async () => {
    const seen: number[] = [];
    await diffOf(base, tuned, { onProgress: (progress) => seen.push(progress.doneByteLength) });
    expect(Math.max(...seen)).toBe((32 * 24 + 24 * 24) * 4);
  });

  test('an aborted signal ends it', async () => {
    await expect(diffOf(base, tuned, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ERE_ABORTED',
    });
  });

  test('a checkpoint that is not there is an error', async () => {
    await expect(diff('no-such-model', { base: tinylm('base') })).rejects.toMatchObject({
      code: 'ERE_NOT_FOUND',
    });
  });

  test.each([
    [{ maxRank: 0 }],
    [{ maxRank: 1.5 }],
    [{ threads: 0 }],
    [{ budgets: [{ kind: 'ratio', ratio: 0 } as const] }],
  ])('%j is out of range', async (options) => {
    await expect(diffOf(base, tuned, options)).rejects.toThrow(RangeError);
  });
});

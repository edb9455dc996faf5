/** Which base a fine-tune belongs to, told from sketches: a real pair, and what looks like one and is none. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { FloatDtype } from '../../formats/dtype.js';
import { isVectorShape } from '../../formats/matrix-view.js';
import type { Sketch } from '../../formats/sketch/sketch.js';
import { openCheckpoint } from '../../src/io/open-checkpoint.js';
import { type BaseRank, diagnoseBase, rankBase, rankBases } from '../../src/sketch/rank-bases.js';
import { floatTensor, valuesOf } from '../helpers/models.js';
import { gaussian } from '../helpers/random.js';
import type { TensorToWrite } from '../helpers/safetensors-bytes.js';
import { memoryCheckpoint, sketchOf } from '../helpers/sketches.js';
import { tinylm } from '../helpers/tinylm.js';

let base: TensorToWrite[];
let python: TensorToWrite[];
let baseSketch: Sketch;
let pythonSketch: Sketch;

async function readAll(path: string): Promise<TensorToWrite[]> {
  const checkpoint = await openCheckpoint(path);
  try {
    const tensors = [...checkpoint.tensors.values()];
    return await Promise.all(
      tensors.map(async ({ name, dtype, shape }) => ({
        name,
        dtype,
        shape,
        data: await checkpoint.read(name),
      })),
    );
  } finally {
    await checkpoint.close();
  }
}

beforeAll(async () => {
  [base, python] = await Promise.all([readAll(tinylm('base')), readAll(tinylm('python'))]);
  [baseSketch, pythonSketch] = await Promise.all([sketchOf(base), sketchOf(python)]);
});

type Change = (tensor: TensorToWrite, index: number) => TensorToWrite;
const changed = (tensors: readonly TensorToWrite[], change: Change) => sketchOf(tensors.map(change));

const inDtype =
  (dtype: FloatDtype): Change =>
  (tensor) =>
    floatTensor(tensor.name, dtype, tensor.shape, valuesOf(tensor));

const withPrefix =
  (prefix: string): Change =>
  (tensor) => ({ ...tensor, name: prefix + tensor.name });

/** Independent weights of the same spread; vectors stay, as norms of two models are alike. */
const initialisedAnew: Change = (tensor, index) => {
  if (isVectorShape(tensor.shape)) return tensor;
  const values = valuesOf(tensor);
  const spread = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
  const next = gaussian(index + 1);
  return floatTensor(
    tensor.name,
    tensor.dtype as FloatDtype,
    tensor.shape,
    values.map(() => spread * next()),
  );
};

/** The same rows in another order. */
const permuted: Change = (tensor) => {
  const [rows] = tensor.shape;
  if (isVectorShape(tensor.shape)) return tensor;
  const rowBytes = tensor.data!.byteLength / rows!;
  const data = new Uint8Array(tensor.data!.byteLength);
  for (let row = 0; row < rows!; row++) {
    const from = (row * 7 + 3) % rows!; // No number of rows here has the factor 7.
    data.set(tensor.data!.subarray(from * rowBytes, (from + 1) * rowBytes), row * rowBytes);
  }
  return { ...tensor, data };
};

/** A residual of so much of the base's norm. */
const moved =
  (strength: number): Change =>
  (tensor, index) => {
    const noise = valuesOf(initialisedAnew(tensor, index + 100));
    const values = valuesOf(tensor).map((value, i) => value + strength * noise[i]!);
    return floatTensor(tensor.name, tensor.dtype as FloatDtype, tensor.shape, values);
  };

async function rankOf(sketch: Promise<Sketch> | Sketch): Promise<BaseRank> {
  return rankBase(pythonSketch, { name: 'candidate', sketch: await sketch });
}

describe('a sketch of a checkpoint', () => {
  it('takes 16 reads of 4 elements a tensor at most, whatever the size', async () => {
    const checkpoint = memoryCheckpoint(base);
    await sketchOf(base);
    expect(checkpoint.reads.count).toBe(0);
    const { sketchCheckpoint } = await import('../../src/sketch/sketch-checkpoint.js');
    const { nodeRuntime } = await import('../../src/io/node-runtime.js');
    await sketchCheckpoint(checkpoint, nodeRuntime('wasm'));
    expect(checkpoint.reads).toEqual({ count: 57 * 16, byteLength: 57 * 64 * 2 });
  });

  it('stops when it is aborted', async () => {
    const reason = new Error('enough');
    await expect(sketchOf(base, { signal: AbortSignal.abort(reason) })).rejects.toMatchObject({
      code: 'ERE_ABORTED',
      cause: reason,
    });
  });

  it('has no samples of integers', async () => {
    const tensors = [{ name: 'ids', dtype: 'I64', shape: [4], data: new Uint8Array(32) } as const];
    expect((await sketchOf(tensors)).tensors.get('ids')!.samples.length).toBe(0);
  });
});

describe('the base of a real fine-tune', () => {
  it('is told from independent weights and permuted rows by far', async () => {
    const [right, anew, shuffled] = await Promise.all([
      rankOf(baseSketch),
      rankOf(changed(base, initialisedAnew)),
      rankOf(changed(base, permuted)),
    ]);
    expect(right).toMatchObject({ verdict: 'fine-tune', matchedTensorCount: 57, matchedShare: 1 });
    expect(right.distance).toBeLessThan(0.03);
    expect(right.correlation).toBeGreaterThan(0.97);
    // ‖R‖ / ‖W_base‖ over all weights is 0.134.
    expect(right.relativeResidual).toBeGreaterThan(0.13);
    expect(right.relativeResidual).toBeLessThan(0.16);
    for (const wrong of [anew, shuffled]) {
      expect(wrong.verdict).toBe('unrelated');
      expect(wrong.distance).toBeGreaterThan(0.9);
      expect(Math.abs(wrong.correlation)).toBeLessThan(0.1);
      expect(wrong.because).toMatch(
        /^57 of 57 tensors match by name and shape, but their weights are unrelated/,
      );
    }
  });

  it.each(['F32', 'F16', 'BF16'] as const)('is the same when it was saved as %s', async (dtype) => {
    const copy = await changed(base, inDtype(dtype));
    expect(rankBase(baseSketch, { name: 'copy', sketch: copy })).toMatchObject({ verdict: 'same' });
    expect(rankBase(copy, { name: 'base', sketch: baseSketch })).toMatchObject({ verdict: 'same' });
    expect((await rankOf(copy)).verdict).toBe('fine-tune');
  });

  it.each(['F8_E4M3', 'F8_E5M2'] as const)('is found when it was saved as %s', async (dtype) => {
    const copy = await changed(base, inDtype(dtype));
    expect(rankBase(copy, { name: 'base', sketch: baseSketch }).verdict).toBe('same');
    expect((await rankOf(copy)).verdict).toBe('fine-tune');
  });

  it('is found under another prefix, in another order, with a tower beside it', async () => {
    const inner = await changed([...python].reverse(), withPrefix('language_model.'));
    const tower = python.map((tensor, i) => initialisedAnew(withPrefix('vision.')(tensor, i), i + 500));
    const outer = { tensors: new Map([...(await sketchOf(tower.slice(0, 20))).tensors, ...inner.tensors]) };
    const rank = rankBase(outer, { name: 'base', sketch: baseSketch });
    expect(rank).toMatchObject({
      verdict: 'fine-tune',
      matchedTensorCount: 57,
      tensorCount: 77,
      prefixChange: { base: '', fineTuned: 'language_model.' },
    });
    expect(rank.because).toMatch(
      /^\d+ of 44 matrices agree within 30 % \(relative residual 0\.1\d+\), 20 tensors have no counterpart \(the fine-tune's names have "language_model\." in front\)$/,
    );
  });

  it('is found up to a residual as large as the base itself', async () => {
    const strengths = [0.01, 0.1, 0.3, 0.6, 1];
    const ranks = await Promise.all(
      strengths.map(async (strength) =>
        rankBase(await changed(base, moved(strength)), { name: 'b', sketch: baseSketch }),
      ),
    );
    expect(ranks.map(({ verdict }) => verdict)).toEqual(strengths.map(() => 'fine-tune'));
    ranks.forEach(({ relativeResidual }, i) => {
      expect(relativeResidual! / strengths[i]!).toBeGreaterThan(0.85);
      expect(relativeResidual! / strengths[i]!).toBeLessThan(1.15);
    });
  });

  it('scaled as a whole is unrelated, which is explained', async () => {
    const scaled = await changed(base, (tensor) =>
      floatTensor(
        tensor.name,
        'F32',
        tensor.shape,
        valuesOf(tensor).map((value) => 200 * value),
      ),
    );
    const rank = await rankOf(scaled);
    expect(rank.verdict).toBe('unrelated');
    expect(rank.because).toMatch(/the same weights at another scale\?$/);
  });
});

describe('rankBases', () => {
  it('puts the nearest first: a copy, the base it came from, another fine-tune of it, unrelated models', async () => {
    const candidates = [
      { name: 'anew', sketch: await changed(base, initialisedAnew) },
      { name: 'sibling', sketch: await changed(base, moved(0.2)) },
      { name: 'base', sketch: baseSketch },
      { name: 'copy', sketch: await changed(python, inDtype('F32')) },
    ];
    const ranks = rankBases(pythonSketch, candidates);
    expect(ranks.map(({ name }) => name)).toEqual(['copy', 'base', 'sibling', 'anew']);
    expect(ranks[0]!.because).toBe('all 57 tensors have the same values');
  });

  it('prefers, of copies of one base, that in the type of the fine-tune, then the first', async () => {
    const wide = await changed(base, inDtype('F32'));
    const names = (...candidates: { name: string; sketch: Sketch }[]) =>
      rankBases(pythonSketch, candidates).map(({ name }) => name);
    expect(names({ name: 'wide', sketch: wide }, { name: 'base', sketch: baseSketch })).toEqual([
      'base',
      'wide',
    ]);
    expect(names({ name: 'b', sketch: baseSketch }, { name: 'a', sketch: baseSketch })).toEqual(['b', 'a']);
  });

  it('prefers a base that has all matrices to one that has some', async () => {
    const part = await sketchOf(base.slice(0, 45));
    const ranks = rankBases(pythonSketch, [
      { name: 'part', sketch: part },
      { name: 'whole', sketch: baseSketch },
    ]);
    expect(ranks.map(({ name }) => name)).toEqual(['whole', 'part']);
  });

  it('trusts digests over samples', async () => {
    const digests = (digit: string) =>
      new Map(base.map(({ name }) => [name, `sha256:${digit.repeat(64)}`] as const));
    const first = await sketchOf(base, { digests: digests('1') });
    expect(rankBase(first, { name: 'x', sketch: first }).verdict).toBe('same');
    const other = await sketchOf(base, { digests: digests('2') });
    expect(rankBase(first, { name: 'x', sketch: other }).verdict).toBe('fine-tune');
  });

  it('tells models without floats apart by digests alone', async () => {
    const integers = (digit: string) =>
      sketchOf([{ name: 'q', dtype: 'I32', shape: [2, 2], data: new Uint8Array(16) }], {
        digests: new Map([['q', `sha256:${digit.repeat(64)}` as const]]),
      });
    const [one, two] = [await integers('1'), await integers('2')];
    expect(rankBase(one, { name: 'x', sketch: one }).verdict).toBe('same');
    expect(rankBase(one, { name: 'x', sketch: two })).toMatchObject({
      verdict: 'unrelated',
      because: '1 of 1 tensors match by name and shape, but none of them can be compared',
    });
  });

  it('passes over tensors with values that are not finite', async () => {
    const broken = await changed(base, (tensor, i) =>
      i % 2 === 0
        ? tensor
        : floatTensor(tensor.name, 'BF16', tensor.shape, valuesOf(tensor).fill(Number.NaN)),
    );
    const rank = await rankOf(broken);
    expect(rank.verdict).toBe('fine-tune');
    expect(Number.isFinite(rank.distance)).toBe(true);
  });

  it('says of two empty models that they have nothing to compare', () => {
    const empty = { tensors: new Map() };
    expect(rankBase(empty, { name: 'x', sketch: empty }).verdict).toBe('unrelated');
    expect(rankBases(empty, [])).toEqual([]);
  });
});

describe('diagnoseBase', () => {
  it('names the base that a fine-tune really belongs to', async () => {
    const anew = { name: 'mistral', sketch: await changed(base, initialisedAnew) };
    const ranks = rankBases(pythonSketch, [anew, { name: 'llama', sketch: baseSketch }]);
    expect(diagnoseBase(ranks, 'mistral')).toMatch(
      /^"mistral" is not its base: 57 of 57 tensors match .* unrelated \(.*\); "llama" is near enough to be its base: \d+ of 44 matrices agree within 30 %/,
    );
    expect(diagnoseBase(ranks, 'llama')).toMatch(/^"llama" is near enough to be its base: [^;]*$/);
    expect(diagnoseBase(ranks)).toMatch(/^"llama" is near enough/);
  });

  it('says that none fits and how far each is', async () => {
    const anew = { name: 'mistral', sketch: await changed(base, initialisedAnew) };
    const other = {
      name: 'qwen',
      sketch: await changed(base, (tensor) => ({ ...tensor, name: `${tensor.name}.q` })),
    };
    const ranks = rankBases(pythonSketch, [anew, other]);
    expect(diagnoseBase(ranks)).toMatch(
      /^no base fits: ("mistral": 57 of 57|"qwen": ).*; ("mistral"|"qwen")/,
    );
    expect(diagnoseBase(ranks, 'mistral')).toMatch(
      /^"mistral" is not its base: .*; no other base fits: "qwen": /,
    );
    expect(diagnoseBase(rankBases(pythonSketch, [anew]), 'mistral')).toMatch(
      /^"mistral" is not its base: [^;]*$/,
    );
    expect(diagnoseBase([])).toBe('there is no base to compare with');
  });
});

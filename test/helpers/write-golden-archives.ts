/**
 * Made test/golden/v1, once: `node dist/test/helpers/write-golden-archives.js`. Archives of a released version are
 * never written again; a new case is a new folder here. Prints the digests that test/helpers/golden.ts holds.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FloatDtype } from '../../formats/dtype.js';
import { decode, type EncodeOptions, encode, truncate } from '../../src/index.js';
import { normalFloats, randomBytes } from '../kernels/samples.js';
import { digestOf } from './archive-builder.js';
import { floatTensor, type Model, matrixPair, modelPair, QUICK, valuesOf, writeModel } from './models.js';
import type { TensorToWrite } from './safetensors-bytes.js';
import { sharedBasisArchive } from './shared-basis-archive.js';
import { withTempFolder } from './temp-folder.js';

interface GoldenCase {
  readonly name: string;
  readonly base: Model;
  readonly fineTuned: Model;
  readonly options: Partial<EncodeOptions>;
  /** Truncated to so many bytes afterwards. */
  readonly to?: number;
  /** Over one basis for all matrices, with this step. */
  readonly sharedStep?: number;
}

/** Everything that happens to tensors and files, with narrow factors. */
function everyCase(): GoldenCase {
  const tied = matrixPair('embed', [26, 12], 1, { dtype: 'BF16' });
  const grown = { ...tied.base, shape: [20, 12], data: tied.base.data!.subarray(0, 20 * 12 * 2) };
  const cast = matrixPair('cast', [14, 18], 2);
  const vector = normalFloats(40, 3);
  const same = floatTensor('norm', 'F32', [6], [1, 1, 1, 1, 1, -0]);
  const withName = (tensor: TensorToWrite, name: string) => ({ ...tensor, name });
  const pairs = [
    { base: grown, fineTuned: tied.fineTuned },
    { base: withName(grown, 'head'), fineTuned: withName(tied.fineTuned, 'head') },
    { base: floatTensor('cast', 'BF16', [14, 18], valuesOf(cast.base)), fineTuned: cast.fineTuned },
    matrixPair('conv', [10, 4, 2, 2], 4, { dtype: 'F16' }),
    {
      base: floatTensor('bias', 'F32', [40], vector),
      fineTuned: floatTensor(
        'bias',
        'F32',
        [40],
        vector.map((value, i) => (i % 5 === 0 ? value * 1.001 : value)),
      ),
    },
    { base: same, fineTuned: same },
    { fineTuned: { name: 'ids', dtype: 'I64', shape: [3], data: randomBytes(24, 5) } as const },
    { fineTuned: { name: 'mask', dtype: 'BOOL', shape: [2, 40], data: new Uint8Array(80).fill(1) } as const },
    { fineTuned: { name: 'none', dtype: 'F32', shape: [0, 3], data: new Uint8Array(0) } as const },
    { base: floatTensor('gone', 'F32', [2, 2], [1, 2, 3, 4]) },
  ];
  const { base, fineTuned } = modelPair(pairs);
  const shards = [
    ['embed', 'cast', 'ids', 'none'],
    ['head', 'conv', 'bias', 'norm', 'mask'],
  ];
  return {
    name: 'every-case',
    base: { ...base, sideFiles: { 'config.json': '{"layers":2}\n', 'text/license.txt': 'as is\n' } },
    fineTuned: {
      ...fineTuned,
      shards,
      metadata: { format: 'pt' },
      sideFiles: { 'config.json': '{"layers":2,"tuned":true}\n', 'text/license.txt': 'as is\n' },
    },
    options: { budget: { kind: 'rank', rank: 3 }, bits: 4 },
  };
}

const wide = modelPair([
  matrixPair('f32', [17, 23], 11),
  matrixPair('f8', [15, 21], 13, { dtype: 'F8_E4M3', strength: 0.5 }),
  matrixPair('f64', [13, 16], 12, { dtype: 'F64' }),
]);
const dense = modelPair([
  matrixPair('flat', [30, 31], 21, { rank: 0, noise: 1 }),
  matrixPair('half', [24, 25], 22, { rank: 0, noise: 1, dtype: 'BF16' }),
]);
const coded = modelPair([
  matrixPair('low', [40, 30], 31, { rank: 3, strength: 0.2 }),
  matrixPair('flat', [33, 35], 32, { rank: 0, noise: 1, dtype: 'BF16' }),
  matrixPair('both', [48, 41], 33, { rank: 2, noise: 0.4, dtype: 'F16' }),
]);
/** Pairs for codec "interval": every float dtype, integers, sparse steps, wide from narrow, added, and two chunks. */
function intervalPairs() {
  const sparse = matrixPair('sparse', [40, 300], 31, { rank: 0, noise: 0, dtype: 'BF16' });
  const steps = sparse.base.data!.slice();
  for (let i = 0; i < steps.length; i += 2 * (90 + (i % 53))) steps[i]! ^= 1;
  const narrow = matrixPair('narrow', [30, 40], 32, { dtype: 'BF16', strength: 0.01 });
  const ids = Uint8Array.from({ length: 2400 }, (_, i) => (i % 8 === 0 ? (i / 8) % 251 : 0));
  return [
    matrixPair('bf16', [60, 50], 33, { dtype: 'BF16', strength: 0.01 }),
    matrixPair('f16', [60, 50], 34, { dtype: 'F16', strength: 0.01 }),
    matrixPair('f32', [30, 50], 35, { strength: 0.01 }),
    matrixPair('f64', [20, 50], 36, { dtype: 'F64', strength: 0.01 }),
    matrixPair('e4m3', [60, 50], 37, { dtype: 'F8_E4M3', strength: 0.1 }),
    matrixPair('e5m2', [60, 50], 38, { dtype: 'F8_E5M2', strength: 0.1 }),
    { base: sparse.base, fineTuned: { ...sparse.base, data: steps } },
    {
      base: floatTensor('cast', 'F32', [30, 40], valuesOf(narrow.base)),
      fineTuned: floatTensor('cast', 'F32', [30, 40], valuesOf(narrow.fineTuned)),
    },
    {
      base: floatTensor('wider', 'F32', [30, 40], valuesOf(narrow.base)),
      fineTuned: { ...narrow.fineTuned, name: 'wider' },
    },
    { fineTuned: { ...narrow.fineTuned, name: 'new' } },
    {
      base: { name: 'ids', dtype: 'I64', shape: [300], data: ids } as const,
      fineTuned: {
        name: 'ids',
        dtype: 'I64',
        shape: [300],
        data: ids.map((byte, i) => byte ^ (i % 56 === 0 ? 2 : 0)),
      } as const,
    },
  ];
}

const interval = modelPair(intervalPairs());
const bases = modelPair([
  matrixPair('tall', [40, 30], 31, { rank: 3, strength: 0.2 }),
  matrixPair('wide', [30, 44], 32, { rank: 3, strength: 0.2, dtype: 'BF16' }),
  matrixPair('both', [48, 41], 33, { rank: 2, noise: 0.8, strength: 0.3, dtype: 'F16' }),
]);
/** Matrices whose residuals lie in nearly the same space of columns. */
function relatives(): { base: Model; fineTuned: Model } {
  const directions = [1, 2, 3, 4].map((seed) => normalFloats(24, seed));
  const pairs = [30, 24, 20].map((rows, t) => {
    const name = ['q', 'k', 'v'][t]!;
    const pair = matrixPair(name, [rows, 24], 40 + t, { rank: 0, noise: 0.3, dtype: 'BF16' });
    const strengths = directions.map((_, k) => normalFloats(rows, 60 + 10 * t + k));
    const tuned = valuesOf(pair.fineTuned).map((value, at) =>
      directions.reduce(
        (sum, direction, k) =>
          sum + (0.1 / (1 + k)) * strengths[k]![Math.floor(at / 24)]! * direction[at % 24]!,
        value,
      ),
    );
    return { base: pair.base, fineTuned: floatTensor(name, 'BF16', [rows, 24], tuned) };
  });
  return modelPair(pairs);
}

/** A rounded base plus a product of rank 1, rounded: on the base's rows, and new rows behind them. */
function mergedPair(
  name: string,
  dtype: FloatDtype,
  [rows, columns]: readonly [number, number],
  seed: number,
  added = 0,
) {
  const base = floatTensor(name, dtype, [rows, columns], normalFloats(rows * columns, seed, 0.02));
  const [u, v] = [normalFloats(rows, seed + 1), normalFloats(columns, seed + 2)];
  const merged = valuesOf(base).map(
    (value, i) => value + 1e-3 * u[Math.floor(i / columns)]! * v[i % columns]!,
  );
  const values = [...merged, ...normalFloats(added * columns, seed + 3, 0.02)];
  return { base, fineTuned: floatTensor(name, dtype, [rows + added, columns], values) };
}

const merged = modelPair([
  mergedPair('bf16.weight', 'BF16', [48, 40], 41),
  mergedPair('f16.weight', 'F16', [40, 44], 42),
  mergedPair('grown.weight', 'BF16', [44, 40], 43, 3),
]);
/** A matrix that is large enough for codec "ans-dense", over a base that is small once it is compressed. */
function largePair() {
  const shape = [512, 513] as const;
  const count = shape[0] * shape[1];
  const base = floatTensor('large', 'BF16', shape, new Float32Array(count).fill(0.5));
  const noise = normalFloats(count, 51, 0.02);
  return modelPair([
    {
      base,
      fineTuned: floatTensor(
        'large',
        'BF16',
        shape,
        noise.map((x) => 0.5 + x),
      ),
    },
  ]);
}

const CASES: readonly GoldenCase[] = [
  everyCase(),
  { name: 'wide-factors', ...wide, options: { budget: { kind: 'rank', rank: 4 }, bits: 12 } },
  { name: 'dense', ...dense, options: { budget: { kind: 'max-error', relativeError: 0.2 } } },
  { name: 'coded', ...coded, options: { budget: { kind: 'max-error', relativeError: 0.2 } } },
  {
    name: 'coded-max',
    ...coded,
    options: { budget: { kind: 'max-error', relativeError: 0.3 }, effort: 'max' },
  },
  { name: 'lossless', ...coded, options: { lossless: true } },
  { name: 'signs', ...dense, options: { preset: 'bitdelta' } },
  {
    ...everyCase(),
    name: 'exact-on-top',
    options: { budget: { kind: 'rank', rank: 2 }, bits: 3, exactOnTop: true },
  },
  { ...everyCase(), name: 'truncated', options: { budget: { kind: 'rank', rank: 8 }, bits: 4 }, to: 2700 },
  { name: 'interval', ...interval, options: { lossless: true } },
  { name: 'shared-basis', ...relatives(), options: {}, sharedStep: 0.1 },
  { name: 'basis', ...bases, options: { budget: { kind: 'max-error', relativeError: 0.15 } } },
  {
    name: 'interval-on-top',
    ...interval,
    options: { budget: { kind: 'rank', rank: 2 }, bits: 6, exactOnTop: true },
  },
  { name: 'merged', ...merged, options: { preset: 'lora' } },
  { name: 'large', ...largePair(), options: { budget: { kind: 'max-error', relativeError: 0.55 } } },
  { name: 'merged-on-top', ...merged, options: { preset: 'lora', exactOnTop: true } },
];

const root = fileURLToPath(new URL('../../../test/golden/v1/', import.meta.url));
for (const { name, base, fineTuned, options, to, sharedStep } of CASES) {
  if (existsSync(join(root, name))) continue;
  const [basePath, output] = [join(root, name, 'base'), join(root, name, 'archive.ere')];
  await mkdir(basePath, { recursive: true });
  await writeModel(basePath, base);
  await withTempFolder(async (folder) => {
    const whole = to === undefined ? output : join(folder, 'whole.ere');
    if (sharedStep === undefined) {
      await writeModel(folder, fineTuned);
      await encode(folder, { ...QUICK, ...options, base: basePath, output: whole });
    } else {
      await writeFile(whole, await sharedBasisArchive({ base, fineTuned }, basePath, folder, sharedStep));
    }
    if (to !== undefined) await truncate(whole, { to, base: basePath, output });
    const decoded = join(folder, 'decoded');
    const { files } = await decode(output, { base: basePath, output: decoded });
    process.stdout.write(`${name}\n  archive ${digestOf(await readFile(output))}\n`);
    for (const file of files)
      process.stdout.write(`  ${file} ${digestOf(await readFile(join(decoded, file)))}\n`);
  });
}

/** Small models on disk, pairs of base and fine-tune, and the way from one to an archive and back. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DTYPES, type FloatDtype } from '../../formats/dtype.js';
import {
  type DecodeOptions,
  decode,
  type EncodeOptions,
  type EncodeReport,
  encode,
  inspect,
  type TensorReport,
} from '../../src/index.js';
import { openCheckpoint } from '../../src/io/open-checkpoint.js';
import { normalFloats, scalar } from '../kernels/samples.js';
import { safetensorsBytes, type TensorToWrite } from './safetensors-bytes.js';
import { withTempFolder, writeTree } from './temp-folder.js';

export interface Model {
  readonly tensors: readonly TensorToWrite[];
  /** Names by shard; default: one file. */
  readonly shards?: readonly (readonly string[])[];
  readonly metadata?: Readonly<Record<string, string>>;
  readonly sideFiles?: Readonly<Record<string, string | Uint8Array>>;
}

/** Writes a model folder: model.safetensors, or shards with their index. */
export async function writeModel(folder: string, model: Model): Promise<void> {
  const { tensors, shards, metadata, sideFiles = {} } = model;
  const files: Record<string, string | Uint8Array> = { ...sideFiles };
  if (shards === undefined) {
    files['model.safetensors'] = safetensorsBytes(tensors, metadata);
  } else {
    const weightMap: Record<string, string> = {};
    for (const [i, names] of shards.entries()) {
      const path = `model-${pad(i + 1)}-of-${pad(shards.length)}.safetensors`;
      files[path] = safetensorsBytes(
        names.map((name) => tensors.find((tensor) => tensor.name === name)!),
        metadata,
      );
      for (const name of names) weightMap[name] = path;
    }
    files['model.safetensors.index.json'] = JSON.stringify({ metadata: {}, weight_map: weightMap });
  }
  await writeTree(folder, files);
}

const pad = (number: number) => String(number).padStart(5, '0');

/** A tensor of float values, rounded to its dtype. */
export function floatTensor(
  name: string,
  dtype: FloatDtype,
  shape: readonly number[],
  values: ArrayLike<number>,
): TensorToWrite {
  const data = new Uint8Array((values.length * DTYPES[dtype].bits) / 8);
  scalar.fromFloat32(dtype, Float32Array.from(values), data);
  return { name, dtype, shape, data };
}

/** The values of a float tensor as float32. */
export function valuesOf(tensor: TensorToWrite): Float32Array {
  const dtype = tensor.dtype as FloatDtype;
  const values = new Float32Array((tensor.data!.byteLength * 8) / DTYPES[dtype].bits);
  scalar.toFloat32(dtype, tensor.data!, values);
  return values;
}

export interface MatrixOptions {
  readonly dtype?: FloatDtype;
  /** Components of the residual, the strongest twice the next; default 4. */
  readonly rank?: number;
  /** Spread of what has no structure, relative to the strongest component's; default 0.05. */
  readonly noise?: number;
  /** Size of the residual relative to the base; default 0.1. */
  readonly strength?: number;
}

/** A base matrix and the same with a residual of a few strong components and noise. */
export function matrixPair(
  name: string,
  shape: readonly number[],
  seed: number,
  options: MatrixOptions = {},
): { base: TensorToWrite; fineTuned: TensorToWrite } {
  const { dtype = 'F32', rank = 4, noise = 0.05, strength = 0.1 } = options;
  const count = shape.reduce((product, dimension) => product * dimension, 1);
  const rows = shape[0]!;
  const columns = count / rows;
  const base = normalFloats(count, seed);
  const residual = normalFloats(count, seed + 1, noise);
  for (let k = 0; k < rank; k++) {
    const u = normalFloats(rows, seed + 10 + k);
    const v = normalFloats(columns, seed + 50 + k);
    for (let at = 0; at < count; at++) {
      residual[at]! += 2 ** -k * u[Math.floor(at / columns)]! * v[at % columns]!;
    }
  }
  const fineTuned = base.map((value, at) => value + strength * residual[at]!);
  return {
    base: floatTensor(name, dtype, shape, base),
    fineTuned: floatTensor(name, dtype, shape, fineTuned),
  };
}

/** Bases and fine-tunes of several pairs as two models. */
export function modelPair(
  pairs: readonly { readonly base?: TensorToWrite; readonly fineTuned?: TensorToWrite }[],
): { base: Model; fineTuned: Model } {
  return {
    base: { tensors: pairs.flatMap(({ base }) => base ?? []) },
    fineTuned: { tensors: pairs.flatMap(({ fineTuned }) => fineTuned ?? []) },
  };
}

export type ModelPair = ReturnType<typeof modelPair>;

/** Writes both into folders of the given one; their paths. */
export async function writePair(
  folder: string,
  { base, fineTuned }: ModelPair,
): Promise<{ readonly base: string; readonly fineTuned: string }> {
  const paths = { base: join(folder, 'base'), fineTuned: join(folder, 'tuned') };
  await writeModel(paths.base, base);
  await writeModel(paths.fineTuned, fineTuned);
  return paths;
}

/** Writes both into a folder that is gone afterwards. */
export async function withModels(
  models: ModelPair,
  use: (base: string, fineTuned: string, folder: string) => Promise<void>,
): Promise<void> {
  await withTempFolder(async (folder) => {
    const { base, fineTuned } = await writePair(folder, models);
    await use(base, fineTuned, folder);
  });
}

export interface RoundTrip {
  readonly report: EncodeReport;
  /** By name, as the archive alone tells. */
  readonly inspected: ReadonlyMap<string, TensorReport>;
  /** By name, as the encoder tells. */
  readonly encoded: ReadonlyMap<string, TensorReport>;
  /** Bytes of the decoded tensors by name. */
  readonly tensors: ReadonlyMap<string, Uint8Array>;
  readonly archive: string;
  readonly base: string;
  readonly fineTuned: string;
  readonly output: string;
}

export type EncodeChoices = Partial<Omit<EncodeOptions, 'base' | 'output'>>;

/** Options that make an encode quick: this thread, and no native library to load. */
export const QUICK = { threads: 1, gemm: 'wasm' } as const;

/** Writes both models into `folder`, encodes and decodes. */
export async function roundTrip(
  folder: string,
  models: { readonly base: Model; readonly fineTuned: Model },
  options: EncodeChoices = {},
  decodeOptions: Partial<DecodeOptions> = {},
): Promise<RoundTrip> {
  const { base, fineTuned } = await writePair(folder, models);
  const archive = join(folder, 'a.ere');
  const output = join(folder, 'decoded');
  const report = await encode(fineTuned, { ...QUICK, ...options, base, output: archive });
  await decode(archive, { threads: 1, ...decodeOptions, base, output });
  return {
    report,
    encoded: new Map(report.tensors.map((tensor) => [tensor.name, tensor])),
    inspected: new Map((await inspect(archive)).tensors.map((tensor) => [tensor.name, tensor])),
    tensors: await readTensors(output),
    archive,
    base,
    fineTuned,
    output,
  };
}

/** Bytes of all tensors of a checkpoint. */
export async function readTensors(path: string): Promise<Map<string, Uint8Array>> {
  const checkpoint = await openCheckpoint(path);
  try {
    const tensors = new Map<string, Uint8Array>();
    for (const name of checkpoint.tensors.keys()) tensors.set(name, await checkpoint.read(name));
    return tensors;
  } finally {
    await checkpoint.close();
  }
}

/** Headers of all weight files of a checkpoint, by path. */
export async function readHeaders(path: string): Promise<Map<string, Uint8Array>> {
  const checkpoint = await openCheckpoint(path);
  try {
    return new Map(checkpoint.files.map(({ path: file, header }) => [file, header]));
  } finally {
    await checkpoint.close();
  }
}

/** Contents of files by path relative to a folder. */
export async function readFiles(folder: string, paths: readonly string[]): Promise<Map<string, Buffer>> {
  return new Map(
    await Promise.all(paths.map(async (path) => [path, await readFile(join(folder, path))] as const)),
  );
}

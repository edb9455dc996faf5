/**
 * Generated pairs of a base and a fine-tuned checkpoint whose residual has a known structure, and how
 * they get into model folders.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadKernels } from '../../../src/kernels/load-kernels.js';
import { safetensorsBytes } from '../safetensors-bytes.js';
import { normal } from './random.js';

/** A bf16 matrix of both checkpoints, little-endian, row-major. */
export interface PairMatrix {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  readonly base: Uint8Array;
  readonly fineTuned: Uint8Array;
}

export interface GeneratedPair {
  readonly name: string;
  readonly matrices: readonly PairMatrix[];
}

export interface PairSize {
  readonly rows: number;
  readonly columns: number;
  /** Matrices of that size. */
  readonly count: number;
}

/** Standard deviation of base weights: that of a layer of width 2500, as of common models. */
export const BASE_DEVIATION = 0.02;

const kernels = loadKernels('wasm');

export function toBf16(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(values.length * 2);
  kernels.fromFloat32('BF16', values, bytes);
  return bytes;
}

export function fromBf16(bytes: Uint8Array): Float32Array {
  const values = new Float32Array(bytes.byteLength / 2);
  kernels.toFloat32('BF16', bytes, values);
  return values;
}

/** Normal base weights in bf16. */
export function baseWeights(elementCount: number, seed: number): Uint8Array {
  const draw = normal(seed);
  return toBf16(Float32Array.from({ length: elementCount }, () => BASE_DEVIATION * draw()));
}

/** `count` matrices, named like those of a model, with fineTuned = round_bf16(base + residual). */
export function pairOf(
  name: string,
  { rows, columns, count }: PairSize,
  seed: number,
  /** rows × columns of matrix `index`; may ask for seeds of its own over `seed`. */
  residual: (index: number, seed: number) => Float32Array,
): GeneratedPair {
  const matrices = Array.from({ length: count }, (_, index): PairMatrix => {
    const ownSeed = seed + 100 * index;
    const base = baseWeights(rows * columns, ownSeed);
    const sum = residual(index, ownSeed + 1);
    const values = fromBf16(base);
    for (let i = 0; i < sum.length; i++) sum[i]! += values[i]!;
    return { name: matrixName(index), rows, columns, base, fineTuned: toBf16(sum) };
  });
  return { name, matrices };
}

export function matrixName(index: number): string {
  return `model.layers.${index}.mlp.up_proj.weight`;
}

/** fineTuned − base of a matrix. */
export function residualOf({ base, fineTuned }: PairMatrix): Float32Array {
  const values = fromBf16(base);
  return fromBf16(fineTuned).map((value, i) => value - values[i]!);
}

/** Adds a random matrix of the given rank whose entries have the given standard deviation. */
export function addLowRank(
  out: Float32Array,
  { rows, columns, rank, deviation, seed }: LowRankSetting,
): Float32Array {
  const draw = normal(seed);
  const left = Float64Array.from({ length: rows * rank }, draw);
  const right = Float64Array.from({ length: rank * columns }, draw);
  const scale = deviation / Math.sqrt(rank); // the sum of `rank` products of variance 1
  for (let i = 0; i < rows; i++) {
    const row = new Float64Array(columns);
    for (let k = 0; k < rank; k++) {
      const factor = scale * left[i * rank + k]!;
      for (let j = 0; j < columns; j++) row[j]! += factor * right[k * columns + j]!;
    }
    for (let j = 0; j < columns; j++) out[i * columns + j]! += row[j]!;
  }
  return out;
}

export interface LowRankSetting {
  readonly rows: number;
  readonly columns: number;
  readonly rank: number;
  readonly deviation: number;
  readonly seed: number;
}

/** Writes the pair as the model folders `base` and `fine-tuned`; returns their paths. */
export async function writePair(
  pair: GeneratedPair,
  folder: string,
): Promise<{ readonly base: string; readonly fineTuned: string }> {
  const write = async (part: string, bytesOf: (matrix: PairMatrix) => Uint8Array): Promise<string> => {
    const path = join(folder, part);
    await mkdir(path, { recursive: true });
    const tensors = pair.matrices.map((matrix) => ({
      name: matrix.name,
      dtype: 'BF16' as const,
      shape: [matrix.rows, matrix.columns],
      data: bytesOf(matrix),
    }));
    await writeFile(join(path, 'model.safetensors'), safetensorsBytes(tensors));
    return path;
  };
  return {
    base: await write('base', (matrix) => matrix.base),
    fineTuned: await write('fine-tuned', (matrix) => matrix.fineTuned),
  };
}

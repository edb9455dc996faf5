/** A LoRA merged into bf16 weights: W_ft = round_bf16(W + B·A), base entries N(0, 0.02²). */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Kernels } from '../../src/kernels/kernels.js';
import { createMatrix, type Matrix } from '../../src/linalg/matrix.js';
import { gaussian } from './random.js';
import { safetensorsBytes } from './safetensors-bytes.js';

export interface MergedLoraOptions {
  readonly rows: number;
  readonly columns: number;
  readonly rank: number;
  /** Spread of the entries of B·A over that of the base's. Real adapters: about 0.005 to 0.1. */
  readonly relativeSpread: number;
  readonly seed: number;
  readonly kernels: Kernels;
}

export interface MergedLora {
  /** BF16. */
  readonly base: Uint8Array;
  readonly fineTuned: Uint8Array;
  /** B·A in float32. */
  readonly product: Matrix;
}

const BASE_SPREAD = 0.02;

export function mergedLora(options: MergedLoraOptions): MergedLora {
  const { rows, columns, rank, relativeSpread, seed, kernels } = options;
  const next = gaussian(seed);
  const fill = (length: number, spread: number): Float32Array =>
    Float32Array.from({ length }, () => next() * spread);
  const values = fill(rows * columns, BASE_SPREAD);
  const base = new Uint8Array(2 * values.length);
  kernels.fromFloat32('BF16', values, base);
  kernels.toFloat32('BF16', base, values);
  const b = fill(rows * rank, (relativeSpread * BASE_SPREAD) / Math.sqrt(rank));
  const a = fill(rank * columns, 1);
  const product = createMatrix(rows, columns);
  kernels.gemm({ m: rows, n: columns, k: rank, a: b, b: a, c: product.data });
  const fineTuned = new Uint8Array(base.byteLength);
  for (let i = 0; i < values.length; i++) values[i]! += product.data[i]!;
  kernels.fromFloat32('BF16', values, fineTuned);
  return { base, fineTuned, product };
}

/** base.safetensors and tuned.safetensors with `count` matrices w.0, w.1, …; returns the pairs. */
export async function writeMergedLora(
  folder: string,
  count: number,
  options: MergedLoraOptions,
): Promise<readonly MergedLora[]> {
  const pairs = Array.from({ length: count }, (_, i) => mergedLora({ ...options, seed: options.seed + i }));
  const shape = [options.rows, options.columns];
  for (const [file, side] of [
    ['base.safetensors', 'base'],
    ['tuned.safetensors', 'fineTuned'],
  ] as const) {
    const tensors = pairs.map((pair, i) => ({
      name: `w.${i}`,
      dtype: 'BF16' as const,
      shape,
      data: pair[side],
    }));
    await writeFile(join(folder, file), safetensorsBytes(tensors));
  }
  return pairs;
}

/** How far two BF16 tensors are apart, in representable values. */
export interface RankDistances {
  readonly equalShare: number;
  /** Elements more than one representable value apart. */
  readonly overOne: number;
  /** Elements apart by more than one unit in the last place of the largest weight that takes part: base's, x's or y's. */
  readonly overOneUlp: number;
}

export function rankDistances(x: Uint8Array, y: Uint8Array, base: Uint8Array): RankDistances {
  const [xs, ys, bases] = [x, y, base].map((bytes) => new Uint16Array(new Uint8Array(bytes).buffer)) as [
    Uint16Array,
    Uint16Array,
    Uint16Array,
  ];
  let equal = 0;
  let overOne = 0;
  let overOneUlp = 0;
  for (let i = 0; i < xs.length; i++) {
    const distance = Math.abs(ordinal(xs[i]!) - ordinal(ys[i]!));
    if (distance === 0) equal++;
    if (distance <= 1) continue;
    overOne++;
    const exponent = Math.max(1, ...[xs[i]!, ys[i]!, bases[i]!].map((bits) => (bits >> 7) & 255));
    if (Math.abs(bfloat16(xs[i]!) - bfloat16(ys[i]!)) > 2 ** (exponent - 134)) overOneUlp++;
  }
  return { equalShare: equal / xs.length, overOne, overOneUlp };
}

/** Position of a BF16 among all, 0 for ±0. */
function ordinal(bits: number): number {
  return bits & 0x8000 ? -(bits & 0x7fff) : bits;
}

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

function bfloat16(bits: number): number {
  word[0] = bits << 16;
  return float[0]!;
}

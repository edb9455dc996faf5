/** Generated pairs for exact coding: a base N(0, 0.02²), and a fine-tune with noise, low rank or sparse steps. */
import type { FloatDtype } from '../../formats/dtype.js';
import { elementByteLength } from '../../src/kernels/arguments.js';
import { normalFloats, randomBits, wasm } from '../kernels/samples.js';

export interface ExactPair {
  readonly base: Uint8Array;
  readonly values: Uint8Array;
  /** Low-rank part of the residual in float32; all 0 where there is none. */
  readonly lowRank: Float32Array;
  /** About log2 of the mean difference, minus 6. */
  readonly unit: number;
}

function rounded(dtype: FloatDtype, values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(values.length * elementByteLength(dtype));
  wasm.fromFloat32(dtype, values, bytes);
  return bytes;
}

/** Base + rank-`rank` part with entries of deviation `strength` + N(0, noise²), rounded to dtype. */
export function exactPair(
  dtype: FloatDtype,
  rows: number,
  columns: number,
  noise: number,
  { rank = 0, strength = 0, seed = 1 } = {},
): ExactPair {
  const count = rows * columns;
  const base = rounded(dtype, normalFloats(count, seed, 0.02));
  const lowRank = new Float32Array(count);
  const left = normalFloats(rows * rank, seed + 1);
  const right = normalFloats(rank * columns, seed + 2, strength / Math.sqrt(Math.max(1, rank)));
  wasm.gemm({ m: rows, n: columns, k: rank, a: left, b: right, c: lowRank });
  const tuned = normalFloats(count, seed + 3, noise);
  const start = new Float32Array(count);
  wasm.toFloat32(dtype, base, start);
  for (let i = 0; i < count; i++) tuned[i] += start[i] + lowRank[i];
  const spread = Math.hypot(noise, strength);
  return { base, values: rounded(dtype, tuned), lowRank, unit: Math.floor(Math.log2(spread)) - 6 };
}

/** A step of training: `share` of the elements one representable value up or down. */
export function sparsePair(
  dtype: FloatDtype,
  rows: number,
  columns: number,
  share: number,
  seed = 1,
): ExactPair {
  const count = rows * columns;
  const width = elementByteLength(dtype);
  const base = rounded(dtype, normalFloats(count, seed, 0.02));
  const values = base.slice();
  const next = randomBits(seed + 1);
  for (let i = 0; i < count; i++) {
    if (next() >= share * 2 ** 32) continue;
    // Up or down in the pattern is away from zero or towards it; the low bytes carry.
    let carry = next() & 1 ? 1 : -1;
    for (let b = i * width; b < (i + 1) * width && carry !== 0; b++) {
      const sum = values[b] + carry;
      values[b] = sum;
      carry = sum >> 8;
    }
  }
  return { base, values, lowRank: new Float32Array(count), unit: -20 };
}

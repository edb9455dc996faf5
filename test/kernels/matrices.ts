/** Matrices for the tests of coders. */
import { gaussians } from './gaussians.js';
import { randomBits } from './samples.js';

/** Kinds of `matrixOf`. */
export const KINDS = 6;

/** Matrices of every temper: quiet, loud, sparse, of scaled rows and columns, with values that are no numbers. */
export function matrixOf(rows: number, columns: number, kind: number, seed: number): Float32Array {
  const out = gaussians(rows * columns, seed);
  const next = randomBits(seed + 1);
  const factors = gaussians(rows + columns, seed + 2);
  return out.map((x, i) => {
    const row = Math.floor(i / columns);
    const scale = Math.exp(1.5 * (factors[row] + factors[rows + (i % columns)]));
    if (kind === 0) return x * 0.4;
    if (kind === 1) return x * scale;
    if (kind === 2) return next() % 50 === 0 ? x * 3 : 0;
    if (kind === 3) return row % 3 === 0 ? 0 : x * 2 ** (next() % 24);
    if (kind === 4)
      return [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e30, -3e4, -0][next() % 6];
    return x * 20;
  });
}

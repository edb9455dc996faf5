/**
 * Random test matrices of the range finder: seeded, and the same bits on every machine, because
 * only integer operations and exactly rounded float64 ones take part (no Math.log or Math.cos).
 */
import { createMatrix, type Matrix } from './matrix.js';

/** xoshiro128** 1.1 (Blackman and Vigna, 2018): integers in [0, 2³²) from a state of four words, not all zero. */
export function xoshiro128(state: readonly [number, number, number, number]): () => number {
  let [s0, s1, s2, s3] = state;
  return () => {
    const product = Math.imul(s1, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9);
    const shifted = s1 << 9;
    s2 ^= s0;
    s3 ^= s1;
    s1 ^= s2;
    s0 ^= s3;
    s2 ^= shifted;
    s3 = (s3 << 11) | (s3 >>> 21);
    return result >>> 0;
  };
}

/** xoshiro128** with its state from a 32-bit seed by splitmix32, which never gives four zeros in a row. */
export function createRandom(seed: number): () => number {
  let mix = seed | 0;
  const next = (): number => {
    mix = (mix + 0x9e3779b9) | 0;
    let z = mix ^ (mix >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return z ^ (z >>> 15);
  };
  return xoshiro128([next(), next(), next(), next()]);
}

/**
 * rows × columns of independent, nearly normal values with mean 0 and variance 1: the number of ones
 * among 32 random bits, minus 16, plus a uniform value in [−½, ½) that fills the gaps between the
 * integers. Variance 32/4 + 1/12. Sub-Gaussian with excess kurtosis −0.06, and bounded by 5.8: as good
 * as Gaussian for a sketch.
 */
export function sketchMatrix(rows: number, columns: number, seed: number): Matrix {
  const random = createRandom(seed);
  const result = createMatrix(rows, columns);
  const scale = 1 / Math.sqrt(8 + 1 / 12);
  for (let i = 0; i < result.data.length; i++) {
    const uniform = random() / 4294967296 - 0.5;
    result.data[i] = (countOnes(random()) - 16 + uniform) * scale;
  }
  return result;
}

/** Number of one bits of a 32-bit integer. */
function countOnes(value: number): number {
  let bits = value - ((value >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** Truncated SVD of a streamed matrix by the cheaper of the two algorithms. */

import { exactSvd } from './exact-svd.js';
import type { GemmEngine } from './gemm-engine.js';
import { assertDimension } from './matrix.js';
import type { MatrixStream } from './matrix-stream.js';
import { defaultOversample, randomizedSvd } from './randomized-svd.js';
import type { TruncatedSvd } from './svd-result.js';

export interface TruncatedSvdOptions {
  /** Components wanted, at most. */
  readonly maxRank: number;
  readonly engine: GemmEngine;
  /** Seed of the randomised algorithm; default 0. */
  readonly seed?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The strongest components of R, at most `maxRank`: exact for small matrices and ranks near the full
 * one, randomised otherwise. The guarantees and errors are those of randomizedSvd.
 */
export async function truncatedSvd(
  stream: MatrixStream,
  options: TruncatedSvdOptions,
): Promise<TruncatedSvd> {
  const { maxRank, engine, seed = 0, signal } = options;
  assertDimension('maxRank', maxRank);
  const shortSide = Math.min(stream.rows, stream.columns);
  const rank = Math.min(maxRank, shortSide);
  return prefersExact(shortSide, rank)
    ? exactSvd(stream, { rank, engine, signal })
    : randomizedSvd(stream, { rank, seed, engine, signal });
}

/** Up to here the full eigenproblem takes 5 ms, less than is worth approximating. */
const alwaysExactSide = 64;
/**
 * Sketches wider than this share of the short side cost as much as the full eigenproblem: its time
 * goes with the cube of the size, and the sketch pays for its passes and orthonormalisations besides.
 * Measured at 256: the two meet at 0.7 to 0.8 (100 ms).
 */
const exactShare = 0.75;

/** Whether the exact algorithm is at least as fast; short side and rank of the matrix at hand. */
export function prefersExact(shortSide: number, rank: number): boolean {
  return shortSide <= alwaysExactSide || rank + defaultOversample(rank) >= exactShare * shortSide;
}

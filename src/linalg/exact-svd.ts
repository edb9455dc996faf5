/**
 * Full SVD of a matrix with a short side, cut at a rank: the float64 Gram matrix of the short side, its
 * eigenvectors by ml-matrix, and the long side by one product. Nothing random takes part.
 */
import type { GemmEngine } from './gemm-engine.js';
import { assertDimension, type Matrix, squaredNorm, transpose } from './matrix.js';
import { collectStream, type MatrixStream } from './matrix-stream.js';
import { assertFiniteEnergy } from './stream-products.js';
import { emptySvd, finishSvd, solveProjected, type TruncatedSvd } from './svd-result.js';

export interface ExactSvdOptions {
  /** Components wanted; default: all. */
  readonly rank?: number;
  readonly engine: GemmEngine;
  readonly signal?: AbortSignal | undefined;
}

/** Holds the whole matrix in memory, and its transpose when it is wide. */
export async function exactSvd(stream: MatrixStream, options: ExactSvdOptions): Promise<TruncatedSvd> {
  const { engine, signal } = options;
  const { rows, columns } = stream;
  const rank = options.rank ?? Math.min(rows, columns);
  assertDimension('rank', rank);
  signal?.throwIfAborted();
  const matrix = await collectStream(stream, signal);
  const energy = assertFiniteEnergy(squaredNorm(matrix), rows, columns);
  if (rank === 0 || energy === 0) return emptySvd(rows, columns, energy, 'exact');
  const wide = columns > rows;
  const long: Matrix = wide ? transpose(matrix) : matrix;
  const { singularValues, side, rotation } = await solveProjected(long, { rank, engine, signal });
  const [left, right] = wide ? [rotation, side] : [side, rotation];
  return finishSvd(left, right, singularValues, energy, 'exact');
}

/** Residuals as the parts of a subspace, from their streams and the leading components of their stack. */
import type { LowRankFactors } from '../codecs/low-rank.js';
import type { GemmEngine } from '../linalg/gemm-engine.js';
import type { MatrixStream } from '../linalg/matrix-stream.js';
import { streamProducts } from '../linalg/stream-products.js';
import type { SubspacePart, SubspaceSource } from './encode-subspace.js';

export interface GroupMember {
  readonly stream: MatrixStream;
  /** ‖R‖². */
  readonly energy: number;
}

/** Residuals of the same columns that share a basis of them. @param svd of their rows stacked in order */
export function stackedSource(
  members: readonly GroupMember[],
  svd: LowRankFactors,
  rank: number,
  engine: GemmEngine,
): SubspaceSource {
  const parts = members.map(({ stream, energy }): SubspacePart => {
    const { forward, backward } = streamProducts(stream, { engine });
    return { length: stream.rows, energy, project: forward, collect: backward };
  });
  const { columns, singularValues, v } = svd;
  return { side: 'columns', dimension: columns, parts, rank, vectors: v, singularValues };
}

/**
 * One residual, its basis on the shorter side, or on that of the rows where columns have weights: those belong to
 * coefficients.
 * @param svd of R · diag(√columnWeights)
 */
export function singleSource(
  { stream, energy }: GroupMember,
  svd: LowRankFactors,
  rank: number,
  engine: GemmEngine,
  columnWeights?: Float32Array,
): SubspaceSource {
  const { rows, columns } = stream;
  const { forward, backward } = streamProducts(stream, { engine });
  const { singularValues } = svd;
  if (columnWeights === undefined && columns <= rows) {
    const part = { length: rows, energy, project: forward, collect: backward };
    return { side: 'columns', dimension: columns, parts: [part], rank, vectors: svd.v, singularValues };
  }
  const part = { length: columns, energy, project: backward, collect: forward, weights: columnWeights };
  return { side: 'rows', dimension: rows, parts: [part], rank, vectors: svd.u, singularValues };
}

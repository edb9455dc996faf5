/** SVD of a product A·Bᵀ that is given by its factors, without forming it. */
import type { GemmEngine } from './gemm-engine.js';
import { createMatrix, type Matrix, squaredNorm } from './matrix.js';
import { orthonormalize } from './orthonormalize.js';
import { finishSvd, solveProjected, type TruncatedSvd } from './svd-result.js';

/**
 * A·Bᵀ = U Σ Vᵀ for A: m × k, B: n × k, by A = Q·(QᵀA) and the small problem of M = B·(QᵀA)ᵀ.
 * @returns at most k components; less where columns are dependent up to rounding
 */
export async function productSvd(
  a: Matrix,
  b: Matrix,
  options: { readonly engine: GemmEngine; readonly signal?: AbortSignal },
): Promise<TruncatedSvd> {
  const { engine } = options;
  const { q } = await orthonormalize(a, options);
  const triangle = await engine.multiply(q, a, { transposeA: true }); // c × k
  const projected = await engine.multiply(b, triangle, { transposeB: true }); // n × c
  const { singularValues, side, rotation } = await solveProjected(projected, { rank: q.columns, ...options });
  const left = await engine.multiply(q, rotation);
  return finishSvd(left, side, singularValues, squaredNorm(projected), 'exact');
}

/** u_k·√σ_k (m × k) and v_k·√σ_k (n × k) as matrices, for refits. */
export function balancedFactors(
  svd: Pick<TruncatedSvd, 'rows' | 'columns' | 'singularValues' | 'u' | 'v'>,
  rank: number,
): { a: Matrix; b: Matrix } {
  const side = (vectors: Float32Array, length: number): Matrix => {
    const result = createMatrix(length, rank);
    for (let k = 0; k < rank; k++) {
      const weight = Math.sqrt(svd.singularValues[k]!);
      for (let i = 0; i < length; i++) result.data[i * rank + k] = vectors[k * length + i]! * weight;
    }
    return result;
  };
  return { a: side(svd.u, svd.rows), b: side(svd.v, svd.columns) };
}

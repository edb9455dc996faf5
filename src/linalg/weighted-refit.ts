/**
 * Weighted low-rank approximation by alternating least squares: A, B that minimise
 * Σ_ij w_ij · (r_ij − a_i·b_j)², with a weight for every entry (Srebro and Jaakkola 2003).
 *
 * With one side fixed, each row of the other is a k × k system of its own. All systems of a block come
 * out of two products: W · [b_jp·b_jq]_{p ≥ q} gives their matrices, (W ∘ R) · B their right sides. So the
 * work is GEMM, m·n·k² of it, and the residual is read once an iteration.
 */
import type { GemmEngine } from './gemm-engine.js';
import { createMatrix, type Matrix, rowRange } from './matrix.js';

/** A block of rows of R with the weights of its entries. */
export interface WeightedBlock {
  readonly start: number;
  readonly residual: Matrix;
  /** As large as `residual`, in (0, 1]. */
  readonly weights: Matrix;
}

export interface WeightedRefitOptions {
  readonly engine: GemmEngine;
  readonly signal?: AbortSignal | undefined;
}

/** Columns of a matrix of products: one for each p ≥ q. */
export function pairCount(rank: number): number {
  return (rank * (rank + 1)) / 2;
}

/**
 * One iteration: all rows of A for the given B, then B for the new A.
 * @param blocks every row once, ascending; the buffers of a block may be used again for the next
 * @param a m × k, overwritten; @param b n × k, overwritten
 */
export async function weightedRefit(
  blocks: AsyncIterable<WeightedBlock>,
  a: Matrix,
  b: Matrix,
  { engine, signal }: WeightedRefitOptions,
): Promise<void> {
  const rank = a.columns;
  const pairs = pairCount(rank);
  const systems = createMatrix(b.rows, pairs);
  const rightSides = createMatrix(b.rows, rank);
  const bProducts = pairProducts(b);
  for await (const { start, residual, weights } of blocks) {
    signal?.throwIfAborted();
    const weighted = hadamard(weights, residual);
    const rows = rowRange(a, start, start + residual.rows);
    solveRows(await engine.multiply(weights, bProducts), await engine.multiply(weighted, b), rows);
    const options = { transposeA: true, accumulate: start > 0 };
    await engine.multiply(weights, pairProducts(rows), { ...options, into: systems });
    await engine.multiply(weighted, rows, { ...options, into: rightSides });
  }
  solveRows(systems, rightSides, b);
}

/** x_ip · x_iq for p ≥ q, row by row: rows × k(k+1)/2. */
function pairProducts(x: Matrix): Matrix {
  const { rows, columns: rank, data } = x;
  const result = createMatrix(rows, pairCount(rank));
  let at = 0;
  for (let i = 0; i < rows; i++) {
    for (let p = 0; p < rank; p++) {
      for (let q = 0; q <= p; q++) result.data[at++] = data[i * rank + p]! * data[i * rank + q]!;
    }
  }
  return result;
}

function hadamard(x: Matrix, y: Matrix): Matrix {
  const result = createMatrix(x.rows, x.columns);
  for (let i = 0; i < result.data.length; i++) result.data[i] = x.data[i]! * y.data[i]!;
  return result;
}

/**
 * Solves G_i · x_i = h_i for every row by Cholesky in float64. A system that is not positive
 * definite up to float32 rounding leaves its row of `x` as it was.
 */
function solveRows(systems: Matrix, rightSides: Matrix, x: Matrix): void {
  const rank = x.columns;
  const pairs = pairCount(rank);
  const lower = new Float64Array(pairs);
  const solution = new Float64Array(rank);
  for (let i = 0; i < x.rows; i++) {
    const system = systems.data.subarray(i * pairs, (i + 1) * pairs);
    if (!cholesky(system, rank, lower)) continue;
    for (let p = 0; p < rank; p++) {
      let sum = rightSides.data[i * rank + p]!;
      const row = pairCount(p);
      for (let q = 0; q < p; q++) sum -= lower[row + q]! * solution[q]!;
      solution[p] = sum / lower[row + p]!;
    }
    for (let p = rank - 1; p >= 0; p--) {
      let sum = solution[p]!;
      for (let q = p + 1; q < rank; q++) sum -= lower[pairCount(q) + p]! * solution[q]!;
      solution[p] = sum / lower[pairCount(p) + p]!;
    }
    x.data.set(solution, i * rank);
  }
}

/** Share of a diagonal entry that must be left of it: what float32 products carry. */
const SMALLEST_PIVOT = 1e-6;

/** L with L·Lᵀ = G, both as lower triangles row by row; false when G is not positive definite. */
function cholesky(system: Float32Array, rank: number, lower: Float64Array): boolean {
  for (let p = 0; p < rank; p++) {
    const row = pairCount(p);
    for (let q = 0; q <= p; q++) {
      const other = pairCount(q);
      let sum = system[row + q]!;
      for (let s = 0; s < q; s++) sum -= lower[row + s]! * lower[other + s]!;
      if (p === q) {
        if (!(sum > SMALLEST_PIVOT * system[row + p]!)) return false;
        lower[row + p] = Math.sqrt(sum);
      } else {
        lower[row + q] = sum / lower[other + q]!;
      }
    }
  }
  return true;
}

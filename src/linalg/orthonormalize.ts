/**
 * Orthonormal columns by Cholesky-QR, repeated: G = AᵀA = RᵀR, A ← A · R⁻¹
 * (Yamamoto et al. 2015; Fukaya et al., SIAM J. Sci. Comput. 42, 2020). All O(m k²) work is GEMM.
 *
 * Fukaya et al. shift G where its Cholesky factor would break down, because their G has the precision
 * of A. Here A is float32 and G float64, so that G carries the whole condition number a float32 matrix
 * can have (10⁷): the factor breaks down only for columns that are dependent up to rounding, and those
 * are dropped instead of shifted. They are rounding noise, and a shift would blow them up.
 */
import { invertGramFactor } from './cholesky.js';
import type { GemmEngine } from './gemm-engine.js';
import { createMatrix, type Matrix } from './matrix.js';

/** A column with less than this share of its norm outside the span of the earlier ones is rounding noise of float32. */
const dependenceTolerance = 1e-6;
/** Norms below this leave no room for 1 / norm in float32; such columns count as zero. */
const zeroNorm = 1e-30;
/** Largest entry of |QᵀQ − I| that counts as orthonormal; float32 rounding leaves a few 1e-7. */
const orthonormalTolerance = 1e-6;
/** A pass that starts below this ends orthonormal to rounding. */
const lastPassDeviation = 0.1;
/** Two passes are the rule, three happen near the tolerance; more would mean no convergence. */
const maximumPasses = 5;

export interface OrthonormalizeOptions {
  readonly engine: GemmEngine;
  /**
   * 'full' (default): |QᵀQ − I| ≤ 1e-6. 'once': a single pass, which makes the columns well
   * conditioned but not orthonormal: enough between two power iterations.
   */
  readonly effort?: 'full' | 'once';
  readonly signal?: AbortSignal | undefined;
}

export interface Orthonormalized {
  /** m × c with c ≤ k: orthonormal columns that span those of the input up to float32 rounding. */
  readonly q: Matrix;
  /** For each column of q the column of the input it stands for, ascending; length c. */
  readonly kept: Uint32Array;
}

/** Orthonormal basis of the columns of `a` (m × k), earlier columns first. `a` is not changed. */
export async function orthonormalize(a: Matrix, options: OrthonormalizeOptions): Promise<Orthonormalized> {
  const { engine, effort = 'full', signal } = options;
  let q = a;
  let kept = Uint32Array.from({ length: a.columns }, (_, index) => index);
  for (let pass = 0; pass < maximumPasses; pass++) {
    signal?.throwIfAborted();
    const gram = await engine.gram(q);
    const deviation = deviationFromIdentity(gram, q.columns);
    if (Number.isNaN(deviation))
      throw new RangeError('expected finite columns to orthonormalise, got NaN or infinity');
    if (deviation <= orthonormalTolerance) break;
    const factor = invertGramFactor(gram, q.columns, { tolerance: dependenceTolerance, zeroNorm });
    const count = factor.kept.length;
    if (count < q.columns) kept = factor.kept.map((index) => kept[index]);
    const inverse = createMatrix(q.columns, count, new Float32Array(factor.inverse));
    q = await engine.multiply(q, inverse);
    if (effort === 'once' || deviation <= lastPassDeviation) break;
  }
  return { q, kept };
}

/** max |G − I|; NaN when any entry is. */
function deviationFromIdentity(gram: Float64Array, size: number): number {
  let largest = 0;
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      const difference = Math.abs(gram[i * size + j] - (i === j ? 1 : 0));
      if (!(difference <= largest)) largest = difference;
      if (Number.isNaN(difference)) return Number.NaN;
    }
  }
  return largest === Number.POSITIVE_INFINITY ? Number.NaN : largest;
}

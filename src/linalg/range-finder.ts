/**
 * The range finder of the randomised SVDs: an orthonormal Q whose span holds the strong directions of R.
 * Halko, Martinsson and Tropp, SIAM Review 53 (2011), algorithm 4.4, from a random test matrix Ω:
 *
 *     Q = orth(RΩ);  q times: Q = orth(R · orth(RᵀQ))
 *
 * A span K that was found before is kept and taken out of R (their section 4.4; by blocks: Yu, Gu and Li,
 * SIAM J. Matrix Anal. Appl. 39, 2018): the same steps then run on (I − KKᵀ)R, so that what is found
 * lies outside of K and only its own columns are multiplied with R.
 */
import type { GemmEngine } from './gemm-engine.js';
import { type Matrix, squaredNorm } from './matrix.js';
import { orthonormalize } from './orthonormalize.js';
import type { StreamProducts } from './stream-products.js';

/**
 * The power iterations end when the squared remainder ‖R − QQᵀR‖² fell by less than this share in the
 * last one. The decreases shrink at least as a geometric series, so what is left to gain is then about
 * as much: 1 % in the norm. Measured over Gaussian, linear, square-root, power-law and staircase
 * spectra, square, tall and wide, keeping 2 % to 65 % of the rank (test/bench/svd.ts): 1 to 6
 * iterations, and an error at most 1.5 % above the optimum at every rank. A fixed two: 4.2 %. The iteration
 * that only shows the end is not wasted: without it a value at the end came out up to 2.6 % low.
 */
const convergedDecrease = 0.02;
/** Below this share of ‖R‖² the remainder is a difference of two sums too close, in float32, to show a decrease of 2 %. */
const smallestVisibleRemainder = 1e-5;
/** Iterations where the decrease cannot be seen; 1.0 % above the optimum in the worst case measured. */
const blindPowerIterations = 4;
/** A bound on the passes; the spectra above end by themselves. */
const maximumPowerIterations = 6;

/** R or Rᵀ, whichever is tall. */
export interface TallOperator {
  /** short × k → long × k. */
  readonly toLong: StreamProducts['forward'];
  /** long × k → short × k. */
  readonly toShort: StreamProducts['forward'];
  readonly energy: StreamProducts['energy'];
}

export function tallOperator(rows: number, columns: number, products: StreamProducts): TallOperator {
  const { forward, backward, energy } = products;
  return columns > rows
    ? { toLong: backward, toShort: forward, energy }
    : { toLong: forward, toShort: backward, energy };
}

export interface FindRangeOptions {
  readonly engine: GemmEngine;
  /** Orthonormal columns found before, long × w, and what they hold of ‖R‖²; default: none. */
  readonly known?: { readonly range: Matrix; readonly energy: number };
  /** q, 0 or more. Default: until the remainder no longer falls, 1 to 6. */
  readonly powerIterations?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * From a test matrix (short × k): Q with orthonormal columns (long × at most k) outside of what is known,
 * and R's product with it (short × as many). The squared norm of that product is what Q holds of ‖R‖²,
 * which tells when further power iterations do not help.
 */
export async function findRange(
  operator: TallOperator,
  test: Matrix,
  options: FindRangeOptions,
): Promise<{ range: Matrix; projected: Matrix }> {
  const { engine, known, powerIterations, signal } = options;
  // Blocks that follow one another share the allowance by their columns: the whole is as near the optimum then,
  // however many they are (worst of five blocks 1.3 %, and 3.4 % where each had all of it).
  const tolerance = (convergedDecrease * test.columns) / ((known?.range.columns ?? 0) + test.columns);
  let directions = test;
  let remainder = Number.POSITIVE_INFINITY;
  for (let iteration = 0; ; iteration++) {
    const range = await orthonormalOutside(await operator.toLong(directions), known?.range, {
      engine,
      signal,
    });
    const projected = await operator.toShort(range);
    const energy = await operator.energy();
    const previous = remainder;
    remainder = energy - (known?.energy ?? 0) - squaredNorm(projected);
    const enough =
      powerIterations ??
      (remainder < smallestVisibleRemainder * energy ? blindPowerIterations : maximumPowerIterations);
    const converged =
      powerIterations === undefined &&
      remainder >= smallestVisibleRemainder * energy &&
      previous - remainder < tolerance * remainder;
    if (iteration >= enough || converged || range.columns === 0) return { range, projected };
    directions = (await orthonormalize(projected, { engine, effort: 'once', signal })).q;
  }
}

/**
 * Orthonormal basis of the columns of `a` once `known` is taken out of them: twice, as the first time
 * leaves the rounding of what it took out, which is not small beside what is left.
 */
async function orthonormalOutside(
  a: Matrix,
  known: Matrix | undefined,
  options: { readonly engine: GemmEngine; readonly signal: AbortSignal | undefined },
): Promise<Matrix> {
  if (known === undefined) return (await orthonormalize(a, options)).q;
  await subtractSpan(a, known, options.engine);
  const { q } = await orthonormalize(a, { ...options, effort: 'once' });
  await subtractSpan(q, known, options.engine);
  return (await orthonormalize(q, options)).q;
}

/** a −= known · (knownᵀ · a), in place. */
async function subtractSpan(a: Matrix, known: Matrix, engine: GemmEngine): Promise<void> {
  const inner = await engine.multiply(known, a, { transposeA: true });
  for (let i = 0; i < inner.data.length; i++) inner.data[i] = -inner.data[i];
  await engine.multiply(known, inner, { into: a, accumulate: true });
}

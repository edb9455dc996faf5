/**
 * Randomised truncated SVD: Halko, Martinsson and Tropp, SIAM Review 53 (2011), algorithms 4.4 and 5.1.
 * Find an orthonormal Q whose span holds the strong directions of R, then solve QᵀR exactly:
 *
 *     Q = orth(RΩ);  q times: Q = orth(R · orth(RᵀQ));  B = QᵀR;  B Bᵀ = W Σ² Wᵀ
 *
 * The random side Ω is the shorter one of R; for a wide R the same steps run on Rᵀ, by transposed
 * products. R is a stream, read 2 + 2q times. In memory: four matrices of (m or n) × k.
 */
import type { GemmEngine } from './gemm-engine.js';
import type { Matrix } from './matrix.js';
import { assertDimension, squaredNorm } from './matrix.js';
import type { MatrixStream } from './matrix-stream.js';
import { orthonormalize } from './orthonormalize.js';
import { sketchMatrix } from './sketch.js';
import { type StreamProducts, streamProducts } from './stream-products.js';
import { emptySvd, finishSvd, solveProjected, type TruncatedSvd } from './svd-result.js';

export interface RandomizedSvdOptions {
  /** Components wanted. */
  readonly rank: number;
  /** Further columns of the sketch; default: defaultOversample(rank). */
  readonly oversample?: number;
  /** q, 0 or more. Default: until the remainder no longer falls, 1 to 6. */
  readonly powerIterations?: number;
  /** Seed of Ω, a 32-bit integer; default 0. Equal seeds give equal bits on one machine and engine. */
  readonly seed?: number;
  readonly engine: GemmEngine;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The power iterations end when the squared remainder ‖R − QQᵀR‖² fell by less than this share in the
 * last one. The decreases shrink at least as a geometric series, so what is left to gain is then about
 * as much: 1 % in the norm. Measured over Gaussian, linear, square-root, power-law and staircase
 * spectra, square, tall and wide, keeping 2 % to 65 % of the rank (test/bench/svd.ts): 1 to 6
 * iterations, and an error at most 1.5 % above the optimum at every rank. A fixed two: 4.2 %.
 */
const convergedDecrease = 0.02;
/** Below this share of ‖R‖² the remainder is a difference of two sums too close, in float32, to show a decrease of 2 %. */
const smallestVisibleRemainder = 1e-5;
/** Iterations where the decrease cannot be seen; 1.0 % above the optimum in the worst case measured. */
const blindPowerIterations = 4;
/** A bound on the passes; the spectra above end by themselves. */
const maximumPowerIterations = 6;

/** Default number of further columns of the sketch. */
export function defaultOversample(rank: number): number {
  return Math.max(10, Math.ceil(0.1 * rank));
}

/**
 * The strongest components of R, at most `rank`, with ‖R − R_r‖ within 2 % of the Eckart–Young optimum
 * for every r up to the rank found, as far as float32 products can show: optima below 10⁻⁵ · ‖R‖ drown
 * in rounding. Throws RangeError when R has an entry that is not finite, and the signal's reason on abort.
 */
export async function randomizedSvd(
  stream: MatrixStream,
  options: RandomizedSvdOptions,
): Promise<TruncatedSvd> {
  const { rank, engine, signal, seed = 0, oversample = defaultOversample(rank), powerIterations } = options;
  assertDimension('rank', rank);
  assertDimension('oversample', oversample);
  if (powerIterations !== undefined) assertDimension('powerIterations', powerIterations);
  signal?.throwIfAborted();
  const { rows, columns } = stream;
  const shortSide = Math.min(rows, columns);
  const width = Math.min(rank + oversample, shortSide);
  const products = streamProducts(stream, { engine, signal });
  if (rank === 0 || width === 0) return emptySvd(rows, columns, await products.energy(), 'randomized');

  const wide = columns > rows;
  const operator: Operator = {
    toLong: wide ? products.backward : products.forward,
    toShort: wide ? products.forward : products.backward,
    energy: products.energy,
  };
  const test = sketchMatrix(shortSide, width, seed);
  const { range, projected } = await findRange(operator, test, { engine, powerIterations, signal });
  const { singularValues, side, rotation } = await solveProjected(projected, { rank, engine, signal });
  const long = await engine.multiply(range, rotation);
  const [left, right] = wide ? [side, long] : [long, side];
  return finishSvd(left, right, singularValues, await products.energy(), 'randomized');
}

/** R or Rᵀ, whichever is tall. */
interface Operator {
  /** short × k → long × k. */
  readonly toLong: StreamProducts['forward'];
  /** long × k → short × k. */
  readonly toShort: StreamProducts['forward'];
  readonly energy: StreamProducts['energy'];
}

/**
 * From a test matrix (short × k): Q with orthonormal columns (long × at most k), and R's product with
 * it (short × as many). The squared norm of that product is what Q holds of ‖R‖², which tells when
 * further power iterations do not help.
 */
async function findRange(
  operator: Operator,
  test: Matrix,
  options: {
    readonly engine: GemmEngine;
    readonly powerIterations: number | undefined;
    readonly signal: AbortSignal | undefined;
  },
): Promise<{ range: Matrix; projected: Matrix }> {
  const { engine, powerIterations, signal } = options;
  let directions = test;
  let remainder = Number.POSITIVE_INFINITY;
  for (let iteration = 0; ; iteration++) {
    const { q: range } = await orthonormalize(await operator.toLong(directions), { engine, signal });
    const projected = await operator.toShort(range);
    const energy = await operator.energy();
    const previous = remainder;
    remainder = energy - squaredNorm(projected);
    const enough =
      powerIterations ??
      (remainder < smallestVisibleRemainder * energy ? blindPowerIterations : maximumPowerIterations);
    const converged =
      powerIterations === undefined &&
      remainder >= smallestVisibleRemainder * energy &&
      previous - remainder < convergedDecrease * remainder;
    if (iteration >= enough || converged || range.columns === 0) return { range, projected };
    directions = (await orthonormalize(projected, { engine, effort: 'once', signal })).q;
  }
}

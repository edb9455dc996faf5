/**
 * Randomised truncated SVD: Halko, Martinsson and Tropp, SIAM Review 53 (2011), algorithms 4.4 and 5.1.
 * Find an orthonormal Q whose span holds the strong directions of R (range-finder.ts), then solve QᵀR exactly:
 *
 *     B = QᵀR;  B Bᵀ = W Σ² Wᵀ
 *
 * The random side is the shorter one of R; for a wide R the same steps run on Rᵀ, by transposed
 * products. R is a stream, read 2 + 2q times. In memory: four matrices of (m or n) × k.
 *
 * The result can grow: further components are looked for outside of the span of those that are known, which
 * takes products with R of the new ones only, and the small problem is solved for all together.
 */
import type { GemmEngine } from './gemm-engine.js';
import { assertDimension, besideColumns, createMatrix, type Matrix, transpose } from './matrix.js';
import type { MatrixStream } from './matrix-stream.js';
import { findRange, tallOperator } from './range-finder.js';
import { sketchMatrix } from './sketch.js';
import { streamProducts } from './stream-products.js';
import { emptySvd, finishSvd, leadingComponents, solveProjected, type TruncatedSvd } from './svd-result.js';

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
  /** ‖R‖² where it is known and finite; default: measured. */
  readonly energy?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

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
  const { rank, oversample = defaultOversample(rank), ...rest } = options;
  assertDimension('rank', rank);
  assertDimension('oversample', oversample);
  const width = rank === 0 ? 0 : rank + oversample;
  return leadingComponents(await extendRange(stream, undefined, { ...rest, width }), rank);
}

export interface ExtendRangeOptions extends Omit<RandomizedSvdOptions, 'rank' | 'oversample'> {
  /** Components wanted together with the known ones. */
  readonly width: number;
}

/**
 * As many components as `width` says, those of `known` among them; the last of them, an oversample, lie below the
 * accuracy of randomizedSvd, and serve to grow from. Fewer where R has no more than rounding noise left.
 */
export async function extendRange(
  stream: MatrixStream,
  known: TruncatedSvd | undefined,
  options: ExtendRangeOptions,
): Promise<TruncatedSvd> {
  const { engine, signal, seed = 0, powerIterations } = options;
  assertDimension('width', options.width);
  if (powerIterations !== undefined) assertDimension('powerIterations', powerIterations);
  signal?.throwIfAborted();
  const { rows, columns } = stream;
  const wide = columns > rows;
  const shortSide = Math.min(rows, columns);
  const width = Math.min(options.width, shortSide);
  const before = known?.rank ?? 0;
  if (known !== undefined && width <= before) return known;
  const products = streamProducts(stream, { engine, signal, energy: known?.energy ?? options.energy });
  if (width === 0) return emptySvd(rows, columns, await products.energy(), 'randomized');

  const basis = known === undefined || before === 0 ? undefined : basisOf(known, wide);
  // The width makes the test matrix of every block another one.
  const test = sketchMatrix(shortSide, width - before, seed + before);
  const found = await findRange(tallOperator(rows, columns, products), test, {
    engine,
    powerIterations,
    signal,
    ...(basis === undefined ? {} : { known: basis }),
  });
  const range = basis === undefined ? found.range : besideColumns(basis.range, found.range);
  const projected = basis === undefined ? found.projected : besideColumns(basis.projected, found.projected);
  const { singularValues, side, rotation } = await solveProjected(projected, { rank: width, engine, signal });
  const long = await engine.multiply(range, rotation);
  const [left, right] = wide ? [side, long] : [long, side];
  return finishSvd(left, right, singularValues, await products.energy(), 'randomized');
}

/** The long side of known components (long × w), R's product with it (short × w), and what they hold of ‖R‖². */
function basisOf(
  { rows, columns, rank, u, v, singularValues }: TruncatedSvd,
  wide: boolean,
): { range: Matrix; projected: Matrix; energy: number } {
  const left = transpose(createMatrix(rank, rows, u));
  const right = transpose(createMatrix(rank, columns, v));
  const [range, projected] = wide ? [right, left] : [left, right];
  for (let i = 0; i < projected.data.length; i++) projected.data[i] *= singularValues[i % rank];
  return { range, projected, energy: singularValues.reduce((sum, sigma) => sum + sigma * sigma, 0) };
}

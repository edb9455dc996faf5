/**
 * Recovers the product B·A of W_ft = round(W_base + B·A) better than the truncated SVD of the residual
 * does, where rounding-floor.ts finds such a product.
 *
 * The SVD averages the rounding noise of all entries alike. But a small weight is rounded to a finer
 * grid than a large one, so it says more of the product: weighting each entry by the inverse of its
 * variance, ulp²/12, and refitting both factors gains a factor of ten in the error of the product. That is
 * enough for 99 of 100 weights to round to the very bits of the fine-tune, where the SVD has 90.
 */
import type { FloatDtype } from '../../formats/dtype.js';
import { detectRoundingFloor } from '../allocation/rounding-floor.js';
import type { LowRankFactors } from '../codecs/low-rank.js';
import type { GemmEngine } from '../linalg/gemm-engine.js';
import { createMatrix, type Matrix, rowRange } from '../linalg/matrix.js';
import { balancedFactors, productSvd } from '../linalg/product-svd.js';
import { pairCount, type WeightedBlock, weightedRefit } from '../linalg/weighted-refit.js';
import { blockReader, type ReadablePair } from './analyse-tensor.js';
import { countExponents, lookUpExponents, unitsInLastPlace } from './rounding-energy.js';
import { blockRows } from './runtime.js';

export interface RecoveredProduct {
  /** As many components as the product has. */
  readonly factors: LowRankFactors;
  /** Width of factor entries from which on more bits do not make more weights equal. */
  readonly bits: number;
}

export interface RecoverInput {
  /** Truncated SVD of the residual, a few components more than the product has. */
  readonly factors: LowRankFactors;
  /** ‖R‖². */
  readonly energy: number;
  /** Σ ulp²/12 of the fine-tune. */
  readonly roundingEnergy: number;
  readonly engine: GemmEngine;
}

/**
 * Spread of the error that the product is believed to have, by iteration, over that of the SVD. It bounds
 * the weights: entries that round finer than this do not count for more. Four iterations reach a tenth.
 */
const ERROR_SCHEDULE = [1, 1 / 4, 1 / 20, 1 / 20] as const;
const REACHED_ERROR = 1 / 10;
/** Products of pairs of factor entries that may be held at once, in elements: 512 MB. */
const LARGEST_PAIR_PRODUCTS = 1 << 27;

/** The product and the width to code it with; undefined where the residual is more than a rounded product. */
export async function recoverProduct(
  readable: ReadablePair,
  input: RecoverInput,
): Promise<RecoveredProduct | undefined> {
  const { commonRows: rows, columns } = readable.pair;
  const { energy, roundingEnergy, engine } = input;
  const { singularValues } = input.factors;
  const floor = detectRoundingFloor({ rows, columns, energy, singularValues, roundingEnergy });
  if (floor === undefined) return undefined;
  const { a, b } = balancedFactors(input.factors, floor.rank);

  // The SVD keeps r(m + n) of the m·n dimensions of the noise.
  const variance = roundingEnergy / (rows * columns);
  const svdError = Math.sqrt((variance * floor.rank * (rows + columns)) / (rows * columns));
  const isRefined = pairCount(floor.rank) * Math.max(rows, columns) <= LARGEST_PAIR_PRODUCTS;
  if (isRefined) {
    for (const share of ERROR_SCHEDULE) {
      await weightedRefit(weightedBlocks(readable, share * svdError), a, b, { engine });
    }
  }
  if (!(await explains(readable, a, b, engine))) return undefined;
  const factors = await productSvd(a, b, { engine });
  const productEnergy = factors.singularValues.reduce((sum, sigma) => sum + sigma * sigma, 0);
  const bits = await sufficientBits(readable, {
    spread: Math.sqrt(productEnergy / (rows * columns)),
    error: isRefined ? REACHED_ERROR * svdError : svdError,
  });
  return { factors, bits };
}

/** Share of the squared remainder that rounding may leave of it when the product explains the rest. */
const EXPLAINED = 0.5;

/**
 * Whether adding the product and rounding arrives at the fine-tune, on the first row block: then most of
 * what the product leaves of the residual goes away. A sparse update of single ulps stays.
 */
async function explains(readable: ReadablePair, a: Matrix, b: Matrix, engine: GemmEngine): Promise<boolean> {
  const { pair, runtime } = readable;
  const count = Math.min(pair.commonRows, blockRows(pair.columns));
  const { residual, fineTuned, base } = await blockReader(readable)(0, count);
  const product = await engine.multiply(rowRange(a, 0, count), b, { transposeB: true });
  let remainder = 0;
  for (let i = 0; i < residual.length; i++) remainder += (residual[i]! - product.data[i]!) ** 2;
  const decoded = new Uint8Array(fineTuned.byteLength);
  const [dtype, baseDtype] = [pair.fineTuned.dtype, pair.base!.dtype] as [FloatDtype, FloatDtype];
  runtime.kernels.addAndRound(dtype, baseDtype, base, product.data, decoded);
  return runtime.kernels.squaredDistance(dtype, decoded, fineTuned) <= EXPLAINED * remainder;
}

/** Blocks of the residual, each entry weighted by e² / (ulp²/12 + e²) for the given error e. */
async function* weightedBlocks(readable: ReadablePair, error: number): AsyncIterable<WeightedBlock> {
  const { commonRows, columns, fineTuned } = readable.pair;
  const read = blockReader(readable);
  const table = Float32Array.from(
    unitsInLastPlace(fineTuned.dtype),
    (unit) => error ** 2 / ((unit * unit) / 12 + error ** 2),
  );
  const step = blockRows(columns);
  for (let start = 0; start < commonRows; start += step) {
    const count = Math.min(step, commonRows - start);
    const block = await read(start, count);
    const weights = createMatrix(count, columns);
    lookUpExponents(fineTuned.dtype, block.fineTuned, table, weights.data);
    yield { start, residual: createMatrix(count, columns, block.residual), weights };
  }
}

/** Widths that are tried: below 8 bits the rule of the error does not hold, above 16 there are none. */
const SMALLEST_BITS = 8;
const LARGEST_BITS = 16;
/** Relative squared error of a Gaussian at b bits is this · 4^−b: steps that cover ±3.6 spreads, the reach of some thousand values. */
const COVERING_ERROR = 7.2 ** 2 / 12;
/** Share of weights that may differ from the fine-tune: half of what the plain SVD leaves. */
const DIFFERENT_SHARE = 0.05;
/** Where the product itself is not known well enough for that: what the width may add to the share. */
const DIFFERENT_GROWTH = 1.25;

/** The fewest bits at which so few weights differ that more bits would change little. */
async function sufficientBits(
  readable: ReadablePair,
  { spread, error }: { readonly spread: number; readonly error: number },
): Promise<number> {
  const { pair } = readable;
  const units = unitsInLastPlace(pair.fineTuned.dtype);
  const counts = new Float64Array(units.length);
  const { fineTuned } = await blockReader(readable)(0, Math.min(pair.commonRows, blockRows(pair.columns)));
  countExponents(pair.fineTuned.dtype, fineTuned, counts);
  const accepted = Math.max(DIFFERENT_SHARE, DIFFERENT_GROWTH * differentShare(counts, units, error));
  for (let bits = SMALLEST_BITS; bits < LARGEST_BITS; bits++) {
    // Both factors err by the same relative amount; the errors of a product add.
    const squared = error ** 2 + spread ** 2 * 2 * COVERING_ERROR * 4 ** -bits;
    if (differentShare(counts, units, Math.sqrt(squared)) <= accepted) return bits;
  }
  return LARGEST_BITS;
}

/** Mean magnitude of a Gaussian, over its spread: √(2/π). */
const MEAN_MAGNITUDE = Math.sqrt(2 / Math.PI);

/** Share of weights that round to another value when they err by so much: |error| / ulp of each, at most 1. */
function differentShare(counts: Float64Array, units: Float64Array, error: number): number {
  let different = 0;
  let total = 0;
  for (const [exponent, count] of counts.entries()) {
    total += count;
    different += count * Math.min(1, (MEAN_MAGNITUDE * error) / units[exponent]!);
  }
  return different / total;
}

/**
 * The low-rank part of a rate–distortion coded residual: the components above water, each quantised with
 * the step that gives all of them the same distortion (reverse water-filling), one side refitted after
 * the other was quantised, gains refitted at the end.
 *
 * In units of the step s: x_k = u_k σ_k / s is coded with unit step, which is a step of s / σ_k on the unit
 * vector u_k; likewise y_k. Then R̂ = Σ_k g_k qx_k qy_kᵀ with g_k ≈ s² / σ_k.
 */

import type { EncodedTerm } from '../codecs/codec.js';
import { type CodedBand, codedLowRankTerm, type TrellisStates } from '../codecs/coded-low-rank.js';
import { INT16_FACTOR_LIMIT, type IntegerFactors, productProblem } from '../codecs/integer-product.js';

import { bandSizes, type LowRankFactors } from '../codecs/low-rank.js';
import type { Kernels } from '../kernels/kernels.js';
import type { GemmEngine } from '../linalg/gemm-engine.js';
import type { Matrix } from '../linalg/matrix.js';
import type { StreamProducts } from '../linalg/stream-products.js';
import {
  codesToMatrix,
  nonZeroComponents,
  scaleRows,
  selectComponents,
  solveGains,
  solveOtherSide,
} from './component-matrix.js';

export interface FactorEncoding {
  /** Quantiser step in weight units. */
  readonly step: number;
  /** Cost of a bit in squared steps. */
  readonly lambda: number;
  /** Trellis states for the factors. */
  readonly factorStates: TrellisStates;
  /** Rounds of refitting one side to the quantised other one; at least 1. */
  readonly refits: number;
}

export interface EncodedFactors {
  readonly term: EncodedTerm;
  readonly factors: IntegerFactors;
  /** A float32. */
  readonly scale: number;
  readonly byteLength: number;
}

/** Smaller bands cost more in chunk ends than they help a prefix: about 40 bytes each, with its index record. */
export const BAND_BYTE_LENGTH = 2048;
/** Bits of a factor entry, roughly: what a band is measured with before it is coded. */
const ENTRY_BITS = 1.5;

/** Band sizes by eighths of the rank, as long as the bands stay large enough; one band of everything otherwise. */
export function bandsOfAbout(byteLength: number, rank: number, length: number): readonly number[] {
  return (rank * length * ENTRY_BITS) / 8 >= 4 * byteLength ? bandSizes(rank) : [rank];
}

/** Largest integer gain: the strongest component's gain is this times σ_min / σ_max, still fine enough to fit. */
const LARGEST_GAIN = 4096;

/** What the factors are fitted to. */
export interface FactorSource {
  /** Of R · diag(√columnWeights). */
  readonly svd: LowRankFactors;
  /** Components to encode. */
  readonly rank: number;
  /** Of R. */
  readonly products: StreamProducts;
  /** Weight of the squared error in a column; default 1. */
  readonly columnWeights?: Float32Array | undefined;
}

/** Encodes the leading components of R; undefined when every code is zero. */
export async function encodeFactors(
  { svd, rank, products, columnWeights }: FactorSource,
  encoding: FactorEncoding,
  kernels: Kernels,
  engine: GemmEngine,
): Promise<EncodedFactors | undefined> {
  const { rows, columns } = svd;
  const { step } = encoding;
  const coder = { encoding, kernels };
  const refitRight = (left: QuantizedComponents): Promise<Refit> =>
    refit(left, rows, (matrix) => products.backward(matrix), step, engine);
  const refitLeft = (right: QuantizedComponents): Promise<Refit> =>
    refit(right, columns, (matrix) => products.forward(matrix), step, engine, columnWeights);

  let x: Float32Array = new Float32Array(rank * rows);
  for (let k = 0; k < rank; k++) {
    const factor = svd.singularValues[k] / step;
    for (let i = k * rows; i < (k + 1) * rows; i++) x[i] = svd.u[i] * factor;
  }
  for (let round = 1; round < encoding.refits; round++) {
    const left = quantizeOnly(x, rows, coder);
    if (left === undefined) return undefined;
    const right = quantizeOnly((await refitRight(left)).values, columns, coder, columnWeights);
    if (right === undefined) return undefined;
    x = (await refitLeft(right)).values;
  }
  const left = encodeNonZero(x, rows, columns, coder);
  if (left === undefined) return undefined;
  const { bands } = left;
  const fitted = await refitRight(left);
  const right = encodeBands(fitted.values, bands, columns, coder, columnWeights);

  const weighted = scaleRows(codesToMatrix(right.codes, left.count, columns), columnWeights, Math.sqrt);
  const inner = innerProducts(fitted.projected, right.codes, left.count, columns, columnWeights);
  const gramRight = await engine.gram(weighted);
  const gains = integerGains(solveGains(fitted.gram, gramRight, inner), left.codes, rows);
  // Codes are in half steps on both sides, the matrices here in steps.
  const realGains = Float64Array.from(gains.integers, (gain) => gain * gains.scale * 4);
  const drops = errorDrops(fitted.gram, gramRight, inner, realGains);
  const factors = integerFactors(left.codes, right.codes, gains.integers, rows, columns);
  if (productProblem(factors) !== undefined) return undefined;
  const coded = bandsOf(left.chunks, right.chunks, gains.integers, bands, drops);
  const term = codedLowRankTerm(coded, gains.scale, encoding.factorStates);
  const byteLength = term.chunks.reduce((sum, chunk) => sum + chunk.bytes.byteLength, 0);
  return { term, factors, scale: gains.scale, byteLength };
}

interface Coder {
  readonly encoding: FactorEncoding;
  readonly kernels: Kernels;
}

interface QuantizedComponents {
  /** components × length, half steps. */
  readonly codes: Int16Array;
  readonly count: number;
}

/** The final codes of the left side, in bands; all-zero components, which are rare by now, are left out. */
function encodeNonZero(
  x: Float32Array,
  rows: number,
  columns: number,
  coder: Coder,
): (ReturnType<typeof encodeBands> & { readonly bands: readonly number[] }) | undefined {
  const components = x.length / rows;
  const bands = bandsOfAbout(BAND_BYTE_LENGTH, components, rows + columns);
  const coded = encodeBands(x, bands, rows, coder);
  const kept = nonZeroComponents(coded.codes, components, rows);
  if (kept.length === 0) return undefined;
  if (kept.length === components) return { ...coded, bands };
  return encodeNonZero(selectComponents(x, kept, rows), rows, columns, coder);
}

/** Codes without bytes, all-zero components left out; undefined when nothing is left. */
function quantizeOnly(
  values: Float32Array,
  length: number,
  coder: Coder,
  columnWeights?: Float32Array,
): (QuantizedComponents & { readonly kept: readonly number[] }) | undefined {
  const components = values.length / length;
  const { codes } = encodeBands(values, [components], length, coder, columnWeights);
  const kept = nonZeroComponents(codes, components, length);
  if (kept.length === 0) return undefined;
  return { codes: selectComponents(codes, kept, length), count: kept.length, kept };
}

function encodeBands(
  values: Float32Array,
  bands: readonly number[],
  length: number,
  { encoding, kernels }: Coder,
  columnWeights?: Float32Array,
): QuantizedComponents & { readonly chunks: readonly Uint8Array[] } {
  const { lambda, factorStates: states } = encoding;
  const codes = new Int16Array(values.length);
  const encoder = kernels.createMatrixEncoder({ columns: length, states });
  const weights = columnWeights === undefined ? {} : { columnWeights };
  try {
    let first = 0;
    const chunks = bands.map((rows) => {
      const range = [first * length, (first + rows) * length] as const;
      encoder.encodeRows({
        values: values.subarray(...range),
        rows,
        lambda,
        codes: codes.subarray(...range),
        ...weights,
      });
      first += rows;
      return encoder.endChunk();
    });
    return { codes, count: values.length / length, chunks };
  } finally {
    encoder.free();
  }
}

interface Refit {
  /** The other side in steps, components × other length. */
  readonly values: Float32Array;
  /** R or Rᵀ times the fixed side. */
  readonly projected: Matrix;
  /** Gram matrix of the fixed side. */
  readonly gram: Float64Array;
}

/** The best other side for fixed codes. @param weights of the rows of the fixed side */
async function refit(
  fixed: QuantizedComponents,
  length: number,
  project: (matrix: Matrix) => Promise<Matrix>,
  step: number,
  engine: GemmEngine,
  weights?: Float32Array,
): Promise<Refit> {
  const matrix = codesToMatrix(fixed.codes, fixed.count, length);
  const projected = await project(scaleRows(matrix, weights));
  const { scaled, gram } = await solveOtherSide(scaleRows(matrix, weights, Math.sqrt), projected, engine);
  const inverse = 1 / step;
  for (let i = 0; i < scaled.length; i++) scaled[i] *= inverse;
  return { values: scaled, projected, gram };
}

/** Σ_j w_j P_jk y_kj for each component, P = RᵀX: the diagonal of XᵀRWY. Codes are in half steps. */
function innerProducts(
  projected: Matrix,
  codes: Int16Array,
  components: number,
  length: number,
  weights: Float32Array | undefined,
): Float64Array {
  return Float64Array.from({ length: components }, (_, k) => {
    let sum = 0;
    for (let j = 0; j < length; j++) {
      sum += (weights?.[j] ?? 1) * projected.data[j * components + k] * codes[k * length + j] * 0.5;
    }
    return sum;
  });
}

/** Gains as integers times a common float32 scale, small enough for a = gain · code to fit 16 bits. */
function integerGains(
  gains: Float64Array,
  codes: Int16Array,
  length: number,
): { readonly integers: Uint16Array; readonly scale: number } {
  const largest = gains.reduce((maximum, gain) => Math.max(maximum, gain), 0);
  let limit = LARGEST_GAIN;
  for (const [k, gain] of gains.entries()) {
    let magnitude = 1;
    for (let i = k * length; i < (k + 1) * length; i++) magnitude = Math.max(magnitude, Math.abs(codes[i]));
    if (gain > 0) limit = Math.min(limit, (INT16_FACTOR_LIMIT / magnitude) * (largest / gain));
  }
  // Gains are for codes in steps; codes are stored in half steps on both sides.
  const unit = largest / Math.max(1, Math.floor(limit));
  const integers = Uint16Array.from(gains, (gain) => (gain > 0 ? Math.round(gain / unit) : 0));
  return { integers, scale: Math.fround(unit / 4) };
}

function integerFactors(
  left: Int16Array,
  right: Int16Array,
  gains: Uint16Array,
  rows: number,
  columns: number,
): IntegerFactors {
  const rank = gains.length;
  const a = new Int32Array(rows * rank);
  const b = new Int32Array(columns * rank);
  for (let k = 0; k < rank; k++) {
    for (let i = 0; i < rows; i++) a[i * rank + k] = left[k * rows + i] * gains[k];
    for (let j = 0; j < columns; j++) b[j * rank + k] = right[k * columns + j];
  }
  return { a, b, rank };
}

/**
 * What each further component takes off ‖R − Σ g_k x_k y_kᵀ‖² (weighted): 2 g_k b_k − g_k² A_kk − 2 g_k Σ_{l<k} g_l A_kl,
 * with A = XᵀX ∘ YᵀY and b = diag(XᵀRY).
 */
function errorDrops(
  gramX: Float64Array,
  gramY: Float64Array,
  inner: Float64Array,
  gains: Float64Array,
): Float64Array {
  const size = gains.length;
  return gains.map((gain, k) => {
    let overlap = 0;
    for (let l = 0; l < k; l++) overlap += gains[l] * gramX[k * size + l] * gramY[k * size + l];
    const own = gramX[k * size + k] * gramY[k * size + k];
    return Math.max(Number.MIN_VALUE, gain * (2 * inner[k] - gain * own - 2 * overlap));
  });
}

function bandsOf(
  chunksA: readonly Uint8Array[],
  chunksB: readonly Uint8Array[],
  gains: Uint16Array,
  sizes: readonly number[],
  drops: Float64Array,
): CodedBand[] {
  let first = 0;
  return sizes.map((size, band) => {
    const range = [first, first + size] as const;
    first += size;
    const squaredErrorDrop = drops.subarray(...range).reduce((sum, drop) => sum + drop, 0);
    return { gains: gains.slice(...range), codesA: chunksA[band], codesB: chunksB[band], squaredErrorDrop };
  });
}

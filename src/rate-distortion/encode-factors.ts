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
import type { LowRankFactors } from '../codecs/low-rank.js';
import { bandSizes } from '../codecs/low-rank.js';
import type { Kernels } from '../kernels/kernels.js';
import type { GemmEngine } from '../linalg/gemm-engine.js';
import type { StreamProducts } from '../linalg/stream-products.js';
import {
  codesToMatrix,
  nonZeroComponents,
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

/** Largest integer gain: the strongest component's gain is this times σ_min / σ_max, still fine enough to fit. */
const LARGEST_GAIN = 4096;

/**
 * Encodes the first `rank` components of R.
 * @param products of the residual that is coded
 * @returns undefined when every code is zero
 */
export async function encodeFactors(
  svd: LowRankFactors,
  rank: number,
  products: StreamProducts,
  encoding: FactorEncoding,
  kernels: Kernels,
  engine: GemmEngine,
  columnGains?: Uint16Array,
): Promise<EncodedFactors | undefined> {
  const { rows, columns } = svd;
  const { step } = encoding;
  let x: Float32Array = new Float32Array(rank * rows);
  for (let k = 0; k < rank; k++) {
    const factor = svd.singularValues[k] / step;
    for (let i = k * rows; i < (k + 1) * rows; i++) x[i] = svd.u[i] * factor;
  }
  for (let round = 1; round < encoding.refits; round++) {
    const left = quantizeOnly(x, rows, encoding, kernels);
    if (left === undefined) return undefined;
    const y = await refit(left, rows, (matrix) => products.backward(matrix), step, engine);
    const right = quantizeOnly(y.values, columns, encoding, kernels);
    if (right === undefined) return undefined;
    x = (await refit(right, columns, (matrix) => products.forward(matrix), step, engine)).values;
  }
  const kept = quantizeOnly(x, rows, encoding, kernels)?.kept;
  if (kept === undefined) return undefined;
  const bands = bandSizes(kept.length);
  const left = encodeBands(selectComponents(x, kept, rows), bands, rows, encoding, kernels);
  const fitted = await refit(left, rows, (matrix) => products.backward(matrix), step, engine);
  const right = encodeBands(fitted.values, bands, columns, encoding, kernels);

  const gramRight = await engine.gram(codesToMatrix(right.codes, kept.length, columns));
  const inner = innerProducts(fitted.projected, right.codes, kept.length, columns);
  const gains = integerGains(solveGains(fitted.gram, gramRight, inner), left.codes, rows);
  const factors = integerFactors(left.codes, right.codes, gains.integers, rows, columns, columnGains);
  if (productProblem(factors) !== undefined) return undefined;
  const term = codedLowRankTerm(
    bandsOf(left.chunks, right.chunks, gains.integers, bands, svd.singularValues),
    gains.scale,
    encoding.factorStates,
    columnGains,
  );
  const byteLength = term.chunks.reduce((sum, chunk) => sum + chunk.bytes.byteLength, 0);
  return { term, factors, scale: gains.scale, byteLength };
}

interface QuantizedComponents {
  /** components × length, half steps. */
  readonly codes: Int16Array;
  readonly count: number;
}

/** Codes without bytes, all-zero components left out; undefined when nothing is left. */
function quantizeOnly(
  values: Float32Array,
  length: number,
  encoding: FactorEncoding,
  kernels: Kernels,
): (QuantizedComponents & { readonly kept: readonly number[] }) | undefined {
  const components = values.length / length;
  const { codes } = encodeBands(values, [components], length, encoding, kernels);
  const kept = nonZeroComponents(codes, components, length);
  if (kept.length === 0) return undefined;
  return { codes: selectComponents(codes, kept, length), count: kept.length, kept };
}

function encodeBands(
  values: Float32Array,
  bands: readonly number[],
  length: number,
  { lambda, factorStates: states }: FactorEncoding,
  kernels: Kernels,
): QuantizedComponents & { readonly chunks: readonly Uint8Array[] } {
  const codes = new Int16Array(values.length);
  const encoder = kernels.createMatrixEncoder({ columns: length, states });
  try {
    let first = 0;
    const chunks = bands.map((size) => {
      const range = [first * length, (first + size) * length] as const;
      encoder.encodeRows(values.subarray(...range), size, lambda, codes.subarray(...range));
      first += size;
      return encoder.endChunk();
    });
    return { codes, count: values.length / length, chunks };
  } finally {
    encoder.free();
  }
}

/** The other side for fixed codes, in steps, components × other length. */
async function refit(
  fixed: QuantizedComponents,
  length: number,
  project: (matrix: ReturnType<typeof codesToMatrix>) => Promise<ReturnType<typeof codesToMatrix>>,
  step: number,
  engine: GemmEngine,
): Promise<{ values: Float32Array; projected: ReturnType<typeof codesToMatrix>; gram: Float64Array }> {
  const matrix = codesToMatrix(fixed.codes, fixed.count, length);
  const projected = await project(matrix);
  const { scaled, gram } = await solveOtherSide(matrix, projected, engine);
  const inverse = 1 / step;
  for (let i = 0; i < scaled.length; i++) scaled[i] *= inverse;
  return { values: scaled, projected, gram };
}

/** Σ_j P_jk y_kj for each component, P = RᵀX: the diagonal of XᵀRY. Codes are in half steps. */
function innerProducts(
  projected: ReturnType<typeof codesToMatrix>,
  codes: Int16Array,
  components: number,
  length: number,
): Float64Array {
  return Float64Array.from({ length: components }, (_, k) => {
    let sum = 0;
    for (let j = 0; j < length; j++) sum += projected.data[j * components + k] * codes[k * length + j] * 0.5;
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
  columnGains: Uint16Array | undefined,
): IntegerFactors {
  const rank = gains.length;
  const a = new Int32Array(rows * rank);
  const b = new Int32Array(columns * rank);
  for (let k = 0; k < rank; k++) {
    for (let i = 0; i < rows; i++) a[i * rank + k] = left[k * rows + i] * gains[k];
    for (let j = 0; j < columns; j++) b[j * rank + k] = right[k * columns + j] * (columnGains?.[j] ?? 1);
  }
  return { a, b, rank };
}

function bandsOf(
  chunksA: readonly Uint8Array[],
  chunksB: readonly Uint8Array[],
  gains: Uint16Array,
  sizes: readonly number[],
  singularValues: Float64Array,
): CodedBand[] {
  let first = 0;
  return sizes.map((size, band) => {
    const range = [first, first + size] as const;
    first += size;
    const squaredErrorDrop = singularValues.subarray(...range).reduce((sum, sigma) => sum + sigma * sigma, 0);
    return { gains: gains.slice(...range), codesA: chunksA[band], codesB: chunksB[band], squaredErrorDrop };
  });
}

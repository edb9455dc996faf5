/**
 * The product that low-rank codecs share: r_ij = f32(scale · f32(Σ_k a_ik · b_jk)) over integer factors,
 * the sum exact (docs/spec/codecs.md §2). Which kernel runs follows from bounds proven here; the bits do not
 * depend on it.
 */

import type { FloatDtype } from '../../formats/dtype.js';
import {
  type DecodeKernels,
  MAX_PRODUCT_K,
  type PreparedProduct,
  type WideIntegers,
} from '../kernels/kernels.js';
import type { AdditiveDecoder, TermContext } from './codec.js';
import { codecError } from './params.js';

/** Integer factors, row-major; in 16 bits where every entry lies in ±32767. */
export interface IntegerFactors {
  /** rows × rank. */
  readonly a: Int16Array | Int32Array;
  /** columns × rank. */
  readonly b: Int16Array | Int32Array;
  readonly rank: number;
}

/** Sums below this are exact in the int16 kernel. */
export const INT16_SUM_LIMIT = 2 ** 31;
/** Sums below this are exact in float64, in any order. */
export const EXACT_SUM_LIMIT = 2 ** 53;
/** Bound on |a| and |b|, so that single products stay far below 2^53. */
export const FACTOR_LIMIT = 2 ** 26;
/** Largest magnitude of an int16 factor; −32768 is left out as its square twice is 2^31. */
export const INT16_FACTOR_LIMIT = 32767;
/** Relative slack that covers the rounding of the float64 norms themselves. */
const NORM_SLACK = 1 + 1e-9;

/** Rows of a product, added into float32 residuals, or to a base. */
export interface RowProduct {
  accumulate(startRow: number, rows: number, out: Float32Array): void;
  /** As AdditiveDecoder's. */
  addAndRound(dtype: FloatDtype, startRow: number, rows: number, base: Uint8Array, out: Uint8Array): number;
  free(): void;
}

/** What is wrong with factors, or undefined when every sum is exact. */
export function productProblem(factors: IntegerFactors, kernels?: DecodeKernels): string | undefined {
  return problemOf(factors, boundsOf(factors, kernels));
}

function problemOf(factors: IntegerFactors, bounds: Bounds): string | undefined {
  if (factors.rank > MAX_PRODUCT_K)
    return `expected a rank of at most ${MAX_PRODUCT_K}, found ${factors.rank}`;
  if (!(bounds.sum < EXACT_SUM_LIMIT))
    return `sums up to ${bounds.sum.toExponential(2)} are not exact; expected below 2^53`;
  if (bounds.magnitude >= FACTOR_LIMIT) return 'an integer factor of 2^26 or more, which the spec rules out';
  return undefined;
}

/** The product of factors without a problem. @param scale a float32 */
export function prepareRowProduct(
  factors: IntegerFactors,
  columns: number,
  scale: number,
  kernels: DecodeKernels,
  bounds = boundsOf(factors, kernels),
): RowProduct {
  const { a, b, rank } = factors;
  if (rank === 0) return { accumulate: () => {}, addAndRound: () => 0, free: () => {} };
  const { sum, magnitude } = bounds;
  return sum < INT16_SUM_LIMIT && magnitude <= INT16_FACTOR_LIMIT
    ? rowProduct(kernels.prepareProduct(narrow(b), columns, rank, scale), narrow(a), rank)
    : rowProduct<WideIntegers>(kernels.prepareWideProduct(widen(b), columns, rank, scale), widen(a), rank);
}

function narrow(values: Int16Array | Int32Array): Int16Array {
  return values instanceof Int16Array ? values : new Int16Array(values);
}

function widen(values: Int16Array | Int32Array): Int32Array {
  return values instanceof Int32Array ? values : new Int32Array(values);
}

function rowProduct<Integers extends Int16Array | WideIntegers>(
  operand: PreparedProduct<Integers>,
  a: Integers,
  rank: number,
): RowProduct {
  const rowsOf = (startRow: number, rows: number): Integers =>
    a.subarray(startRow * rank, (startRow + rows) * rank) as Integers;
  return {
    accumulate: (startRow, rows, out) => operand.accumulate(rowsOf(startRow, rows), rows, out),
    addAndRound: (dtype, startRow, rows, base, out) =>
      operand.addAndRound(dtype, rowsOf(startRow, rows), rows, base, out),
    free: () => operand.free(),
  };
}

/** The decoder of a term that is an integer product. @throws CodecError when a sum might not be exact */
export function openIntegerProduct(
  context: TermContext,
  factors: IntegerFactors,
  scale: number,
): AdditiveDecoder {
  const bounds = boundsOf(factors, context.kernels);
  const problem = problemOf(factors, bounds);
  if (problem !== undefined) throw codecError(context, problem);
  const product = prepareRowProduct(factors, context.columns, scale, context.kernels, bounds);
  return {
    kind: 'additive',
    isSequential: false,
    prepare: async () => {},
    accumulate: product.accumulate,
    addAndRound: product.addAndRound,
    close: () => product.free(),
  };
}

interface Bounds {
  readonly sum: number;
  readonly magnitude: number;
}

/** Cauchy–Schwarz bound on every (partial) sum, and a bound on the factors. */
function boundsOf({ a, b, rank }: IntegerFactors, kernels: DecodeKernels | undefined): Bounds {
  const boundsA = rowBounds(a, rank, kernels);
  const boundsB = rowBounds(b, rank, kernels);
  return {
    sum: boundsA.norm * boundsB.norm * NORM_SLACK,
    magnitude: Math.max(boundsA.magnitude, boundsB.magnitude),
  };
}

/** Largest Euclidean norm of a row of the integer matrix (count × rank), and its largest magnitude. */
function rowBounds(
  matrix: Int16Array | Int32Array,
  rank: number,
  kernels: DecodeKernels | undefined,
): { norm: number; magnitude: number } {
  if (matrix instanceof Int16Array && kernels !== undefined && rank > 0)
    return { norm: Math.sqrt(kernels.largestSquaredNorm(matrix, rank)), magnitude: INT16_FACTOR_LIMIT };
  let largest = 0;
  let magnitude = 0;
  for (let start = 0; start < matrix.length; start += rank) {
    let sum = 0;
    for (let k = 0; k < rank; k++) {
      const value = Math.abs(matrix[start + k]);
      sum += value * value;
      if (value > magnitude) magnitude = value;
    }
    if (sum > largest) largest = sum;
  }
  return { norm: Math.sqrt(largest), magnitude };
}

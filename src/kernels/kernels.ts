/**
 * The arithmetic kernels: what both implementations (WebAssembly SIMD and scalar TypeScript) compute.
 * This file is their contract: every float32 operation below is rounded once, to nearest even, in the
 * written order and without fused multiply-add, so both give the same bytes on every machine.
 *
 * Conventions. `f32(x)` rounds x to float32. Matrices are row-major. Tensor bytes are little-endian, at
 * any alignment. Lengths must agree exactly, else RangeError; a subarray selects a part. Inputs and
 * outputs may not overlap. NaN comes out as the positive quiet NaN of the type without payload, unless
 * a function says otherwise.
 */
import type { FloatDtype } from '../../formats/dtype.js';
import type { IntervalDecoder, IntervalEncoder, IntervalModel } from './interval-model.js';
import type {
  MatrixCoderOptions,
  MatrixDecoder,
  MatrixEncoder,
  RowsDecoder,
  RowsEncoder,
} from './matrix-coder.js';

/** Which implementation runs. */
export type KernelPath = 'wasm' | 'scalar';

/** Integers of up to 26 bits in either of two containers. */
export type WideIntegers = Int32Array | Float64Array;

/** Largest inner dimension of an integer product: bounds the working memory. */
export const MAX_PRODUCT_K = 65_536;

/** Rows that products take at a time: multiples of it are worked on fastest. */
export const PRODUCT_ROWS = 4;

/** Elements of a residual block that stays in a 1 MiB second-level cache, with base and output of as many weights. */
export const RESIDUAL_BLOCK = 65_536;

/** Most elements of one: whole tiles of products over rows that are long. */
export const MAX_RESIDUAL_BLOCK = 2 * RESIDUAL_BLOCK;

/** Floats of k that `gemm` sums before it adds them to the output. */
export const GEMM_BLOCK_K = 256;

/**
 * The right operand b (columns × k) of a product with its scale, packed once for many row blocks.
 * It keeps its own copy of b.
 */
export interface PreparedProduct<Integers> {
  readonly columns: number;
  readonly k: number;
  /**
   * out_ij = f32(out_ij + f32(scale · f32(Σ_k a_ik·b_jk))), the sum an exact integer.
   * a: rows × k, out: rows × columns. Finite scale and out; overflow gives infinity.
   */
  accumulate(a: Integers, rows: number, out: Float32Array): void;
  /**
   * The decoder's last step where nothing else is added: as accumulate into zeros and addAndRound after it, in one pass.
   * Kernels may do some of the rows only. base, out: rows × columns elements of `dtype`.
   * @returns how many of the first rows are done; the others of `out` then hold anything
   */
  addAndRound(dtype: FloatDtype, a: Integers, rows: number, base: Uint8Array, out: Uint8Array): number;
  /** Drops the packed operand; using it then throws TypeError. Optional: it is ordinary memory. */
  free(): void;
}

/** A product over one row block; see PreparedProduct.accumulate. */
export interface ProductRequest<Integers> {
  /** rows × k. */
  readonly a: Integers;
  /** columns × k. */
  readonly b: Integers;
  readonly rows: number;
  readonly columns: number;
  readonly k: number;
  /** Rounded to float32. */
  readonly scale: number;
  /** rows × columns, added to. */
  readonly out: Float32Array;
}

/** Dense codes with one integer gain a row. */
export interface CodesRequest {
  /** rows × columns. */
  readonly codes: Int16Array | Int32Array;
  /** rows. |gain · code| < 2^31. */
  readonly rowGains: Uint16Array;
  readonly rows: number;
  readonly columns: number;
  /** Rounded to float32. */
  readonly scale: number;
  /** rows × columns, added to. */
  readonly out: Float32Array;
}

/** One sign a bit. */
export interface SignsRequest {
  /** Bit i of the stream (least significant first) is the sign of element i: 0 for +, 1 for −. */
  readonly bytes: Uint8Array;
  /** Bit where element 0 starts; default 0. */
  readonly bitOffset?: number;
  /** Rounded to float32. */
  readonly scale: number;
  /** Added to; its length is the number of elements. */
  readonly out: Float32Array;
}

/** Components of factors, to be put into rows. */
export interface ComponentsRequest {
  /** components × length. */
  readonly codes: Int16Array;
  /** One a component. */
  readonly gains: Uint16Array;
  readonly length: number;
  /** length × stride; other entries are left as they are. */
  readonly out: Int16Array | Int32Array;
  /** Entries of a row of `out`. */
  readonly stride: number;
  /** Entry of the first component in a row. */
  readonly first: number;
}

/** Where the codes of a bit stream go. */
export interface UnpackLayout {
  /** Bit of the stream where code 0 starts; default 0. */
  readonly bitOffset?: number;
  /** Index of code 0 in the output; default 0. */
  readonly start?: number;
  /** Distance of neighbouring codes in the output; default 1. */
  readonly stride?: number;
}

export interface Statistics {
  /** Σ x² over finite x, in float64, in the lane order of `statistics`. */
  readonly sumOfSquares: number;
  /** max |x| over finite x; 0 when there is none. */
  readonly maxAbs: number;
  /** Infinities and NaNs. */
  readonly nonFiniteCount: number;
}

/** C (m × n) = [C +] op(A)·B in float32. */
export interface GemmRequest {
  /** false: A is m × k. true: A is stored k × m, and its transpose is used. Default false. */
  readonly transposeA?: boolean;
  /** Add to c instead of replacing it. Default false. */
  readonly accumulate?: boolean;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly a: Float32Array;
  /** k × n. */
  readonly b: Float32Array;
  /** m × n. */
  readonly c: Float32Array;
}

/** Sums from which the error of codes at any scale follows. */
export interface CodeSums {
  readonly inner: number;
  readonly codeEnergy: number;
}

/** What decoding calls. */
export type DecodeKernels = Pick<
  Kernels,
  | 'toFloat32'
  | 'fromFloat32'
  | 'residualBlock'
  | 'addAndRound'
  | 'prepareProduct'
  | 'prepareWideProduct'
  | 'accumulateCodes'
  | 'accumulateSigns'
  | 'scaleComponents'
  | 'largestSquaredNorm'
  | 'joinPlanes'
  | 'combineWords'
  | 'unpackCodes'
  | 'createReflections'
  | 'createMatrixDecoder'
  | 'createAnsDecoder'
  | 'intervalDecoder'
>;

/** Memory of the kernels for one owner. */
export interface KernelRooms {
  /** Room number `index`, 0 to 3; the contents are those of its last use. Undefined for more bytes than it has. */
  room(index: number, byteLength: number): Uint8Array | undefined;
  /** Gives all of it back: nothing may be read or written there any more. */
  free(): void;
}

/**
 * Householder reflections x − w (wᵀx) / q in float64, each operation rounded: wᵀx in four sums of ascending index, by index
 * modulo 4, added as (s0 + s1) + (s2 + s3).
 */
export interface Reflections {
  readonly count: number;
  /** Adds one. Entries of `w` before its own number, `count`, are 0. */
  add(w: Float64Array, q: number): void;
  /** Applies them all to x, the last one first where `isBackward`. */
  apply(x: Float64Array, isBackward: boolean): void;
}

export interface Kernels {
  readonly path: KernelPath;

  /**
   * out_i = element i of `bytes`. Exact, NaN payloads included, but for F64: rounded to nearest even,
   * NaN canonical. F8_E4M3 is OCP's E4M3FN (bias 7, no infinity, NaN 0x7f and 0xff), F8_E5M2 IEEE-like.
   */
  toFloat32(dtype: FloatDtype, bytes: Uint8Array, out: Float32Array): void;

  /**
   * Element i of `out` = values_i, rounded once to nearest even, subnormals included. Overflow gives
   * infinity; in F8_E4M3, which has none, everything over 448 and infinity itself saturate to ±448
   * (the saturating mode of the OCP specification). NaN: F64 0x7ff8…, F32 0x7fc00000, F16 0x7e00,
   * BF16 0x7fc0, F8_E4M3 0x7f, F8_E5M2 0x7e.
   */
  fromFloat32(dtype: FloatDtype, values: Float32Array, out: Uint8Array): void;

  /**
   * Floats in the kernels' own memory: as `out` or `residual` of accumulate, accumulateCodes and addAndRound they
   * are worked on in place, where other arrays are copied. One for all callers: the contents are anything, and
   * the next call takes it back. At most MAX_RESIDUAL_BLOCK.
   */
  residualBlock(count: number): Float32Array;

  /**
   * More of the kernels' own memory, for the bytes of blocks: where base, residual and out of addAndRound all lie there,
   * nothing is copied. For one owner at a time; undefined while another has it, or where there is none.
   */
  takeRooms(): KernelRooms | undefined;

  /**
   * The decoder's last step: out_i = round_dtype(f32(base_i + residual_i)), base read as by toFloat32
   * and rounded as by fromFloat32. For dtype F64: out_i = f64(base_i + residual_i), base read exactly.
   */
  addAndRound(
    dtype: FloatDtype,
    baseDtype: FloatDtype,
    base: Uint8Array,
    residual: Float32Array,
    out: Uint8Array,
  ): void;

  /**
   * b: columns × k, any int16. Sums are int32: the caller guarantees |Σ_k a_ik·b_jk| < 2^31 (they wrap
   * modulo 2^32, so partial sums may exceed it, in any order). k ≤ MAX_PRODUCT_K.
   */
  prepareProduct(b: Int16Array, columns: number, k: number, scale: number): PreparedProduct<Int16Array>;

  /**
   * b: columns × k integers. The caller guarantees |a|, |b| < 2^26 and Σ_k |a_ik·b_jk| < 2^53, so that
   * float64 sums are exact in any order. k ≤ MAX_PRODUCT_K.
   */
  prepareWideProduct(
    b: WideIntegers,
    columns: number,
    k: number,
    scale: number,
  ): PreparedProduct<WideIntegers>;

  /** prepareProduct for a single row block. */
  accumulateProduct(request: ProductRequest<Int16Array>): void;

  /** prepareWideProduct for a single row block. */
  accumulateWideProduct(request: ProductRequest<WideIntegers>): void;

  /** out_ij = f32(out_ij + f32(scale · f32(gain_i · q_ij))), the integer product exact. */
  accumulateCodes(request: CodesRequest): void;

  /** out_i = f32(out_i ± scale). */
  accumulateSigns(request: SignsRequest): void;

  /**
   * out[i · stride + first + k] = gain_k · code_k,i, modulo 2^16 where `out` is Int16Array.
   * Returns the largest |gain_k · code_k,i| before that: over 32767, an Int16Array does not hold them all.
   */
  scaleComponents(request: ComponentsRequest): number;

  /** Largest Σ x² of the rows of a matrix (rows × k) of |x| ≤ 32767; exact. 0 without rows. */
  largestSquaredNorm(matrix: Int16Array, k: number): number;

  /** out = words of `width` bytes (1, 2, 4 or 8) whose byte p of word i is planes[p · words + i]. */
  joinPlanes(planes: Uint8Array, width: number, out: Uint8Array): void;

  /** The inverse of joinPlanes. */
  splitPlanes(bytes: Uint8Array, width: number, out: Uint8Array): void;

  /** out = x + y, or x − y with `sign` −1, on little-endian words of `width` bytes, wrapping. `out` may be x. */
  combineWords(x: Uint8Array, y: Uint8Array, sign: 1 | -1, width: number, out: Uint8Array): void;

  /**
   * Two's complement codes of `bits` (1 to 16) bits, least significant bit first: code i takes bits
   * [bitOffset + i·bits, bitOffset + (i+1)·bits), bit 0 being the least significant of byte 0.
   * out[start + i·stride] = code i, for i < count.
   */
  unpackCodes(bytes: Uint8Array, bits: number, count: number, out: Int16Array, layout?: UnpackLayout): void;

  /**
   * The inverse: writes all of `codes` from bit `bitOffset` (default 0) of `out`, and leaves every other
   * bit as it is. RangeError when a code does not fit in `bits` bits; `out` is then unspecified.
   */
  packCodes(codes: Int16Array, bits: number, out: Uint8Array, bitOffset?: number): void;

  /**
   * out_i = f32(f32(fine_i) − f32(base_i)), operands read as by toFloat32; when both are F64:
   * f32(f64(fine_i − base_i)).
   */
  subtract(
    fineDtype: FloatDtype,
    fine: Uint8Array,
    baseDtype: FloatDtype,
    base: Uint8Array,
    out: Float32Array,
  ): void;

  /**
   * Eight float64 lanes: element i adds its square, rounded to float64, to lane i mod 8 in ascending
   * order; the lanes are added as ((0+1)+(2+3))+((4+5)+(6+7)).
   */
  statistics(values: Float32Array): Statistics;

  /**
   * Σ 4^e over the normal, finite elements, e the exponent of their value as float32, in the lane order of `statistics`.
   */
  squaredPowers(dtype: FloatDtype, bytes: Uint8Array): number;

  /** Σ f64(x_i · q_i) and Σ q_i² in float64, in the lane order of `statistics`. */
  codeSums(values: Float32Array, codes: Int16Array): CodeSums;

  /** Σ (x_i − y_i)² in float64, each operation rounded, in the lane order of `statistics`. */
  squaredDistance(dtype: FloatDtype, x: Uint8Array, y: Uint8Array): number;

  /** No reflections yet, of vectors of so many entries. */
  createReflections(dimension: number): Reflections;

  /** A fresh encoder of one matrix. */
  createMatrixEncoder(options: MatrixCoderOptions): MatrixEncoder;

  /** A fresh decoder of one matrix. */
  createMatrixDecoder(options: MatrixCoderOptions): MatrixDecoder;

  /** A fresh encoder of one matrix by asymmetric numeral systems (docs/spec/ans-coder.md). Codes are even. */
  createAnsEncoder(columns: number): RowsEncoder;

  createAnsDecoder(columns: number): RowsDecoder;

  /**
   * out_i = f32(values_i · inverseStep) rounded to the nearest integer, ties to even, clamped to
   * [minimum, maximum] (integers within int16). NaN gives 0.
   */
  quantize(
    values: Float32Array,
    inverseStep: number,
    minimum: number,
    maximum: number,
    out: Int16Array,
  ): void;

  /**
   * Float32 product, the fallback where onnxruntime is absent. c_ij starts from 0 (or from itself, with
   * `accumulate`); for each block of GEMM_BLOCK_K of k in turn, s = Σ f32(a·b) in float32 in ascending
   * k from 0, then c_ij = f32(c_ij + s). The signs of NaN are unspecified.
   */
  gemm(request: GemmRequest): void;

  /**
   * Entropy coder of codec "interval" (docs/spec/interval.md), fresh contexts. RangeError on a model
   * outside its limits. Several coders may be in use at once.
   */
  intervalEncoder(model: IntervalModel): IntervalEncoder;

  intervalDecoder(model: IntervalModel): IntervalDecoder;
}

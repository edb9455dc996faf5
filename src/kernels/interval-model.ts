/** What both implementations of codec "interval" (docs/spec/interval.md) share: layouts, limits, checks. */
import { DTYPES, type Dtype } from '../../formats/dtype.js';

/** Most columns of a coded row; wider rows of a tensor are cut. */
export const MAX_CODED_COLUMNS = 65_536;

/** Most bytes of a payload. */
export const MAX_PAYLOAD_BYTES = 4 << 20;

/** How much is told of elements that equal their prediction: nothing, rows and strips, or blocks too. */
export type SkipLevel = 0 | 1 | 2;

/** Parameters of one coded term; all but the columns stand in the archive. */
export interface IntervalModel {
  readonly dtype: Dtype;
  /** 1 to MAX_CODED_COLUMNS. */
  readonly columns: number;
  /** Exponent of the unit of spread: about log2 of the mean difference, minus 6. In [−1000, 800]. */
  readonly unit: number;
  readonly skip: SkipLevel;
  /** Whether the columns' spread adapts from row to row; else all columns are alike. */
  readonly means: boolean;
  /** Bits at the end of every float32 that are known to be 0; 0 to 23, and 0 for any other dtype. */
  readonly drop: number;
}

/** What is predicted of some elements; undefined where nothing is. */
export interface IntervalPrediction {
  /** Elements of the tensor's own dtype. */
  readonly elements: Uint8Array;
  /** The float32 values that `elements` were rounded from; for float dtypes of fewer than 32 bits. */
  readonly values?: Float32Array | undefined;
}

/** One payload after another; contexts carry over from one to the next. */
export interface IntervalEncoder {
  /** Codes values.byteLength / (columns · element) whole coded rows; `columns` may be fewer than the model's. */
  encode(values: Uint8Array, prediction: IntervalPrediction | undefined, columns?: number): void;
  /** Ends the payload. Undefined when it would be longer than MAX_PAYLOAD_BYTES; the encoder is then useless. */
  finish(): Uint8Array | undefined;
}

export interface IntervalDecoder {
  /** Starts the next payload. Whatever it holds, decoding stays within bounds and gives some value. */
  begin(payload: Uint8Array): void;
  /** The inverse of encode: fills `out`. */
  decode(prediction: IntervalPrediction | undefined, out: Uint8Array, columns?: number): void;
}

/** Number layout of a dtype as the coder sees it. */
export interface ElementLayout {
  readonly isFloat: boolean;
  /** 1, 2, 4 or 8. */
  readonly byteLength: number;
  readonly exponentBits: number;
  /** Of the first 32 bits, dropped ones excluded. */
  readonly mantissaBits: number;
  readonly bias: number;
}

const FLOAT_LAYOUTS: Readonly<Partial<Record<Dtype, readonly [number, number, number]>>> = {
  F64: [11, 20, 1023],
  F32: [8, 23, 127],
  C64: [8, 23, 127],
  F16: [5, 10, 15],
  BF16: [8, 7, 127],
  F8_E4M3: [4, 3, 7],
  F8_E5M2: [5, 2, 15],
};

/** Whether the codec takes the dtype: floats, C64 as pairs of F32, integers and booleans. */
export function hasIntervalLayout(dtype: Dtype): boolean {
  const { kind } = DTYPES[dtype];
  return kind === 'integer' || kind === 'boolean' || FLOAT_LAYOUTS[dtype] !== undefined;
}

/** @throws RangeError for packed types. */
export function elementLayout(dtype: Dtype, drop = 0): ElementLayout {
  if (!hasIntervalLayout(dtype)) {
    throw new RangeError(`dtype: expected a float, integer or boolean type, got ${dtype}`);
  }
  const float = FLOAT_LAYOUTS[dtype];
  const byteLength = dtype === 'C64' ? 4 : DTYPES[dtype].bits / 8;
  if (float === undefined) {
    return { isFloat: false, byteLength, exponentBits: 0, mantissaBits: byteLength * 8 - 1, bias: 0 };
  }
  const [exponentBits, mantissaBits, bias] = float;
  return { isFloat: true, byteLength, exponentBits, mantissaBits: mantissaBits - drop, bias };
}

/** @throws RangeError */
export function checkIntervalModel(model: IntervalModel): void {
  const { columns, unit, skip, drop } = model;
  const { byteLength, isFloat } = elementLayout(model.dtype);
  const maxDrop = isFloat && byteLength === 4 ? 23 : 0;
  expectRange('columns', columns, 1, MAX_CODED_COLUMNS);
  expectRange('unit', unit, -1000, 800);
  expectRange('skip', skip, 0, 2);
  expectRange('drop', drop, 0, maxDrop);
}

/** Coded rows in `byteLength` bytes. @throws RangeError when they are not whole. */
export function checkedRows(
  model: IntervalModel,
  columns: number,
  byteLength: number,
  prediction: IntervalPrediction | undefined,
): number {
  const element = elementLayout(model.dtype).byteLength;
  expectRange('columns', columns, 1, model.columns);
  if (byteLength % (columns * element) !== 0) {
    throw new RangeError(
      `expected whole rows of ${columns} elements of ${element} bytes, got ${byteLength} bytes`,
    );
  }
  const { elements, values } = prediction ?? {};
  if (elements !== undefined && elements.byteLength !== byteLength) {
    throw new RangeError(`prediction: expected ${byteLength} bytes, got ${elements.byteLength}`);
  }
  if (values !== undefined && values.length !== byteLength / element) {
    throw new RangeError(`prediction: expected ${byteLength / element} values, got ${values.length}`);
  }
  return byteLength / (columns * element);
}

function expectRange(what: string, value: number, minimum: number, maximum: number): void {
  if (!Number.isInteger(value) || value < minimum || value > maximum) {
    throw new RangeError(`${what}: expected an integer from ${minimum} to ${maximum}, got ${value}`);
  }
}

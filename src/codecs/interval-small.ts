/**
 * Codec "interval-small" (docs/spec/codecs.md §9): of every row, the elements whose prediction is small, coded as
 * floats of a few bits by the coder of "interval". All others are as predicted, and cost nothing: which ones are
 * small is known from the prediction.
 *
 * A product that errs by a thousandth of a typical weight gives such weights their own or a neighbouring value, but
 * not the small ones, whose values lie closer together.
 */
import { DTYPES, type Dtype, type FloatDtype, isFloatDtype } from '../../formats/dtype.js';
import { type IntervalDecoder, type IntervalModel, MAX_CODED_COLUMNS } from '../kernels/interval-model.js';
import type { DecodeKernels } from '../kernels/kernels.js';
import type { Codec, ExactDecoder, PredictedRows } from './codec.js';
import { readPayload } from './interval.js';
import { codecError, expectChunks, float32Param, integerParam } from './params.js';

/** Whether the codec takes the dtype: floats that float32 holds. */
export function hasSmallElements(dtype: Dtype): dtype is FloatDtype {
  return isFloatDtype(dtype) && DTYPES[dtype].bits <= 32;
}

/** The model of the coded floats: their rows differ in length, so columns have no means. */
export function smallModel(columns: number, unit: number, drop: number): IntervalModel {
  const widest = Math.min(columns, MAX_CODED_COLUMNS);
  return { dtype: 'F32', columns: widest, unit, skip: 0, means: false, drop };
}

/** The small elements of a row: where they are, and what is predicted. */
export class SmallElements {
  /** Columns, the first `count` of them. */
  readonly columns: Uint32Array;
  count = 0;
  /** Their predicted values, as float32 patterns; as many. */
  readonly patterns: Uint32Array;
  readonly #below: number;
  readonly #values: Float32Array;

  /** @param below elements of smaller magnitude are small */
  constructor(columns: number, below: number) {
    this.columns = new Uint32Array(columns);
    this.#values = new Float32Array(columns);
    this.patterns = new Uint32Array(this.#values.buffer);
    this.#below = below;
  }

  /** Takes the small ones out of a row of predicted values. */
  gather(row: Float32Array): void {
    const { columns } = this;
    const below = this.#below;
    const values = this.#values;
    let count = 0;
    for (let column = 0; column < row.length; column++) {
      const value = row[column]!;
      if (!(value < below && value > -below)) continue; // NaN too
      columns[count] = column;
      values[count++] = value;
    }
    this.count = count;
  }

  /** Their predicted values. */
  get values(): Float32Array {
    return this.#values.subarray(0, this.count);
  }
}

/** What a float32 pattern that is as predicted is coded as: without its dropped bits, rounded to nearest even. */
export function keptPattern(pattern: number, drop: number): number {
  if (drop === 0) return pattern;
  const rounded = pattern + (1 << (drop - 1)) - 1 + ((pattern >>> drop) & 1);
  return ((rounded >>> drop) << drop) >>> 0;
}

/** Float32 values of predicted rows: those from before rounding, or the elements' own. */
export function valuesOf(
  dtype: FloatDtype,
  { bytes, values }: PredictedRows,
  kernels: DecodeKernels,
): Float32Array {
  if (values !== undefined) return values;
  const own = new Float32Array((bytes.byteLength * 8) / DTYPES[dtype].bits);
  kernels.toFloat32(dtype, bytes, own);
  return own;
}

export const intervalSmallCodec: Codec = {
  id: 'interval-small',
  async open(context): Promise<ExactDecoder> {
    const { dtype, rowCount, rowByteLength, columns, kernels } = context;
    const chunkRows = integerParam(context, 'chunkRows', 1, 2 ** 31 - 1);
    const below = float32Param(context, 'below');
    if (below <= 0) throw codecError(context, `parameter "below": expected more than 0, found ${below}`);
    const unit = integerParam(context, 'unit', -1000, 800);
    const drop = integerParam(context, 'drop', 0, 23);
    if (!hasSmallElements(dtype)) throw codecError(context, `cannot hold ${dtype}`);
    expectChunks(context, Math.ceil(rowCount / chunkRows));
    let decoder: RowDecoder | undefined;
    let row = 0;

    return {
      kind: 'exact',
      prediction: 'reconstruction',
      isSequential: true,
      async decode(byteOffset, prediction, out) {
        if (byteOffset !== row * rowByteLength || out.byteLength % rowByteLength !== 0) {
          throw new RangeError(
            `expected whole rows from ${row} on, got ${out.byteLength} bytes at ${byteOffset}`,
          );
        }
        decoder ??= new RowDecoder(
          dtype,
          kernels,
          kernels.intervalDecoder(smallModel(columns, unit, drop)),
          new SmallElements(columns, below),
          drop,
        );
        out.set(prediction!.bytes);
        const values = valuesOf(dtype, prediction!, kernels);
        for (let done = 0; done < out.byteLength; done += rowByteLength, row++) {
          if (row % chunkRows === 0) decoder.begin(await readPayload(context, row / chunkRows));
          const start = (done / rowByteLength) * columns;
          decoder.decode(values.subarray(start, start + columns), out.subarray(done, done + rowByteLength));
        }
      },
      close: () => {
        decoder = undefined;
      },
    };
  },
};

class RowDecoder {
  readonly #dtype: FloatDtype;
  readonly #kernels: DecodeKernels;
  readonly #decoder: IntervalDecoder;
  readonly #small: SmallElements;
  readonly #drop: number;
  readonly #decoded: Float32Array;
  readonly #patterns: Uint32Array;
  readonly #elements: Uint8Array;

  constructor(
    dtype: FloatDtype,
    kernels: DecodeKernels,
    decoder: IntervalDecoder,
    small: SmallElements,
    drop: number,
  ) {
    this.#drop = drop;
    this.#dtype = dtype;
    this.#kernels = kernels;
    this.#decoder = decoder;
    this.#small = small;
    this.#decoded = new Float32Array(small.columns.length);
    this.#patterns = new Uint32Array(this.#decoded.buffer);
    this.#elements = new Uint8Array((small.columns.length * DTYPES[dtype].bits) / 8);
  }

  begin(payload: Uint8Array): void {
    this.#decoder.begin(payload);
  }

  /** Replaces the small elements of a row that are not as predicted. */
  decode(values: Float32Array, row: Uint8Array): void {
    const small = this.#small;
    small.gather(values);
    const { count, columns } = small;
    if (count === 0) return;
    const [drop, predicted, patterns] = [this.#drop, small.patterns, this.#patterns];
    const decoded = this.#decoded.subarray(0, count);
    for (const [start, end] of codedRows(count)) {
      const target = decoded.subarray(start, end);
      this.#decoder.decode(
        { elements: bytesOfFloats(small.values.subarray(start, end)) },
        bytesOfFloats(target),
        end - start,
      );
    }
    let changed = 0;
    for (let i = 0; i < count; i++) {
      const pattern = patterns[i]!;
      if (pattern === keptPattern(predicted[i]!, drop)) continue;
      columns[changed] = columns[i]!;
      patterns[changed++] = pattern;
    }
    if (changed === 0) return;
    // What was coded need not be a value of the dtype where a payload is not of an encoder.
    const width = DTYPES[this.#dtype].bits / 8;
    const elements = this.#elements.subarray(0, changed * width);
    this.#kernels.fromFloat32(this.#dtype, decoded.subarray(0, changed), elements);
    for (let i = 0; i < changed; i++) {
      const column = columns[i]!;
      for (let b = 0; b < width; b++) row[column * width + b] = elements[i * width + b]!;
    }
  }
}

/** Coded rows of so many small elements of one row. */
export function* codedRows(count: number): Generator<[number, number]> {
  for (let start = 0; start < count; start += MAX_CODED_COLUMNS) {
    yield [start, Math.min(count, start + MAX_CODED_COLUMNS)];
  }
}

/** The bytes of float32 values. */
export function bytesOfFloats(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/**
 * The encoder of codec "interval-small": brings every element to its own value or a neighbouring one. A coded float has
 * one mantissa bit less than the dtype, so that every other value of the dtype is one: all others have two as
 * neighbours. So an element costs a third to a half of what its own value would.
 */
import { DTYPES, type FloatDtype } from '../../formats/dtype.js';
import { elementLayout, type IntervalEncoder, type IntervalModel } from '../kernels/interval-model.js';
import type { Kernels } from '../kernels/kernels.js';
import type { EncodedTerm, ExactInput, PredictedRows } from './codec.js';
import {
  bytesOfFloats,
  codedRows,
  hasSmallElements,
  intervalSmallCodec,
  keptPattern,
  SmallElements,
  smallModel,
  valuesOf,
} from './interval-small.js';
import { rowsPerBlock } from './row-blocks.js';

/** Elements of rows in a chunk, of which few are coded. */
const CHUNK_ELEMENTS = 1 << 24;

/** Where the mean difference lies in the coder's scale: 2^6 units. */
const UNIT_OFFSET = 6;

/** Significant bits of the threshold: enough to be close, and few digits in the index. */
const BELOW_BITS = 8;

/** Rows, and what a decoder knows of them. */
interface Block {
  readonly start: number;
  readonly rowCount: number;
  readonly fineTuned: Uint8Array;
  readonly predicted: PredictedRows;
  /** Of `predicted`. */
  readonly values: Float32Array;
}

/**
 * The term that leaves no element further from its value than to the next one; undefined when none is, or the codec
 * does not apply.
 * @param input with a prediction from the reconstruction
 */
export async function encodeIntervalSmall(input: ExactInput): Promise<EncodedTerm | undefined> {
  const { dtype, columns, kernels } = input;
  if (!hasSmallElements(dtype) || input.prediction === undefined) return undefined;
  const statistics = await measure(input, dtype);
  if (statistics === undefined) return undefined;
  const { below, unit } = statistics;
  const { mantissaBits } = elementLayout(dtype);
  // A float32 without these bits has a bit less than the dtype.
  const drop = 24 - mantissaBits;
  const chunkRows = 2 ** Math.floor(Math.log2(Math.max(1, CHUNK_ELEMENTS / columns)));
  const small = new SmallElements(columns, below);
  const encoder = new RowEncoder(dtype, kernels, smallModel(columns, unit, drop), small);
  const chunks: { bytes: Uint8Array; squaredErrorDrop: number }[] = [];
  for await (const block of blocks(input, dtype)) {
    const { start, rowCount, fineTuned, predicted, values } = block;
    const width = columns * (DTYPES[dtype].bits / 8);
    for (let row = 0; row < rowCount; row++) {
      const [from, to] = [row * width, (row + 1) * width];
      encoder.encode(
        fineTuned.subarray(from, to),
        predicted.bytes.subarray(from, to),
        values.subarray(row * columns, (row + 1) * columns),
      );
      const next = start + row + 1;
      if (next % chunkRows !== 0 && next !== input.rowCount) continue;
      const bytes = encoder.finish();
      if (bytes === undefined) return undefined;
      chunks.push({ bytes, squaredErrorDrop: 0 });
    }
  }
  const params = { chunkRows, below, unit, drop };
  return { codec: intervalSmallCodec.id, params, chunks, squaredErrorDrop: encoder.squaredErrorDrop };
}

async function* blocks(input: ExactInput, dtype: FloatDtype): AsyncGenerator<Block, void, void> {
  const { rowCount, rowByteLength, columns, read, prediction, kernels } = input;
  const step = rowsPerBlock(columns);
  for (let start = 0; start < rowCount; start += step) {
    const count = Math.min(step, rowCount - start);
    const [offset, length] = [start * rowByteLength, count * rowByteLength];
    const fineTuned = await read(offset, length);
    const predicted = await prediction!.read(offset, length);
    yield { start, rowCount: count, fineTuned, predicted, values: valuesOf(dtype, predicted, kernels) };
  }
}

/** The threshold over every element that is further off than the next value, and the unit of what they are off by. */
async function measure(
  input: ExactInput,
  dtype: FloatDtype,
): Promise<{ readonly below: number; readonly unit: number } | undefined> {
  let largest = 0;
  let [exponents, count] = [0, 0];
  for await (const { fineTuned, predicted, values } of blocks(input, dtype)) {
    const [wanted, found] = [ordersOf(dtype, fineTuned), ordersOf(dtype, predicted.bytes)];
    const own = new Float32Array(values.length);
    input.kernels.toFloat32(dtype, fineTuned, own);
    for (let i = 0; i < values.length; i++) {
      if (Math.abs(wanted[i]! - found[i]!) <= 1) continue;
      const value = values[i]!;
      if (!Number.isFinite(value)) return undefined;
      largest = Math.max(largest, Math.abs(value));
      exponents += Math.log2(Math.abs(own[i]! - value) || 1);
      count++;
    }
  }
  if (count === 0) return undefined;
  const unit = Math.max(-1000, Math.min(800, Math.floor(exponents / count) - UNIT_OFFSET));
  return { below: justOver(largest), unit };
}

/** A float32 of few significant bits over x ≥ 0. */
function justOver(x: number): number {
  const step = 2 ** Math.max(-149, Math.floor(Math.log2(x || 2 ** -149)) - BELOW_BITS + 1);
  return Math.fround((Math.floor(x / step) + 1) * step);
}

/** Positions of elements among the values of their dtype: consecutive integers, both zeros 0. */
function ordersOf(dtype: FloatDtype, bytes: Uint8Array): Int32Array {
  const codes = codeArray(dtype, bytes.slice().buffer);
  const sign = 2 ** (DTYPES[dtype].bits - 1);
  const orders = new Int32Array(codes.length);
  for (let i = 0; i < codes.length; i++) orders[i] = codes[i]! >= sign ? sign - codes[i]! : codes[i]!;
  return orders;
}

/** Float32 of the elements at these positions, each moved by `offset`. */
function valuesAt(dtype: FloatDtype, orders: Int32Array, offset: number, kernels: Kernels): Float32Array {
  const { bits } = DTYPES[dtype];
  const sign = 2 ** (bits - 1);
  const elements = new Uint8Array((orders.length * bits) / 8);
  const codes = codeArray(dtype, elements.buffer);
  for (let i = 0; i < orders.length; i++) {
    const order = orders[i]! + offset;
    codes[i] = order < 0 ? sign - order : order;
  }
  const values = new Float32Array(orders.length);
  kernels.toFloat32(dtype, elements, values);
  return values;
}

function codeArray(dtype: FloatDtype, buffer: ArrayBuffer): Uint8Array | Uint16Array | Uint32Array {
  const { bits } = DTYPES[dtype];
  return bits === 8
    ? new Uint8Array(buffer)
    : bits === 16
      ? new Uint16Array(buffer)
      : new Uint32Array(buffer);
}

class RowEncoder {
  /** What the elements so far take off the squared error. */
  squaredErrorDrop = 0;
  readonly #dtype: FloatDtype;
  readonly #kernels: Kernels;
  readonly #encoder: IntervalEncoder;
  readonly #small: SmallElements;
  readonly #drop: number;

  constructor(dtype: FloatDtype, kernels: Kernels, model: IntervalModel, small: SmallElements) {
    this.#dtype = dtype;
    this.#kernels = kernels;
    this.#encoder = kernels.intervalEncoder(model);
    this.#small = small;
    this.#drop = model.drop;
  }

  encode(fineTuned: Uint8Array, predicted: Uint8Array, values: Float32Array): void {
    const small = this.#small;
    small.gather(values);
    if (small.count === 0) return;
    const coded = this.#choose(this.#gathered(fineTuned), this.#gathered(predicted));
    for (const [start, end] of codedRows(small.count)) {
      const prediction = { elements: bytesOfFloats(small.values.subarray(start, end)) };
      this.#encoder.encode(bytesOfFloats(coded.subarray(start, end)), prediction, end - start);
    }
  }

  finish(): Uint8Array | undefined {
    return this.#encoder.finish();
  }

  /** The small elements of a row, packed. */
  #gathered(row: Uint8Array): Uint8Array {
    const { columns, count } = this.#small;
    const width = DTYPES[this.#dtype].bits / 8;
    const elements = new Uint8Array(count * width);
    for (let i = 0; i < count; i++) {
      for (let b = 0; b < width; b++) elements[i * width + b] = row[columns[i]! * width + b]!;
    }
    return elements;
  }

  /** What is coded for each: as predicted where that is its value or next to it, else a float that is. */
  #choose(fineTuned: Uint8Array, predicted: Uint8Array): Float32Array {
    const [dtype, kernels, small] = [this.#dtype, this.#kernels, this.#small];
    const wanted = ordersOf(dtype, fineTuned);
    const found = ordersOf(dtype, predicted);
    const own = valuesAt(dtype, wanted, 0, kernels);
    const [lower, upper] = [valuesAt(dtype, wanted, -1, kernels), valuesAt(dtype, wanted, 1, kernels)];
    const present = valuesAt(dtype, found, 0, kernels);
    const coded = new Float32Array(small.count);
    const patterns = new Uint32Array(coded.buffer);
    for (let i = 0; i < small.count; i++) {
      const kept = keptPattern(small.patterns[i]!, this.#drop);
      if (Math.abs(wanted[i]! - found[i]!) <= 1) {
        patterns[i] = kept;
        continue;
      }
      const candidates = this.#isCodable(own[i]!) ? [own[i]!] : [lower[i]!, upper[i]!];
      const value = small.values[i]!;
      let best = own[i]!;
      let least = Number.POSITIVE_INFINITY;
      for (const candidate of candidates) {
        const distance = Math.abs(candidate - value);
        // What is coded as the prediction would be kept as it is.
        if (distance >= least || !this.#isCodable(candidate) || patternOf(candidate) === kept) continue;
        best = candidate;
        least = distance;
      }
      coded[i] = best;
      this.squaredErrorDrop += (present[i]! - own[i]!) ** 2 - (best - own[i]!) ** 2;
    }
    return coded;
  }

  /** Whether a value is finite and has none of the dropped bits. */
  #isCodable(value: number): boolean {
    return Number.isFinite(value) && patternOf(value) % 2 ** this.#drop === 0;
  }
}

const scratch = new DataView(new ArrayBuffer(4));

function patternOf(value: number): number {
  scratch.setFloat32(0, value);
  return scratch.getUint32(0);
}

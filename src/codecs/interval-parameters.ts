/** The encoder's choices for codec "interval", from a sample of the rows. None of them is normative. */
import { type FloatDtype, isFloatDtype } from '../../formats/dtype.js';
import { elementLayout, type IntervalModel, MAX_CODED_COLUMNS } from '../kernels/interval-model.js';
import type { ExactInput } from './codec.js';

/** What encoding gives when a value does not end with the zero bits that the sample promised. */
export const DROP_VIOLATED = Symbol('a value without the dropped zero bits');

/** Bytes of a stretch of the sample. */
const STRETCH_BYTE_LENGTH = 1 << 17;

/** Share of elements equal to their prediction from which runs of them are told by blocks. */
const BLOCK_SHARE = 0.9;

/** Share from which the few differences say little of a column's spread. */
const MEANS_SHARE = 0.4;

/** Share of elements in equal runs of STRIP from which strips are told. */
const STRIP_SHARE = 0.01;
const STRIP = 256;

/** Where the mean difference lies in the coder's scale: 2^6 units. */
const UNIT_OFFSET = 6;

export interface IntervalChoice {
  readonly model: IntervalModel;
  /** Whether to use the prediction at all. */
  readonly predict: boolean;
}

export async function chooseIntervalModel(input: ExactInput): Promise<IntervalChoice> {
  const { byteLength, isFloat } = elementLayout(input.dtype);
  const columns = Math.min(Math.max(1, input.rowByteLength / byteLength), MAX_CODED_COLUMNS);
  const plain = new Sample(input);
  const predicted = new Sample(input);
  let lowBits = 0;
  for (const [start, length] of stretches(input)) {
    const values = await input.read(start, length);
    const prediction = (await input.prediction?.read(start, length))?.bytes;
    plain.add(values, new Uint8Array(length));
    if (prediction !== undefined) predicted.add(values, prediction);
    lowBits |= commonBits(values);
  }
  // A prediction that leaves differences as large as the values is none.
  const predict = input.prediction !== undefined && predicted.exponent <= plain.exponent;
  const sample = predict ? predicted : plain;
  const trailing = isFloat && byteLength === 4 && lowBits !== 0 ? 31 - Math.clz32(lowBits & -lowBits) : 0;
  const { equalShare, stripShare } = sample;
  return {
    predict,
    model: {
      dtype: input.dtype,
      columns,
      unit: Math.max(-1000, Math.min(800, sample.exponent - UNIT_OFFSET)),
      skip: equalShare >= BLOCK_SHARE ? 2 : stripShare >= STRIP_SHARE ? 1 : 0,
      means: equalShare < MEANS_SHARE,
      drop: Math.min(trailing, 23),
    },
  };
}

/** Whether every float32 of `values` ends with `drop` zero bits. */
export function holdsDrop(values: Uint8Array, drop: number): boolean {
  return drop === 0 || (commonBits(values) & (2 ** drop - 1)) === 0;
}

/** Bits set in any 32-bit word. */
function commonBits(values: Uint8Array): number {
  let bits = 0;
  const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
  for (let i = 0; i + 4 <= values.byteLength; i += 4) bits |= view.getUint32(i, true);
  return bits;
}

/** Byte ranges of whole rows, or parts of one: from the start, and where going on is cheap from the middle and the end. */
function stretches({ rowCount, rowByteLength, prediction }: ExactInput): [number, number][] {
  const total = rowCount * rowByteLength;
  const length = Math.min(
    total,
    Math.max(1, Math.floor(STRETCH_BYTE_LENGTH / Math.max(1, rowByteLength))) * rowByteLength,
    rowByteLength > STRETCH_BYTE_LENGTH ? STRETCH_BYTE_LENGTH : total,
  );
  if (length === 0) return [];
  if (prediction?.kind === 'reconstruction' || total <= 3 * length) return [[0, length]];
  const row = Math.min(rowByteLength, length);
  const aligned = (offset: number): number => offset - (offset % row);
  return [0, aligned((total - length) / 2), aligned(total - length)].map((start) => [start, length]);
}

/** Statistics of differences. */
class Sample {
  readonly #input: ExactInput;
  #count = 0;
  #equal = 0;
  #inStrips = 0;
  #exponents = 0;
  #differing = 0;

  constructor(input: ExactInput) {
    this.#input = input;
  }

  add(values: Uint8Array, prediction: Uint8Array): void {
    const { byteLength } = elementLayout(this.#input.dtype);
    const count = values.byteLength / byteLength;
    const differences = this.#differences(values, prediction, count);
    let run = 0;
    for (let i = 0; i < count; i++) {
      let same = true;
      for (let b = i * byteLength; b < (i + 1) * byteLength && same; b++) same = values[b] === prediction[b];
      run = same ? run + 1 : 0;
      if (same) this.#equal++;
      if (run === STRIP) {
        this.#inStrips += STRIP;
        run = 0;
      }
      const difference = Math.abs(differences[i]!);
      if (difference > 0 && difference < Number.POSITIVE_INFINITY) {
        this.#exponents += exponentOf(difference);
        this.#differing++;
      }
    }
    this.#count += count;
  }

  #differences(values: Uint8Array, prediction: Uint8Array, count: number): Float32Array | Float64Array {
    const { dtype, kernels } = this.#input;
    const { isFloat, byteLength } = elementLayout(dtype);
    if (isFloat) {
      const float: FloatDtype = isFloatDtype(dtype) ? dtype : 'F32';
      const differences = new Float32Array(count);
      kernels.subtract(float, values, float, prediction, differences);
      return differences;
    }
    return Float64Array.from({ length: count }, (_, i) => {
      const end = (i + 1) * byteLength;
      return wordOf(values, i * byteLength, end) - wordOf(prediction, i * byteLength, end);
    });
  }

  /** Mean exponent of the differences that are not 0; −14 when there is none. */
  get exponent(): number {
    return this.#differing === 0 ? -14 : Math.floor(this.#exponents / this.#differing);
  }

  get equalShare(): number {
    return this.#count === 0 ? 0 : this.#equal / this.#count;
  }

  get stripShare(): number {
    return this.#count === 0 ? 0 : this.#inStrips / this.#count;
  }
}

function wordOf(bytes: Uint8Array, start: number, end: number): number {
  let word = 0;
  for (let i = end - 1; i >= start; i--) word = word * 256 + bytes[i]!;
  return word;
}

const scratch = new DataView(new ArrayBuffer(8));

/** floor(log2 x) of a normal float64. */
function exponentOf(x: number): number {
  scratch.setFloat64(0, x);
  return (scratch.getUint16(0) >> 4) - 1023;
}

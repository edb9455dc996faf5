/**
 * Codec "interval" (docs/spec/interval.md) in plain TypeScript: row by row, a value at a time. The model of
 * one value stands in interval-values.ts; here are rows, skipped runs, and the running spread.
 */
import {
  checkedRows,
  checkIntervalModel,
  elementLayout,
  type IntervalDecoder,
  type IntervalEncoder,
  type IntervalModel,
  type IntervalPrediction,
  MAX_PAYLOAD_BYTES,
} from '../interval-model.js';
import { CONTEXT, eighths, powerOfTwo } from './interval-contexts.js';
import { preparePrediction } from './interval-prediction.js';
import { IntervalValues } from './interval-values.js';
import { type BitCoder, RangeDecoder, RangeEncoder } from './range-coder.js';

/** Elements of a strip, of which one bit tells that all are as predicted; and of a block. */
const STRIP = 256;
const BLOCK = 16;

/** Least and largest scale of a row, in quarters of an octave over the unit. */
const SCALE_RANGE = [-24, 511] as const;

/** 4096 · 2^(−k/4). */
const INVERSE_QUARTERS = [4096, 3444, 2896, 2435];

/** Column means adapt by a shift of 4 in the first rows, then slower: rows before which each shift holds. */
const RATE_ROWS = [16, 40, 100, 300];
const FIRST_RATE = 4;

const ONE = 4096;
const LEAST_MEAN = 128;

/** The coder of a term: contexts, rows so far and column means. Any BitCoder goes, one that only counts included. */
export class ScalarInterval {
  readonly #model: IntervalModel;
  readonly #element: number;
  readonly #values: IntervalValues;
  readonly #means: Int32Array;
  /** Whether each strip of the last coded row differed. */
  readonly #strips = new Uint8Array(Math.ceil(65_536 / STRIP)).fill(1);
  #rowIndex = 0;
  #scale = 0;
  #lastRow = 1;

  constructor(model: IntervalModel) {
    checkIntervalModel(model);
    this.#model = model;
    this.#element = elementLayout(model.dtype).byteLength;
    this.#values = new IntervalValues(model);
    this.#means = new Int32Array(model.columns).fill(ONE);
  }

  code(
    coder: BitCoder,
    values: Uint8Array,
    prediction: IntervalPrediction | undefined,
    columns: number,
  ): void {
    const rows = checkedRows(this.#model, columns, values.byteLength, prediction);
    const basis = preparePrediction(this.#model, prediction, values.byteLength / this.#element);
    this.#values.attach(coder, values, basis);
    for (let row = 0; row < rows; row++) this.#codeRow(coder, values, basis.elements, row * columns, columns);
  }

  #codeRow(coder: BitCoder, values: Uint8Array, predicted: Uint8Array, start: number, columns: number): void {
    const { skip } = this.#model;
    const end = start + columns;
    if (skip > 0) {
      this.#lastRow = this.#codeDiffers(coder, values, predicted, start, end, CONTEXT.row + this.#lastRow);
      if (this.#lastRow === 0) return;
    }
    this.#codeScale(coder, start, columns);
    const model = this.#values;
    const scale = this.#scale * 2;
    const rate = rateOf(this.#rowIndex++);
    const gain = powerOfTwo(-this.#model.unit - (this.#scale >> 2)) * INVERSE_QUARTERS[this.#scale & 3];
    let lastStrip = 1;
    let lastBlock = 1;
    let inBlock = false;
    let seen = false;
    for (let column = 0; column < columns; column++) {
      const i = start + column;
      if (skip > 0 && column % STRIP === 0) {
        const stripEnd = Math.min(i + STRIP, end);
        const strip = column / STRIP;
        const context: number = CONTEXT.strip + lastStrip * 2 + this.#strips[strip];
        lastStrip = this.#codeDiffers(coder, values, predicted, i, stripEnd, context);
        this.#strips[strip] = lastStrip;
        if (lastStrip === 0) {
          column += stripEnd - i - 1;
          continue;
        }
      }
      if (skip === 2 && column % BLOCK === 0) {
        const blockEnd = Math.min(i + BLOCK, end);
        const context: number = CONTEXT.block + model.blockRatio(scale, i, blockEnd) * 2 + lastBlock;
        lastBlock = this.#codeDiffers(coder, values, predicted, i, blockEnd, context);
        if (lastBlock === 0) {
          column += blockEnd - i - 1;
          continue;
        }
        inBlock = true;
        seen = false;
      }
      const mean = this.#means[column];
      const spread = scale + eighths(mean) - 96;
      let same = false;
      if (inBlock) {
        const position = column % BLOCK;
        if (seen || (position !== BLOCK - 1 && column !== columns - 1)) {
          const context: number = CONTEXT.same + model.sameContext(spread, i, seen, position);
          same = this.#codeDiffers(coder, values, predicted, i, i + 1, context) === 0;
        }
        seen ||= !same;
      }
      if (!same) model.codeValue(i, spread, inBlock);
      if (!this.#model.means) continue;
      const step = Math.abs(model.difference(i)) * gain;
      const next = mean + ((Math.trunc(atMost(step, 65_536)) - mean) >> rate);
      this.#means[column] = Math.max(next, LEAST_MEAN);
    }
  }

  /** Codes whether elements [start, end) differ from their prediction; a decoder copies them if not. */
  #codeDiffers(
    coder: BitCoder,
    values: Uint8Array,
    predicted: Uint8Array,
    start: number,
    end: number,
    context: number,
  ): number {
    const from = start * this.#element;
    const to = end * this.#element;
    let differs = false;
    for (let i = from; i < to && !differs && !coder.decoding; i++) differs = values[i] !== predicted[i];
    const bit = this.#values.code(context, differs ? 1 : 0);
    if (bit === 0 && coder.decoding) values.set(predicted.subarray(from, to), from);
    return bit;
  }

  #codeScale(coder: BitCoder, start: number, columns: number): void {
    const [minimum, maximum] = SCALE_RANGE;
    let difference = 0;
    if (!coder.decoding) {
      difference = this.#wantedScale(start, columns) - this.#scale;
      const change = difference * 0.1732;
      if (this.#rowIndex > 0 && columns * (this.#model.skip === 2 ? 0.035 : 0.7) * change * change <= 5)
        difference = 0;
    }
    const values = this.#values;
    if (values.code(CONTEXT.scale, difference !== 0 ? 1 : 0) === 0) return;
    const negative = values.code(CONTEXT.scale + 1, difference < 0 ? 1 : 0) === 1;
    const target = Math.abs(difference) - 1;
    let steps = 0;
    while (steps < 16 && values.code(CONTEXT.scale + 2 + steps, steps < target ? 1 : 0) === 1) steps++;
    if (steps === 16) steps += coder.raw(target - 16, 10);
    const scale = this.#scale + (negative ? -steps - 1 : steps + 1);
    this.#scale = Math.max(minimum, Math.min(maximum, scale));
  }

  /** The encoder's choice: the scale at which the column means would have been right on average. */
  #wantedScale(start: number, columns: number): number {
    const inverseUnit = powerOfTwo(-this.#model.unit);
    let sum = 0;
    for (let column = 0; column < columns; column++) {
      const difference = Math.abs(this.#values.difference(start + column)) * inverseUnit;
      sum += (atMost(difference, ONE) * ONE) / this.#means[column];
    }
    const [minimum, maximum] = SCALE_RANGE;
    return Math.max(minimum, Math.min(maximum, (eighths(sum / columns + 0.001) + 1) >> 1));
  }
}

/** x, but no more than `limit`; `limit` for NaN. */
function atMost(x: number, limit: number): number {
  if (x < limit) return x;
  return limit;
}

function rateOf(row: number): number {
  const index = RATE_ROWS.findIndex((limit) => row < limit);
  return FIRST_RATE + (index < 0 ? RATE_ROWS.length : index);
}

export function intervalEncoder(model: IntervalModel): IntervalEncoder {
  const interval = new ScalarInterval(model);
  let coder = new RangeEncoder();
  return {
    encode(values, prediction, columns = model.columns) {
      interval.code(coder, values, prediction, columns);
    },
    finish() {
      const payload = coder.finish();
      coder = new RangeEncoder();
      return payload.byteLength > MAX_PAYLOAD_BYTES ? undefined : payload;
    },
  };
}

export function intervalDecoder(model: IntervalModel): IntervalDecoder {
  const interval = new ScalarInterval(model);
  let coder = new RangeDecoder(new Uint8Array(0));
  return {
    begin(payload) {
      coder = new RangeDecoder(payload);
    },
    decode(prediction, out, columns = model.columns) {
      interval.code(coder, out, prediction, columns);
    },
  };
}

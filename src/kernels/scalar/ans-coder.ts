/** The ANS coder of docs/spec/ans-coder.md in plain TypeScript. */
import { LANES, ROW_TABLE, SCALE_BITS, STATES_BYTE_LENGTH } from '../ans-model.js';
import { checkColumns, checkEncodeRows, checkMatrixRows } from '../arguments.js';
import type { RowsDecoder, RowsEncodeRequest, RowsEncoder } from '../matrix-coder.js';
import { MAX_LEVEL_NUMBER } from '../matrix-model.js';
import { AnsTables, escapeBits, folded, rawBits, symbolOf } from './ans-tables.js';
import { chooseScale, NO_SCALE } from './matrix-quantizer.js';
import { RowModel } from './row-model.js';

/** In the row table, a row of zeros; other values are moves of the row scale. */
const ZERO_ROW = -15;
/** The same behind an escape, where others are scales from −40 on. */
const ESCAPED_ZERO_ROW = 127;
/** Every row is counted until this many entries are behind it, then every eighth. */
const COUNTED_ENTRIES = 1 << 17;

const f32 = Math.fround;

class AnsModel extends RowModel {
  readonly tables = new AnsTables();

  /** The value in the row table of a move to a scale: undefined for moves too far. */
  moveValue(scale: number): number | undefined {
    const move = scale - this.scale;
    return move > ZERO_ROW && move < 16 ? move : undefined;
  }

  /** Counts a row, whose codes are half steps, and moves the averages. */
  learn(codes: Int16Array): void {
    const row = this.rows;
    this.updateAverages(codes);
    if (row % 8 !== 0 && row * this.columns >= COUNTED_ENTRIES) return;
    for (let j = 0; j < this.columns; j++) {
      const level = this.levels[j];
      this.tables.count(level, symbolOf((codes[j] >> 1) >> rawBits(level)));
    }
    this.tables.renewFull();
  }
}

/** What the sixteen lanes do, one after the other: a symbol, or raw bits. */
interface Step {
  readonly lane: number;
  readonly value: number;
  /** Of a symbol. */
  readonly frequency?: number;
  /** Of raw bits. */
  readonly bits?: number;
}

class ScalarAnsEncoder implements RowsEncoder {
  readonly #columns: number;
  readonly #model: AnsModel;
  #steps: Step[] = [];
  #freed = false;

  constructor(columns: number) {
    checkColumns(columns);
    this.#columns = columns;
    this.#model = new AnsModel(columns);
  }

  encodeRows(request: RowsEncodeRequest): void {
    const { rows, lambda, codes, columnWeights, factor = 1 } = request;
    const columns = this.#columns;
    this.#checkUse();
    checkEncodeRows(request, columns);
    if (columns === 0) return;
    const weights = columnWeights ?? new Float32Array(columns).fill(1);
    const scale = f32(factor);
    const values = factor === 1 ? request.values : request.values.map((value) => value * scale);
    const bitCost = f32(4 * lambda);
    for (let row = 0; row < rows; row++) {
      const part = [row * columns, (row + 1) * columns] as const;
      this.#encodeRow(values.subarray(...part), weights, codes.subarray(...part), bitCost);
    }
  }

  /** Numeral systems write backwards: the last step first. */
  endChunk(): Uint8Array {
    this.#checkUse();
    const states = new Array<number>(LANES).fill(2 ** 16);
    const words: number[] = [];
    for (const { lane, value, frequency, bits } of this.#steps.reverse()) {
      const share = frequency ?? 2 ** (SCALE_BITS - bits!);
      let state = states[lane];
      if (state >= share * 2 ** (32 - SCALE_BITS)) {
        words.push(state % 2 ** 16);
        state = Math.floor(state / 2 ** 16);
      }
      states[lane] =
        frequency === undefined
          ? state * 2 ** bits! + value
          : Math.floor(state / frequency) * 2 ** SCALE_BITS + (state % frequency) + value;
    }
    this.#steps = [];
    const out = new Uint8Array(STATES_BYTE_LENGTH + 2 * words.length);
    const view = new DataView(out.buffer);
    for (const [lane, state] of states.entries()) view.setUint32(4 * lane, state, true);
    for (const [i, word] of words.reverse().entries()) view.setUint16(STATES_BYTE_LENGTH + 2 * i, word, true);
    return out;
  }

  free(): void {
    this.#freed = true;
  }

  #encodeRow(values: Float32Array, weights: Float32Array, codes: Int16Array, bitCost: number): void {
    const model = this.#model;
    const previous = model.scale;
    let scale = chooseScale(values, previous, (move) => model.tables.moveCost(move));
    if (scale !== NO_SCALE) {
      model.scale = scale;
      model.prepareLevels();
      if (!this.#quantize(values, weights, codes, bitCost)) scale = NO_SCALE;
      model.scale = previous;
    }
    const isZero = scale === NO_SCALE;
    const value = isZero ? ZERO_ROW : model.moveValue(scale);
    model.tables.count(ROW_TABLE, symbolOf(value));
    if (!this.#symbol(0, ROW_TABLE, value)) this.#raw(0, isZero ? ESCAPED_ZERO_ROW : scale + 40, 7);
    if (isZero) {
      codes.fill(0);
      return;
    }
    model.scale = scale;
    for (let block = 0; block < this.#columns; block += LANES) this.#encodeBlock(codes, block);
    model.learn(codes);
  }

  /** Records a block of k, which become half steps. */
  #encodeBlock(codes: Int16Array, block: number): void {
    const { levels } = this.#model;
    const end = Math.min(block + LANES, this.#columns);
    const escaped = new Set<number>();
    for (let j = block; j < end; j++) {
      if (!this.#symbol(j - block, levels[j], codes[j] >> rawBits(levels[j]))) escaped.add(j);
    }
    for (let j = block; j < end; j++) {
      const bits = rawBits(levels[j]);
      const value = codes[j] >> bits;
      if (escaped.has(j)) {
        const length = escapeBits(value);
        this.#raw(j - block, length, 4);
        this.#raw(j - block, folded(value) - 2 ** length, length);
      }
      this.#raw(j - block, codes[j] & (2 ** bits - 1), bits);
      codes[j] *= 2;
    }
  }

  /** Records a value; false when it takes an escape, which is recorded then. */
  #symbol(lane: number, table: number, value: number | undefined): boolean {
    const { tables } = this.#model;
    const symbol = symbolOf(value);
    const isKnown = symbol !== 0 && tables.frequency(table, symbol) > 0;
    const coded = isKnown ? symbol : 0;
    this.#steps.push({
      lane,
      value: tables.start(table, coded),
      frequency: tables.frequency(table, coded),
    });
    return isKnown;
  }

  #raw(lane: number, value: number, bits: number): void {
    if (bits > 0) this.#steps.push({ lane, value, bits });
  }

  /** Sets k of a row whose levels are prepared. Whether any is not 0. */
  #quantize(values: Float32Array, weights: Float32Array, codes: Int16Array, bitCost: number): boolean {
    const { levels, tables } = this.#model;
    const costOf = (offset: number, weight: number, level: number, k: number): number =>
      f32(f32(f32(weight * offset) * offset) + f32(bitCost * tables.cost(level, k)));
    let any = false;
    for (const [j, value] of values.entries()) {
      const size = Math.min(f32(Math.abs(value) * 2), 32_766);
      codes[j] = 0;
      if (!(size > 1)) continue;
      const sign = value < 0 ? -1 : 1;
      const low = Math.floor(size / 2);
      const offset = f32(size - 2 * low);
      let best = costOf(size, weights[j], levels[j], 0);
      for (const k of [low, low + 1]) {
        if (k === 0 || k > MAX_LEVEL_NUMBER) continue;
        const cost = costOf(k === low ? offset : f32(offset - 2), weights[j], levels[j], sign * k);
        if (cost >= best) continue;
        best = cost;
        codes[j] = sign * k;
      }
      any ||= codes[j] !== 0;
    }
    return any;
  }

  #checkUse(): void {
    if (this.#freed) throw new TypeError('expected a coder in use, got one that was freed');
  }
}

/** The lanes of a chunk, and its words. Bytes past its end read as 0. */
class LaneReader {
  readonly #bytes: Uint8Array;
  readonly #states: number[];
  #position = STATES_BYTE_LENGTH;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#states = Array.from(
      { length: LANES },
      (_, lane) => this.#word(4 * lane) + 2 ** 16 * this.#word(4 * lane + 2),
    );
  }

  symbol(lane: number, tables: AnsTables, table: number): number {
    const state = this.#states[lane];
    const slot = state % 2 ** SCALE_BITS;
    const symbol = tables.symbolAt(table, slot);
    const rest = Math.floor(state / 2 ** SCALE_BITS);
    this.#advance(lane, rest * tables.frequency(table, symbol) + slot - tables.start(table, symbol));
    return symbol;
  }

  raw(lane: number, bits: number): number {
    const state = this.#states[lane];
    this.#advance(lane, Math.floor(state / 2 ** bits));
    return state % 2 ** bits;
  }

  #advance(lane: number, state: number): void {
    if (state >= 2 ** 16) {
      this.#states[lane] = state;
      return;
    }
    this.#states[lane] = state * 2 ** 16 + this.#word(this.#position);
    this.#position += 2;
  }

  #word(at: number): number {
    return (this.#bytes[at] ?? 0) + 256 * (this.#bytes[at + 1] ?? 0);
  }
}

class ScalarAnsDecoder implements RowsDecoder {
  readonly #columns: number;
  readonly #model: AnsModel;
  #lanes = new LaneReader(new Uint8Array(0));
  #freed = false;

  constructor(columns: number) {
    checkColumns(columns);
    this.#columns = columns;
    this.#model = new AnsModel(columns);
  }

  beginChunk(bytes: Uint8Array): void {
    this.#checkUse();
    this.#lanes = new LaneReader(bytes.slice());
  }

  decodeRows(rows: number, out: Int16Array): void {
    const columns = this.#columns;
    this.#checkUse();
    checkMatrixRows(rows, columns, 'out', out.length);
    if (columns === 0) return;
    for (let row = 0; row < rows; row++) {
      const codes = out.subarray(row * columns, (row + 1) * columns);
      if (this.#decodeRowStart()) {
        codes.fill(0);
        continue;
      }
      this.#model.prepareLevels();
      for (let block = 0; block < columns; block += LANES) this.#decodeBlock(codes, block);
      this.#model.learn(codes);
    }
  }

  free(): void {
    this.#freed = true;
  }

  /** Whether the row is all zeros; if not, its scale is set. */
  #decodeRowStart(): boolean {
    const model = this.#model;
    const symbol = this.#lanes.symbol(0, model.tables, ROW_TABLE);
    let isZero = symbol === symbolOf(ZERO_ROW);
    let scale = model.scale + symbol - 16;
    if (symbol === 0) {
      const bits = this.#lanes.raw(0, 7);
      isZero = bits === ESCAPED_ZERO_ROW;
      scale = bits - 40;
    }
    scale = Math.min(Math.max(scale, -40), 60);
    model.tables.count(ROW_TABLE, symbolOf(isZero ? ZERO_ROW : model.moveValue(scale)));
    if (!isZero) model.scale = scale;
    return isZero;
  }

  #decodeBlock(codes: Int16Array, block: number): void {
    const { levels, tables } = this.#model;
    const lanes = this.#lanes;
    const end = Math.min(block + LANES, this.#columns);
    const symbols: number[] = [];
    for (let j = block; j < end; j++) symbols.push(lanes.symbol(j - block, tables, levels[j]));
    for (const [lane, symbol] of symbols.entries()) {
      const bits = rawBits(levels[block + lane]);
      let value = symbol - 16;
      if (symbol === 0) {
        const length = lanes.raw(lane, 4);
        const whole = 2 ** length + lanes.raw(lane, length);
        value = whole % 2 === 1 ? (whole - 1) / 2 : -whole / 2;
      }
      const k = value * 2 ** bits + lanes.raw(lane, bits);
      codes[block + lane] = 2 * Math.min(Math.max(k, -MAX_LEVEL_NUMBER), MAX_LEVEL_NUMBER);
    }
  }

  #checkUse(): void {
    if (this.#freed) throw new TypeError('expected a coder in use, got one that was freed');
  }
}

export function createAnsEncoder(columns: number): RowsEncoder {
  return new ScalarAnsEncoder(columns);
}

export function createAnsDecoder(columns: number): RowsDecoder {
  return new ScalarAnsDecoder(columns);
}

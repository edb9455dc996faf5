/** The tables of docs/spec/ans-coder.md §2: frequencies of symbols, which follow their counts. */
import {
  FIRST_RAW_LEVEL,
  firstCounts,
  frequencyBits,
  ROW_TABLE,
  SCALE_BITS,
  SYMBOLS,
  TABLES,
} from '../ans-model.js';

const SCALE = 1 << SCALE_BITS;
/** What a symbol adds to its count. */
const WEIGHT = 32;
/** Counts of a larger sum are halved. */
const MOST = 1 << 17;

const f32 = Math.fround;

/** Bits of an entry at this level that are coded as they are. */
export function rawBits(level: number): number {
  return level < FIRST_RAW_LEVEL ? 0 : (level - FIRST_RAW_LEVEL + 2) >> 1;
}

/** Number of a value's symbol; 0 for values, or none, that only an escape can say. */
export function symbolOf(value: number | undefined): number {
  return value !== undefined && Math.abs(value) <= 15 ? 16 + value : 0;
}

/** 1 + twice the value for values from 0 on, minus twice the value for others: 1 to 32768. */
export function folded(value: number): number {
  return value >= 0 ? 2 * value + 1 : -2 * value;
}

/** Raw bits of an escaped value behind their number. */
export function escapeBits(value: number): number {
  return 31 - Math.clz32(folded(value));
}

export class AnsTables {
  readonly #counts = firstCounts();
  readonly #frequencies = new Uint16Array(TABLES * SYMBOLS);
  readonly #starts = new Uint16Array(TABLES * SYMBOLS);
  /** A table is made anew once its counts reach this sum. */
  readonly #limits = new Float64Array(TABLES);

  constructor() {
    for (let table = 0; table < TABLES; table++) this.#renew(table);
  }

  frequency(table: number, symbol: number): number {
    return this.#frequencies[table * SYMBOLS + symbol];
  }

  /** First slot of a symbol. */
  start(table: number, symbol: number): number {
    return this.#starts[table * SYMBOLS + symbol];
  }

  symbolAt(table: number, slot: number): number {
    let symbol = SYMBOLS - 1;
    while (this.frequency(table, symbol) === 0 || this.start(table, symbol) > slot) symbol--;
    return symbol;
  }

  count(table: number, symbol: number): void {
    this.#counts[table * SYMBOLS + symbol] += WEIGHT;
  }

  /** Makes the tables anew whose counts have grown by half. */
  renewFull(): void {
    for (let table = 0; table < TABLES; table++)
      if (this.#total(table) >= this.#limits[table]) this.#renew(table);
  }

  /** Bits of k at a level, in float32. */
  cost(level: number, k: number): number {
    const value = k >> rawBits(level);
    const symbol = symbolOf(value);
    if (symbol !== 0 && this.frequency(level, symbol) > 0)
      return f32(frequencyBits()[this.frequency(level, symbol)] + rawBits(level));
    return f32(f32(f32(frequencyBits()[this.frequency(level, 0)] + rawBits(level)) + 4) + escapeBits(value));
  }

  /** Bits of a move of the row scale, in float32. */
  moveCost(move: number): number {
    const escapeCost = f32(frequencyBits()[this.frequency(ROW_TABLE, 0)] + 4);
    if (move <= -15 || move > 15) return f32(escapeCost + 3);
    const frequency = this.frequency(ROW_TABLE, 16 + move);
    return frequency > 0 ? frequencyBits()[frequency] : f32(escapeCost + escapeBits(move));
  }

  #total(table: number): number {
    return this.#counts
      .subarray(table * SYMBOLS, (table + 1) * SYMBOLS)
      .reduce((sum, count) => sum + count, 0);
  }

  #renew(table: number): void {
    const counts = this.#counts.subarray(table * SYMBOLS, (table + 1) * SYMBOLS);
    if (this.#total(table) > MOST) for (let s = 0; s < SYMBOLS; s++) counts[s] >>>= 1;
    const total = this.#total(table);
    this.#limits[table] = total + Math.floor(total / 2);
    const share = (count: number): number => Math.floor((count * SCALE + Math.floor(total / 2)) / total);
    const frequencies = Array.from(counts, share);
    // Symbols too rare for a frequency are left to the escape.
    const escaped = counts.reduce(
      (sum, count, s) => (s === 0 || frequencies[s] === 0 ? sum + count : sum),
      0,
    );
    frequencies[0] = Math.max(1, share(escaped));
    let top = 1;
    for (let s = 2; s < SYMBOLS; s++) if (counts[s] > counts[top]) top = s;
    // What rounding left goes to the most frequent symbol.
    frequencies[top] += SCALE - frequencies.reduce((sum, frequency) => sum + frequency, 0);
    let start = 0;
    for (const [s, frequency] of frequencies.entries()) {
      this.#frequencies[table * SYMBOLS + s] = frequency;
      this.#starts[table * SYMBOLS + s] = start;
      start += frequency;
    }
  }
}

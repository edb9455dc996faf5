/**
 * Numbers of the ANS coder (docs/spec/ans-coder.md) that both implementations share: what its tables start with, and what
 * the encoder takes a symbol to cost.
 */
import { binaryLogarithm, LEVELS } from './matrix-model.js';

/** The table of row scales, behind those of the levels. */
export const ROW_TABLE = LEVELS;

/** Tables in all. */
export const TABLES = LEVELS + 1;

/** Symbols of a table: number 0 is the escape, number 16 + v the value v of −15 to 15. */
export const SYMBOLS = 32;

/** Binary digits of the sum of a table's frequencies. */
export const SCALE_BITS = 11;

/** Lanes of the coder; entry j of a row is in lane j mod 16. */
export const LANES = 16;

/** Bytes before the words of a chunk: the states of its lanes. */
export const STATES_BYTE_LENGTH = 4 * LANES;

/** Levels from this one on code their lowest bits as they are. */
export const FIRST_RAW_LEVEL = 25;

/**
 * First counts of the values 0, ±1, ±2 and so on by level, averages over trained runs; zeros are left out. A symbol that
 * is coded counts 32.
 */
const LEVEL_COUNTS: readonly (readonly number[])[] = [
  [2046, 1],
  [2045, 2],
  [2044, 2],
  [2043, 3],
  [2042, 3],
  [2040, 4],
  [2036, 6],
  [2030, 9],
  [2022, 13],
  [2015, 16],
  [1994, 27],
  [1972, 38],
  [1927, 60],
  [1870, 88, 1],
  [1767, 139, 1],
  [1608, 216, 3],
  [1433, 303, 4],
  [1244, 392, 10],
  [1049, 465, 34, 1],
  [877, 492, 88, 6],
  [665, 489, 169, 29, 4],
  [449, 424, 250, 98, 22, 5, 1],
  [271, 257, 300, 211, 77, 29, 9, 3, 1],
  [228, 231, 194, 155, 119, 82, 54, 31, 18, 11, 6, 4, 2, 1, 1, 1],
  [170, 293, 245, 174, 109, 60, 32, 14, 6, 3, 1, 1],
];

/** The same from level 25 on, odd levels and even ones, of the values 0 and −1, 1 and −2, and so on. */
const RAW_LEVEL_COUNTS: readonly (readonly number[])[] = [
  [305, 214, 150, 106, 74, 52, 37, 26, 18, 13, 9, 6, 4, 3, 2],
  [227, 176, 137, 107, 83, 65, 51, 39, 31, 24, 19, 14, 11, 9, 7],
];

/** The same of moves of the row scale: 0, ±1, ±2 and so on; and of a row of zeros, which is the value −15. */
const ROW_COUNTS: readonly number[] = [422, 194, 200, 140, 96, 71, 44, 24, 14, 13, 6, 4, 2, 1, 1];
const ZERO_ROW_COUNT = 16;

/** First count of every escape. */
const ESCAPE_COUNT = 4;

/** First counts: TABLES × SYMBOLS. */
export function firstCounts(): Uint32Array {
  const out = new Uint32Array(TABLES * SYMBOLS);
  for (let table = 0; table < TABLES; table++) {
    const counts = out.subarray(table * SYMBOLS, (table + 1) * SYMBOLS);
    counts[0] = ESCAPE_COUNT;
    if (table >= FIRST_RAW_LEVEL && table < LEVELS) {
      for (const [v, count] of RAW_LEVEL_COUNTS[(table + 1) % 2]!.entries())
        counts[16 + v] = counts[15 - v] = count;
      continue;
    }
    for (const [v, count] of (LEVEL_COUNTS[table] ?? ROW_COUNTS).entries())
      counts[16 + v] = counts[16 - v] = count;
    if (table === ROW_TABLE) counts[1] = ZERO_ROW_COUNT;
  }
  return out;
}

let symbolBits: Float32Array | undefined;

/**
 * Bits of a symbol by its frequency, 0 (which none has) to 2^SCALE_BITS, in float32; equal everywhere. Made when an encoder
 * first asks.
 */
export function frequencyBits(): Float32Array {
  symbolBits ??= makeFrequencyBits();
  return symbolBits;
}

function makeFrequencyBits(): Float32Array {
  const bits = new Float32Array((1 << SCALE_BITS) + 1);
  for (let frequency = 1; frequency < bits.length; frequency++)
    bits[frequency] = SCALE_BITS - binaryLogarithm(frequency);
  return bits;
}

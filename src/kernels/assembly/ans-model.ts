/**
 * The model of docs/spec/ans-coder.md for both directions: tables of symbol frequencies by level, and how they learn. Its
 * memory belongs to one coder; the scalars of rows lie where matrix-model.ts has them, whose levels and averages it uses.
 * The arrays behind it come from the caller (../wasm/ans-coder.ts).
 */
import { ROW_COUNT, ROW_SCALE } from './matrix-model';

// The memory map; equal to that of ../wasm/ans-coder.ts.
// From 0 on u32 × 16: the states of the lanes.
export const POINTER: usize = 72; // u32: the next word to decode, or the end of the recorded steps.
export const POINTER_END: usize = 76; // u32: behind the last word.
const LIMITS: usize = 128; // u32 × 49: a table is made anew once its counts reach this sum.
export const COUNTS: usize = 512; // u32 × 49 × 32.
export const FREQUENCIES: usize = 6784; // u32 × 49 × 32: start | frequency << 16.
export const COSTS: usize = 13056; // f32 × 49 × 32: bits of a symbol, escapes and raw bits included; encoder.
export const BITS: usize = 19328; // f32 × 2049: bits of a frequency; encoder.
export const SHUFFLES: usize = 27584; // 16 × 16 bytes: which words go to which of four lanes.
export const SLOTS: usize = 27840; // u32 × 49 × 2048: offset in the symbol | frequency << 11 | 2 · value << 24.

/** Levels of entries, and the table of row scales behind them. */
export const ROW_TABLE: i32 = 48;
const TABLES: i32 = 49;
/** Binary digits of the sum of a table's frequencies. */
export const SCALE_BITS: i32 = 11;
export const SCALE: u32 = 1 << SCALE_BITS;
/** Symbols of a table: an escape, and the values −15 to 15. */
const SYMBOLS: u32 = 32;
/** In the row table, a row of zeros; other values are moves of the row scale. */
export const ZERO_ROW: i32 = -15;
/** The same behind an escape, where others are scales from −40 on. */
export const ESCAPED_ZERO_ROW: i32 = 127;
/** What stands in the slots of the escape as twice its value. */
export const ESCAPE: i32 = -128;
/** What a symbol adds to its count. */
const WEIGHT: u32 = 32;
/** Counts of a larger sum are halved. */
const MOST: u32 = 1 << 17;

/** Levels from this one on code their lowest bits as they are. */
export const FIRST_RAW_LEVEL: i8 = 25;

/** Bits of an entry at this level that are coded as they are. */
// @ts-ignore: decorator
@inline
export function rawBits(level: i32): i32 {
  return level < FIRST_RAW_LEVEL ? 0 : (level - FIRST_RAW_LEVEL + 2) >> 1;
}

// @ts-ignore: decorator
@inline
export function symbolOf(value: i32): u32 {
  return value >= -15 && value <= 15 ? 16 + value : 0;
}

/** Prepares all tables from their counts; with costs for an encoder. */
export function ansReset(encodes: bool): void {
  for (let mask: usize = 0; mask < 16; mask++) {
    let word: u8 = 0;
    for (let lane: usize = 0; lane < 4; lane++) {
      const at = SHUFFLES + (mask << 4) + (lane << 2);
      store<u32>(at, 0x80808080);
      if ((mask >> lane) & 1) {
        store<u8>(at, word);
        store<u8>(at, word + 1, 1);
        word += 2;
      }
    }
  }
  for (let table = 0; table < TABLES; table++) renewTable(table, encodes);
}

/** Makes a table from its counts, which are halved where they have grown large. */
function renewTable(table: i32, encodes: bool): void {
  const counts = COUNTS + (<usize>table << 7);
  const frequencies = FREQUENCIES + (<usize>table << 7);
  let total: u32 = 0;
  for (let s: usize = 0; s < SYMBOLS; s++) total += load<u32>(counts + (s << 2));
  if (total > MOST) {
    total = 0;
    for (let s: usize = 0; s < SYMBOLS; s++) {
      const half = load<u32>(counts + (s << 2)) >> 1;
      store<u32>(counts + (s << 2), half);
      total += half;
    }
  }
  store<u32>(LIMITS + (<usize>table << 2), total + (total >> 1));
  // Symbols too rare for a frequency are left to the escape.
  let escaped = load<u32>(counts);
  let rest: i32 = SCALE;
  let top: usize = 0;
  let most: u32 = 0;
  for (let s: usize = 1; s < SYMBOLS; s++) {
    const count = load<u32>(counts + (s << 2));
    const frequency = <u32>((<u64>count * SCALE + (total >> 1)) / total);
    if (frequency == 0) escaped += count;
    store<u32>(frequencies + (s << 2), frequency << 16);
    rest -= frequency;
    if (count > most) {
      most = count;
      top = s;
    }
  }
  const escapes = max<u32>(1, <u32>((<u64>escaped * SCALE + (total >> 1)) / total));
  store<u32>(frequencies, escapes << 16);
  rest -= escapes;
  // What rounding left goes to the most frequent symbol.
  store<u32>(frequencies + (top << 2), load<u32>(frequencies + (top << 2)) + (rest << 16));
  let start: u32 = 0;
  for (let s: usize = 0; s < SYMBOLS; s++) {
    const at = frequencies + (s << 2);
    const frequency = load<u32>(at) >> 16;
    store<u32>(at, start | (frequency << 16));
    fillSlots(table, start, frequency, s == 0 ? ESCAPE : 2 * (<i32>s - 16));
    start += frequency;
  }
  if (encodes) priceTable(table);
}

function fillSlots(table: i32, start: u32, frequency: u32, doubled: i32): void {
  let at = SLOTS + (<usize>table << (SCALE_BITS + 2)) + (<usize>start << 2);
  const first: u32 = (frequency << SCALE_BITS) | (<u32>doubled << 24);
  const end = at + (<usize>frequency << 2);
  let slots = i32x4.add(i32x4.splat(first), i32x4(0, 1, 2, 3));
  let next = first;
  for (; at + 16 <= end; at += 16) {
    v128.store(at, slots);
    slots = i32x4.add(slots, i32x4.splat(4));
    next += 4;
  }
  for (; at < end; at += 4) store<u32>(at, next++);
}

function priceTable(table: i32): void {
  const costs = COSTS + (<usize>table << 7);
  const raw: f32 = table < ROW_TABLE ? <f32>rawBits(table) : 0;
  const frequencies = FREQUENCIES + (<usize>table << 7);
  const escape = load<f32>(BITS + (<usize>(load<u32>(frequencies) >> 16) << 2)) + raw + 4;
  store<f32>(costs, escape);
  for (let s: i32 = 1; s < <i32>SYMBOLS; s++) {
    const frequency = load<u32>(frequencies + (<usize>s << 2)) >> 16;
    const value = s - 16;
    const cost = frequency != 0 ? load<f32>(BITS + (<usize>frequency << 2)) + raw : escape + <f32>escapeBits(value);
    store<f32>(costs + (<usize>s << 2), cost);
  }
}

/** 1 + twice the value for values from 0 on, minus twice the value for others: 1 to 32768. */
// @ts-ignore: decorator
@inline
export function folded(value: i32): u32 {
  return value >= 0 ? 2 * value + 1 : -2 * value;
}

/** Raw bits of an escaped value behind their number. */
// @ts-ignore: decorator
@inline
export function escapeBits(value: i32): i32 {
  return 31 - clz<i32>(folded(value));
}

/** Counts a row: its codes (i16, half steps) by their levels, in the first 2^18 entries and every eighth row. */
export function countRow(levels: usize, codes: usize, columns: i32, encodes: bool): void {
  // The row is counted in ROW_COUNT already.
  const row = load<i32>(0, ROW_COUNT) - 1;
  if ((row & 7) != 0 && <u64>row * <u64>columns >= 1 << 17) return;
  const end = levels + columns;
  for (; levels < end; levels++) {
    const level: i32 = load<u8>(levels);
    const symbol = symbolOf((<i32>load<i16>(codes) >> 1) >> rawBits(level));
    const at = COUNTS + (<usize>level << 7) + (<usize>symbol << 2);
    store<u32>(at, load<u32>(at) + WEIGHT);
    codes += 2;
  }
  for (let table = 0; table < TABLES; table++) {
    const counts = COUNTS + (<usize>table << 7);
    let sums = v128.load(counts);
    for (let s: usize = 16; s < 128; s += 16) sums = i32x4.add(sums, v128.load(counts + s));
    const total: u32 = i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 1) + i32x4.extract_lane(sums, 2) +
      i32x4.extract_lane(sums, 3);
    if (total >= load<u32>(LIMITS + (<usize>table << 2))) renewTable(table, encodes);
  }
}

/** The value in the row table of a move to a scale: 16, which has no symbol, for moves too far. */
export function moveValue(scale: i32): i32 {
  const move = scale - load<i32>(0, ROW_SCALE);
  return move > ZERO_ROW && move < 16 ? move : 16;
}

/** Counts a symbol of the row table. */
export function countRowSymbol(symbol: u32): void {
  const at = COUNTS + (<usize>ROW_TABLE << 7) + (<usize>symbol << 2);
  store<u32>(at, load<u32>(at) + WEIGHT);
}

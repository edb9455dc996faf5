/**
 * Rows of docs/spec/ans-coder.md encoded. Asymmetric numeral systems write backwards: the steps of a chunk are recorded,
 * and turned into words at its end (`ansFinish`).
 */
import {
  COSTS, ESCAPED_ZERO_ROW, FREQUENCIES, POINTER, ROW_TABLE, SCALE_BITS, ZERO_ROW, countRow, countRowSymbol, escapeBits,
  folded, moveValue, rawBits, symbolOf,
} from './ans-model';
import { ROW_SCALE, prepareLevels, updateAverages } from './matrix-model';
import { idealScale, scaleLoss } from './matrix-quantizer';

/** A row without a code. */
const NO_SCALE: i32 = -100;
/** Marks a recorded step of raw bits: value | bits << 16 | lane << 21; others are start | frequency << 11 | lane << 23. */
const RAW: u32 = 1 << 31;

function record(step: u32): void {
  const pointer: usize = load<u32>(0, POINTER);
  store<u32>(pointer, step);
  store<u32>(0, <u32>(pointer + 4), POINTER);
}

function recordRaw(lane: u32, value: u32, bits: i32): void {
  record(RAW | value | (<u32>bits << 16) | (lane << 21));
}

/** Whether the value has a frequency of its own. */
function recordSymbol(lane: u32, table: i32, value: i32): bool {
  const frequencies = FREQUENCIES + (<usize>table << 7);
  let entry = load<u32>(frequencies + (<usize>symbolOf(value) << 2));
  const isKnown = value >= -15 && value <= 15 && entry >> 16 != 0;
  if (!isKnown) entry = load<u32>(frequencies);
  record((entry & 0xffff) | ((entry >> 16) << SCALE_BITS) | (lane << 23));
  return isKnown;
}

function recordEscaped(lane: u32, value: i32): void {
  const bits = escapeBits(value);
  recordRaw(lane, bits, 4);
  recordRaw(lane, folded(value) - (1 << bits), bits);
}

/** Records the start of a row: its scale, or that it is all zeros. */
function recordRow(scale: i32): void {
  const isZero = scale == NO_SCALE;
  const value = isZero ? ZERO_ROW : moveValue(scale);
  if (!isZero) store<i32>(0, scale, ROW_SCALE);
  countRowSymbol(symbolOf(value));
  if (!recordSymbol(0, ROW_TABLE, value)) recordRaw(0, isZero ? ESCAPED_ZERO_ROW : scale + 40, 7);
}

/** Records the entries of a row, and replaces their k (i16, `codes`) by half steps. */
function recordEntries(levels: usize, codes: usize, columns: i32): void {
  for (let block = 0; block < columns; block += 16) {
    const count = min(columns - block, 16);
    let escaped: u32 = 0;
    let raw = false;
    for (let lane = 0; lane < count; lane++) {
      const level: i32 = load<u8>(levels + lane);
      const bits = rawBits(level);
      if (bits != 0) raw = true;
      const k: i32 = load<i16>(codes + (lane << 1));
      if (!recordSymbol(lane, level, k >> bits)) escaped |= 1 << lane;
    }
    if (raw || escaped != 0) {
      for (let lane = 0; lane < count; lane++) {
        const bits = rawBits(load<u8>(levels + lane));
        const k: i32 = load<i16>(codes + (lane << 1));
        if ((escaped >> lane) & 1) recordEscaped(lane, k >> bits);
        if (bits != 0) recordRaw(lane, k & ((1 << bits) - 1), bits);
      }
    }
    for (let lane = 0; lane < count; lane++) {
      store<i16>(codes + (lane << 1), 2 * load<i16>(codes + (lane << 1)));
    }
    levels += 16;
    codes += 32;
  }
}

/** Bits of k at a level. */
function cost(level: i32, k: i32): f32 {
  const value = k >> rawBits(level);
  const costs = COSTS + (<usize>level << 7);
  if (value >= -15 && value <= 15) return load<f32>(costs + (<usize>(16 + value) << 2));
  return load<f32>(costs) + <f32>escapeBits(value);
}

/** codes (k, i16): of every entry the one that minimises weight · squared error + lambda · bits. Whether any is not 0. */
function quantizeRow(values: usize, weights: usize, levels: usize, codes: usize, columns: i32, lambda: f32): bool {
  let any = 0;
  for (let j = 0; j < columns; j++) {
    const value = load<f32>(values);
    const size = min<f32>(abs(value) * 2, 32766);
    let k = 0;
    if (size > 1) {
      const level: i32 = load<u8>(levels);
      const weight = load<f32>(weights);
      const sign = value < 0 ? -1 : 1;
      const low = <i32>(size * <f32>0.5);
      const off = size - <f32>(low << 1);
      let best: f32 = weight * size * size + lambda * cost(level, 0);
      if (low != 0) {
        const lowCost: f32 = weight * off * off + lambda * cost(level, sign * low);
        if (lowCost < best) {
          best = lowCost;
          k = sign * low;
        }
      }
      if (low != 16383) {
        const upCost: f32 = weight * (off - 2) * (off - 2) + lambda * cost(level, sign * (low + 1));
        if (upCost < best) k = sign * (low + 1);
      }
      any |= k;
    }
    store<i16>(codes, <i16>k);
    values += 4;
    weights += 4;
    codes += 2;
    levels++;
  }
  return any != 0;
}

/** As `matrixChooseScale`, with the prices of the row table. */
function chooseScale(values: usize, columns: i32): i32 {
  const ideal = idealScale(values, columns);
  if (ideal == -1000) return NO_SCALE;
  const wanted = min(max(<i32>nearest(ideal), -40), 60);
  const previous = load<i32>(0, ROW_SCALE);
  const step = wanted < previous ? 1 : -1;
  const loss = scaleLoss(columns);
  let best = wanted;
  let bestCost: f32 = f32.MAX_VALUE;
  for (let scale = wanted; ; scale += step) {
    const off = <f32>scale - ideal;
    const total: f32 = loss * off * off + moveCost(scale - previous);
    if (total < bestCost) {
      bestCost = total;
      best = scale;
    }
    if (scale == previous) break;
  }
  return best;
}

/** Bits of a move of the row scale; an escape has 7 raw ones behind it, of which the table counts 4. */
function moveCost(move: i32): f32 {
  const costs = COSTS + (<usize>ROW_TABLE << 7);
  return move > ZERO_ROW && move < 16 ? load<f32>(costs + (<usize>(16 + move) << 2)) : load<f32>(costs) + 3;
}

/** Encodes one row; `codes` (i16): half steps out. */
export function ansEncodeRow(
  values: usize, weights: usize, averages: usize, levels: usize, codes: usize, columns: i32, lambda: f32,
): void {
  let scale = chooseScale(values, columns);
  if (scale != NO_SCALE) {
    const previous = load<i32>(0, ROW_SCALE);
    store<i32>(0, scale, ROW_SCALE);
    prepareLevels(averages, levels, columns);
    if (!quantizeRow(values, weights, levels, codes, columns, lambda)) scale = NO_SCALE;
    store<i32>(0, previous, ROW_SCALE);
  }
  recordRow(scale);
  if (scale == NO_SCALE) {
    memory.fill(codes, 0, <usize>columns << 1);
    return;
  }
  recordEntries(levels, codes, columns);
  updateAverages(averages, codes, columns);
  countRow(levels, codes, columns, true);
}

/**
 * Turns the steps recorded from `start` on into words, which end where the steps do, and the lanes before them. Returns
 * where the words begin.
 */
export function ansFinish(start: usize): usize {
  for (let lane: usize = 0; lane < 16; lane++) store<u32>(lane << 2, 0x10000);
  let at: usize = load<u32>(0, POINTER);
  let out = at;
  while (at > start) {
    at -= 4;
    const step = load<u32>(at);
    if (step & RAW) {
      const lane = <usize>((step >> 21) & 15) << 2;
      const bits = <i32>((step >> 16) & 31);
      let state = load<u32>(lane);
      if (bits != 0 && state >> (32 - bits) != 0) {
        out -= 2;
        store<u16>(out, <u16>state);
        state >>= 16;
      }
      store<u32>(lane, (state << bits) | (step & 0xffff));
    } else {
      const lane = <usize>(step >> 23) << 2;
      const frequency = (step >> SCALE_BITS) & 0xfff;
      let state = load<u32>(lane);
      if (<u64>state >= <u64>frequency << (32 - SCALE_BITS)) {
        out -= 2;
        store<u16>(out, <u16>state);
        state >>= 16;
      }
      const quotient = state / frequency;
      store<u32>(lane, (quotient << SCALE_BITS) + (state - quotient * frequency) + (step & 0x7ff));
    }
  }
  return out;
}

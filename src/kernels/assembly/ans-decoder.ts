/**
 * Rows of docs/spec/ans-coder.md decoded: sixteen lanes of asymmetric numeral systems, four to a vector, so that sixteen
 * entries are on their way at a time, and no branch hangs on what they are.
 */
import {
  ESCAPE, ESCAPED_ZERO_ROW, FIRST_RAW_LEVEL, POINTER, POINTER_END, ROW_TABLE, SCALE, SCALE_BITS, SHUFFLES, SLOTS, ZERO_ROW, countRow,
  countRowSymbol, moveValue, rawBits, symbolOf,
} from './ans-model';
import { ROW_SCALE, prepareLevels, updateAverages } from './matrix-model';

/** Begins a chunk of [start, end): the lanes, then words. 96 bytes of zeros lie behind it. */
export function ansBegin(start: usize, end: usize): void {
  memory.copy(0, start, 64);
  store<u32>(0, <u32>min(start + 64, end), POINTER);
  store<u32>(0, <u32>end, POINTER_END);
}

/** Gives the lane, at address 4 · lane, a word if it is short of bits. */
// @ts-ignore: decorator
@inline
function renormalize(lane: usize, state: u32): void {
  if (state < 0x10000) {
    const pointer = load<u32>(0, POINTER);
    state = (state << 16) | load<u16>(pointer);
    store<u32>(0, min(pointer + 2, load<u32>(0, POINTER_END)), POINTER);
  }
  store<u32>(lane << 2, state);
}

/** Twice the value of a symbol of a table, or ESCAPE. */
function decodeSymbol(lane: usize, table: i32): i32 {
  const state = load<u32>(lane << 2);
  const slot = load<u32>((<usize>table << (SCALE_BITS + 2)) + (<usize>(state & (SCALE - 1)) << 2), SLOTS);
  renormalize(lane, ((slot >> SCALE_BITS) & (2 * SCALE - 1)) * (state >> SCALE_BITS) + (slot & (SCALE - 1)));
  return <i32>slot >> 24;
}

function decodeRaw(lane: usize, bits: i32): u32 {
  const state = load<u32>(lane << 2);
  renormalize(lane, state >> bits);
  return state & ((1 << bits) - 1);
}

function decodeEscaped(lane: usize): i32 {
  const bits = <i32>decodeRaw(lane, 4);
  const value = <i32>((1 << bits) | decodeRaw(lane, bits));
  return value & 1 ? value >> 1 : -(value >> 1);
}

/** What follows the symbols of a block: escaped values and raw bits; half steps are then in `codes`. */
function finishBlock(levels: usize, codes: usize, count: usize): void {
  for (let lane: usize = 0; lane < count; lane++) {
    const doubled: i32 = load<i16>(codes + (lane << 1));
    const bits = rawBits(load<u8>(levels + lane));
    if (doubled != ESCAPE && bits == 0) continue;
    let value = doubled == ESCAPE ? decodeEscaped(lane) : doubled >> 1;
    if (bits != 0) value = (value << bits) | <i32>decodeRaw(lane, bits);
    store<i16>(codes + (lane << 1), <i16>(2 * min(max(value, -16383), 16383)));
  }
}

/** The slots of four lanes at the addresses in `at`. */
// @ts-ignore: decorator
@inline
function gather(at: v128): v128 {
  let slots = v128.load32_zero(<usize>i32x4.extract_lane(at, 0), SLOTS);
  slots = v128.load32_lane(<usize>i32x4.extract_lane(at, 1), slots, 1, SLOTS);
  slots = v128.load32_lane(<usize>i32x4.extract_lane(at, 2), slots, 2, SLOTS);
  return v128.load32_lane(<usize>i32x4.extract_lane(at, 3), slots, 3, SLOTS);
}

/** The addresses of the slots of four lanes, by their levels. */
// @ts-ignore: decorator
@inline
function slotsAt(states: v128, levels: v128): v128 {
  return i32x4.add(
    i32x4.shl(levels, SCALE_BITS + 2), i32x4.shl(v128.and(states, i32x4.splat(SCALE - 1)), 2));
}

/** The states behind a symbol, before they are given words. */
// @ts-ignore: decorator
@inline
function advance(states: v128, slots: v128): v128 {
  return i32x4.add(
    i32x4.mul(v128.and(i32x4.shr_u(slots, SCALE_BITS), i32x4.splat(2 * SCALE - 1)), i32x4.shr_u(states, SCALE_BITS)),
    v128.and(slots, i32x4.splat(SCALE - 1)),
  );
}

// @ts-ignore: decorator
@inline
function isShort(states: v128): v128 {
  return i32x4.eq(i32x4.shr_u(states, 16), i32x4.splat(0));
}

/** The states with words from `pointer` on in those that are short. */
// @ts-ignore: decorator
@inline
function filled(states: v128, short: v128, mask: i32, pointer: usize): v128 {
  const words = i8x16.swizzle(v128.load64_zero(pointer), v128.load((<usize>mask << 4), SHUFFLES));
  return v128.bitselect(v128.or(i32x4.shl(states, 16), words), states, short);
}

/** Decodes `columns` half steps (i16). */
function decodeEntries(levels: usize, codes: usize, columns: i32): void {
  let pointer: usize = load<u32>(0, POINTER);
  const pointerEnd: usize = load<u32>(0, POINTER_END);
  let s0 = v128.load(0);
  let s1 = v128.load(16);
  let s2 = v128.load(32);
  let s3 = v128.load(48);
  const end = levels + columns;
  while (levels + 16 <= end) {
    const level = v128.load(levels);
    const low = i16x8.extend_low_i8x16_u(level);
    const high = i16x8.extend_high_i8x16_u(level);
    const e0 = gather(slotsAt(s0, i32x4.extend_low_i16x8_u(low)));
    const e1 = gather(slotsAt(s1, i32x4.extend_high_i16x8_u(low)));
    const e2 = gather(slotsAt(s2, i32x4.extend_low_i16x8_u(high)));
    const e3 = gather(slotsAt(s3, i32x4.extend_high_i16x8_u(high)));
    s0 = advance(s0, e0);
    s1 = advance(s1, e1);
    s2 = advance(s2, e2);
    s3 = advance(s3, e3);
    const short0 = isShort(s0);
    const short1 = isShort(s1);
    const short2 = isShort(s2);
    const short3 = isShort(s3);
    const m0 = i32x4.bitmask(short0);
    const m1 = i32x4.bitmask(short1);
    const m2 = i32x4.bitmask(short2);
    const m3 = i32x4.bitmask(short3);
    s0 = filled(s0, short0, m0, pointer);
    pointer += <usize>popcnt(m0) << 1;
    s1 = filled(s1, short1, m1, pointer);
    pointer += <usize>popcnt(m1) << 1;
    s2 = filled(s2, short2, m2, pointer);
    pointer += <usize>popcnt(m2) << 1;
    s3 = filled(s3, short3, m3, pointer);
    pointer = min(pointer + (<usize>popcnt(m3) << 1), pointerEnd);
    const first = i16x8.narrow_i32x4_s(i32x4.shr_s(e0, 24), i32x4.shr_s(e1, 24));
    const second = i16x8.narrow_i32x4_s(i32x4.shr_s(e2, 24), i32x4.shr_s(e3, 24));
    v128.store(codes, first);
    v128.store(codes, second, 16);
    const rest = v128.or(
      v128.or(i16x8.eq(first, i16x8.splat(<i16>ESCAPE)), i16x8.eq(second, i16x8.splat(<i16>ESCAPE))),
      i8x16.ge_u(level, i8x16.splat(FIRST_RAW_LEVEL)),
    );
    if (v128.any_true(rest)) {
      v128.store(0, s0);
      v128.store(16, s1);
      v128.store(32, s2);
      v128.store(48, s3);
      store<u32>(0, <u32>pointer, POINTER);
      finishBlock(levels, codes, 16);
      pointer = load<u32>(0, POINTER);
      s0 = v128.load(0);
      s1 = v128.load(16);
      s2 = v128.load(32);
      s3 = v128.load(48);
    }
    levels += 16;
    codes += 32;
  }
  v128.store(0, s0);
  v128.store(16, s1);
  v128.store(32, s2);
  v128.store(48, s3);
  store<u32>(0, <u32>pointer, POINTER);
  if (levels < end) {
    const count = end - levels;
    for (let lane: usize = 0; lane < count; lane++) {
      store<i16>(codes + (lane << 1), <i16>decodeSymbol(lane, load<u8>(levels + lane)));
    }
    finishBlock(levels, codes, count);
  }
}

/** Decodes the start of a row, and sets its scale. Whether it is all zeros. */
function decodeRowStart(): bool {
  const doubled = decodeSymbol(0, ROW_TABLE);
  let isZero = doubled == 2 * ZERO_ROW;
  let scale = load<i32>(0, ROW_SCALE) + (doubled >> 1);
  if (doubled == ESCAPE) {
    const bits = <i32>decodeRaw(0, 7);
    isZero = bits == ESCAPED_ZERO_ROW;
    scale = bits - 40;
  }
  if (isZero) {
    countRowSymbol(symbolOf(ZERO_ROW));
    return true;
  }
  scale = min(max(scale, -40), 60);
  countRowSymbol(symbolOf(moveValue(scale)));
  store<i32>(0, scale, ROW_SCALE);
  return false;
}

/** Decodes rows into `out` (i16, half steps, `columns` apart). */
export function ansDecodeRows(averages: usize, levels: usize, columns: i32, rows: i32, out: usize): void {
  const stride = <usize>columns << 1;
  for (let row = 0; row < rows; row++) {
    if (decodeRowStart()) {
      memory.fill(out, 0, stride);
    } else {
      prepareLevels(averages, levels, columns);
      decodeEntries(levels, out, columns);
      updateAverages(averages, out, columns);
      countRow(levels, out, columns, false);
    }
    out += stride;
  }
}

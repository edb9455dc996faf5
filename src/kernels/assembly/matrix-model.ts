/**
 * The model of docs/spec/matrix-coder.md §1 to §4, written once for both directions. Its memory belongs to
 * one coder: from address 0 the range coder's block, the scalars, the contexts, then the encoder's tables
 * (matrix-quantizer.ts); the arrays behind them come from the caller (../wasm/matrix-coder.ts).
 */
import { CONTEXT_BYTES, codeBit, codeRaw, raw } from './range-coder';

// Numbers of contexts; equal to those of ../matrix-model.ts.
export const ZERO: usize = 0;
export const MORE: usize = 96;
export const BLOCK: usize = 928;
const FIRST: usize = 940;
const ESCAPE: usize = 956;
export const ROW_ZERO: usize = 972;
export const ROW_MOVES: usize = 973;
const ROW_DOWN: usize = 974;
export const ROW_FURTHER: usize = 975;
const CONTEXTS: usize = 128;

export const LEVELS: i32 = 48;
export const BLOCK_LEVELS: i32 = 12;
export const UNARY: u32 = 14;
const FAST: u32 = 6;
const SLOW: u32 = 8;

// Scalars of the coder, behind the 64 bytes of the range coder.
export const ROW_SCALE: usize = 64;
export const ROW_COUNT: usize = 68;
export const TRELLIS: usize = 72;

// Next states of the trellis, four bits each, number 2 · state + parity; bit s of SECOND: state s uses Q1.
export const NEXT_4: u64 = 0x0000000013310220;
export const SECOND_4: u32 = 0b1100;
export const NEXT_8: u64 = 0x6754320176452310;
export const SECOND_8: u32 = 0b10101010;

// @ts-ignore: decorator
@inline
export function context(number: usize): usize {
  return CONTEXTS + number * CONTEXT_BYTES;
}

// @ts-ignore: decorator
@inline
export function bits<D>(number: usize, value: i32): bool {
  return codeBit<D>(context(number), value, FAST, SLOW);
}

/** Bits of a magnitude at this level that are coded as they are. */
// @ts-ignore: decorator
@inline
export function levelShift(level: i32): i32 {
  return level < 24 ? 0 : (level - 22) >> 1;
}

/** Codes k ≠ 0 of one entry, sign included; returns it. */
function codeMagnitude<D>(quantizer: u32, level: i32, value: i32): i32 {
  const shift = levelShift(level);
  const row = level < 26 ? level : 24 + (level & 1);
  const more = context(MORE) + (<usize>(quantizer * 26 + row) << 4) * CONTEXT_BYTES;
  const rest: u32 = isSigned<D>() ? 0 : <u32>abs(value) - 1;
  const target: u32 = rest >> shift;
  let count: u32 = 0;
  while (count < UNARY) {
    if (!codeBit<D>(more + <usize>count * CONTEXT_BYTES, i32(target > count), FAST, SLOW)) break;
    count++;
  }
  if (count == UNARY) {
    const escaped = target - UNARY + 1;
    const length: u32 = isSigned<D>() ? 0 : 31 - clz(escaped);
    let t: u32 = 0;
    while (t < 14) {
      if (!bits<D>(ESCAPE + t, i32(t < length))) break;
      t++;
    }
    codeRaw<D>(escaped & ((1 << t) - 1), t);
    count = UNARY - 1 + ((1 << t) | raw);
  }
  codeRaw<D>(((rest & ((1 << shift) - 1)) << 1) | u32(value < 0), shift + 1);
  if (isSigned<D>()) {
    const size = <i32>min<u32>(((count << shift) | (raw >> 1)) + 1, 16383);
    return raw & 1 ? -size : size;
  }
  return value;
}

/** Codes the row scale; the new one is stored. `target` is it when encoding. */
export function codeRowScale<D>(target: i32): void {
  const previous = load<i32>(0, ROW_SCALE);
  if (load<i32>(0, ROW_COUNT) == 0) {
    codeRaw<D>(target + 40, 7);
    store<i32>(0, min(<i32>raw - 40, 60), ROW_SCALE);
    return;
  }
  const move: i32 = isSigned<D>() ? 0 : target - previous;
  if (!bits<D>(ROW_MOVES, i32(move != 0))) return;
  const down = bits<D>(ROW_DOWN, i32(move < 0));
  let size = 1;
  while (size < 100) {
    if (!bits<D>(ROW_FURTHER + min(size - 1, 19), i32(abs(move) > size))) break;
    size++;
  }
  store<i32>(0, min(max(down ? previous - size : previous + size, -40), 60), ROW_SCALE);
}

/** levels (u8) of one row from the averages (i32) and the row scale. Writes up to 15 bytes past the end. */
export function prepareLevels(averages: usize, levels: usize, columns: i32): void {
  const offset = i32x4.splat(2 * load<i32>(0, ROW_SCALE) - (127 << 3) - 128 + 74);
  const top = i8x16.splat(<i8>(LEVELS - 1));
  for (let j = 0; j < columns; j += 16) {
    const a = level4(averages, 0, offset);
    const b = level4(averages, 16, offset);
    const c = level4(averages, 32, offset);
    const d = level4(averages, 48, offset);
    const low = i16x8.narrow_i32x4_s(a, b);
    const high = i16x8.narrow_i32x4_s(c, d);
    v128.store(levels, i8x16.min_u(i8x16.narrow_i16x8_u(low, high), top));
    averages += 64;
    levels += 16;
  }
}

// @ts-ignore: decorator
@inline
function level4(averages: usize, at: usize, offset: v128): v128 {
  const exponent = i32x4.shr_s(f32x4.convert_i32x4_s(v128.load(averages + at)), 20);
  return i32x4.shr_s(i32x4.add(exponent, offset), 2);
}

/** Moves the averages towards the magnitudes of a row of reconstructed codes (i16, padded with zeros). */
export function updateAverages(averages: usize, codes: usize, columns: i32): void {
  const scale = load<i32>(0, ROW_SCALE);
  const count = load<i32>(0, ROW_COUNT);
  store<i32>(0, min(count + 1, 1 << 20), ROW_COUNT);
  const rate = count < 2 ? 2 : count < 6 ? 3 : count < 16 ? 4 : count < 40 ? 5 : count < 100 ? 6 : 7;
  const fraction = scale & 3;
  const inverse = i32x4.splat(fraction == 0 ? 4096 : fraction == 1 ? 3444 : fraction == 2 ? 2896 : 2435);
  const shift = 4 - (scale >> 2);
  const up = max(shift, 0);
  const down = max(-shift, 0);
  const ceiling = i32x4.splat(shift >= 0 ? (2048 >> up) + 2 : 32767);
  const limit = i32x4.splat(1 << 22);
  const floor = i32x4.splat(256);
  const end = averages + (<usize>columns << 2);
  while (averages < end) {
    const q = v128.load(codes);
    const low = i32x4.min_s(i32x4.abs(i32x4.extend_low_i16x8_s(q)), ceiling);
    const high = i32x4.min_s(i32x4.abs(i32x4.extend_high_i16x8_s(q)), ceiling);
    const x = i32x4.min_s(i32x4.shr_u(i32x4.shl(i32x4.mul(low, inverse), up), down), limit);
    const y = i32x4.min_s(i32x4.shr_u(i32x4.shl(i32x4.mul(high, inverse), up), down), limit);
    const a = v128.load(averages);
    const b = v128.load(averages, 16);
    v128.store(averages, i32x4.max_s(i32x4.add(a, i32x4.shr_s(i32x4.sub(x, a), rate)), floor));
    v128.store(averages, i32x4.max_s(i32x4.add(b, i32x4.shr_s(i32x4.sub(y, b), rate)), floor), 16);
    averages += 32;
    codes += 16;
  }
}

// @ts-ignore: decorator
@inline
export function maximum(x: v128): i32 {
  x = i8x16.max_u(x, i8x16.shuffle(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15));
  x = i8x16.max_u(x, i8x16.shuffle(x, x, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7));
  x = i8x16.max_u(x, i8x16.shuffle(x, x, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3));
  x = i8x16.max_u(x, i8x16.shuffle(x, x, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1));
  return i8x16.extract_lane_u(x, 0);
}

/**
 * Codes `columns` entries of a row. codes (i16): k when encoding, replaced by half steps in both directions.
 */
// @ts-ignore: decorator
@inline
export function codeEntries<D>(trellis: bool, levels: usize, codes: usize, columns: i32, next: u64, second: u32): void {
  let place: u32 = load<u32>(0, TRELLIS);
  for (let block = 0; block < columns; block += 16) {
    let end = min(columns - block, 16);
    let j = 0;
    if (!trellis && end == 16) {
      const row = v128.load(levels);
      if (!v128.any_true(i8x16.ge_u(row, i8x16.splat(<i8>BLOCK_LEVELS)))) {
        const top = maximum(row);
        const any = isSigned<D>() ? 0 : i32(v128.any_true(v128.or(v128.load(codes), v128.load(codes, 16))));
        if (!bits<D>(BLOCK + top, any)) {
          if (isSigned<D>()) {
            v128.store(codes, i64x2.splat(0));
            v128.store(codes, i64x2.splat(0), 16);
          }
          levels += 16;
          codes += 32;
          continue;
        }
        while (j < 16) {
          let k: i32 = isSigned<D>() ? 0 : load<i16>(codes);
          if (j == 15 || bits<D>(FIRST + j, i32(k != 0))) k = codeMagnitude<D>(0, load<u8>(levels), k);
          store<i16>(codes, <i16>(2 * k));
          levels++;
          codes += 2;
          j++;
          if (k != 0) break;
        }
      }
    }
    for (; j < end; j++) {
      const quantizer: u32 = trellis ? (second >> place) & 1 : 0;
      const level: i32 = load<u8>(levels);
      let k: i32 = isSigned<D>() ? 0 : load<i16>(codes);
      if (bits<D>(ZERO + quantizer * LEVELS + level, i32(k != 0))) k = codeMagnitude<D>(quantizer, level, k);
      store<i16>(codes, <i16>(2 * k - (trellis && quantizer ? i32(k > 0) - i32(k < 0) : 0)));
      if (trellis) place = <u32>(next >> (((place << 1) | (k & 1)) << 2)) & 15;
      levels++;
      codes += 2;
    }
  }
  if (trellis) store<u32>(0, place, TRELLIS);
}

/**
 * The model of docs/spec/matrix-coder.md §1 to §4 for both directions, but for the entries of a row, which
 * matrix-decoder.ts decodes. Its memory belongs to one coder: from address 0 the range coder's block, the scalars, the
 * contexts, then the encoder's tables (matrix-quantizer.ts); the arrays behind them come from the caller
 * (../wasm/matrix-coder.ts).
 */
import { CONTEXT_BYTES, codeBit, codeRaw, Encode, raw } from './range-coder';

// Numbers of contexts; equal to those of ../matrix-model.ts.
export const ZERO: usize = 0;
export const MORE: usize = 96;
export const BLOCK: usize = 928;
export const FIRST: usize = 940;
const ESCAPE: usize = 956;
export const ROW_ZERO: usize = 972;
export const ROW_MOVES: usize = 973;
const ROW_DOWN: usize = 974;
export const ROW_FURTHER: usize = 975;
export const CONTEXTS: usize = 128;

export const LEVELS: i32 = 48;
export const BLOCK_LEVELS: i32 = 12;
export const UNARY: u32 = 14;
export const FAST: u32 = 6;
export const SLOW: u32 = 8;

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

/** The contexts of a magnitude's unary part. */
// @ts-ignore: decorator
@inline
export function moreContexts(quantizer: u32, level: i32): usize {
  const row = level < 26 ? level : 24 + (level & 1);
  return context(MORE) + (<usize>(quantizer * 26 + row) << 4) * CONTEXT_BYTES;
}

/** Codes a unary part (the magnitude less 1, shifted) of UNARY or more; returns it. */
export function codeEscape<D>(target: u32): u32 {
  const escaped = target - UNARY + 1;
  const length: u32 = isSigned<D>() ? 0 : 31 - clz(escaped);
  let t: u32 = 0;
  while (t < 14) {
    if (!bits<D>(ESCAPE + t, i32(t < length))) break;
    t++;
  }
  codeRaw<D>(escaped & ((1 << t) - 1), t);
  return UNARY - 1 + ((1 << t) | raw);
}

/** Encodes k ≠ 0 of one entry, sign included. */
function encodeMagnitude(quantizer: u32, level: i32, value: i32): void {
  const shift = levelShift(level);
  const more = moreContexts(quantizer, level);
  const rest: u32 = <u32>abs(value) - 1;
  const target: u32 = rest >> shift;
  let count: u32 = 0;
  while (count < UNARY) {
    if (!codeBit<Encode>(more + <usize>count * CONTEXT_BYTES, i32(target > count), FAST, SLOW)) break;
    count++;
  }
  if (count == UNARY) codeEscape<Encode>(target);
  codeRaw<Encode>(((rest & ((1 << shift) - 1)) << 1) | u32(value < 0), shift + 1);
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
  const inverse = fraction == 0 ? 4096 : fraction == 1 ? 3444 : fraction == 2 ? 2896 : 2435;
  const shift = 4 - (scale >> 2);
  // Shifts that are known, in most rows: engines make three instructions more of each that is not.
  if (rate == 7 && shift >= 0) moveAverages(averages, codes, columns, 7, inverse << shift, 0, (2048 >> shift) + 2);
  else if (shift >= 0) moveAverages(averages, codes, columns, rate, inverse << shift, 0, (2048 >> shift) + 2);
  else moveAverages(averages, codes, columns, rate, inverse, -shift, 32767);
}

/** By 1/2^rate of the way to min(|code|, ceiling) · factor / 2^down. */
// @ts-ignore: decorator
@inline
function moveAverages(
  averages: usize, codes: usize, columns: i32, rate: i32, factor: i32, down: i32, ceiling: i32,
): void {
  const factors = i32x4.splat(factor);
  const ceilings = i16x8.splat(<i16>ceiling);
  const limit = i32x4.splat(1 << 22);
  const floor = i32x4.splat(256);
  const end = averages + (<usize>columns << 2);
  while (averages < end) {
    const q = i16x8.min_s(i16x8.abs(v128.load(codes)), ceilings);
    const low = i32x4.shr_u(i32x4.mul(i32x4.extend_low_i16x8_s(q), factors), down);
    const high = i32x4.shr_u(i32x4.mul(i32x4.extend_high_i16x8_s(q), factors), down);
    const a = v128.load(averages);
    const b = v128.load(averages, 16);
    const x = i32x4.sub(i32x4.min_s(low, limit), a);
    const y = i32x4.sub(i32x4.min_s(high, limit), b);
    v128.store(averages, i32x4.max_s(i32x4.add(a, i32x4.shr_s(x, rate)), floor));
    v128.store(averages, i32x4.max_s(i32x4.add(b, i32x4.shr_s(y, rate)), floor), 16);
    averages += 32;
    codes += 16;
  }
}

/** Whether a block of 16 has too high a level for a flag of its own. */
// @ts-ignore: decorator
@inline
export function isBusy(levels: usize): bool {
  return v128.any_true(i8x16.ge_u(v128.load(levels), i8x16.splat(<i8>BLOCK_LEVELS)));
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

/** Encodes `columns` entries of a row, and replaces their k (i16, `codes`) by half steps. */
// @ts-ignore: decorator
@inline
export function encodeEntries(
  trellis: bool, levels: usize, codes: usize, columns: i32, next: u64, second: u32,
): void {
  let place: u32 = load<u32>(0, TRELLIS);
  for (let block = 0; block < columns; block += 16) {
    let end = min(columns - block, 16);
    let j = 0;
    if (!trellis && end == 16 && !isBusy(levels)) {
      const any = i32(v128.any_true(v128.or(v128.load(codes), v128.load(codes, 16))));
      if (!bits<Encode>(BLOCK + maximum(v128.load(levels)), any)) {
        levels += 16;
        codes += 32;
        continue;
      }
      while (j < 16) {
        const k: i32 = load<i16>(codes);
        if (j == 15 || bits<Encode>(FIRST + j, i32(k != 0))) encodeMagnitude(0, load<u8>(levels), k);
        store<i16>(codes, <i16>(2 * k));
        levels++;
        codes += 2;
        j++;
        if (k != 0) break;
      }
    }
    for (; j < end; j++) {
      const quantizer: u32 = trellis ? (second >> place) & 1 : 0;
      const level: i32 = load<u8>(levels);
      const k: i32 = load<i16>(codes);
      if (bits<Encode>(ZERO + quantizer * LEVELS + level, i32(k != 0))) encodeMagnitude(quantizer, level, k);
      store<i16>(codes, <i16>(2 * k - (trellis && quantizer ? i32(k > 0) - i32(k < 0) : 0)));
      if (trellis) place = <u32>(next >> (((place << 1) | (k & 1)) << 2)) & 15;
      levels++;
      codes += 2;
    }
  }
  if (trellis) store<u32>(0, place, TRELLIS);
}

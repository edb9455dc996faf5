/** Integer codes: dense accumulation, and the LSB-first bit stream. */

// @ts-ignore: decorator
@inline
function accumulateLoop(wide: bool, codes: usize, gains: usize, rows: i32, columns: i32, scale: f32, out: usize): void {
  const codeBytes: usize = wide ? 4 : 2;
  const scales = f32x4.splat(scale);
  for (let row = 0; row < rows; row++) {
    const gain: i32 = load<u16>(gains);
    const gainLanes = i32x4.splat(gain);
    gains += 2;
    const end = out + (<usize>columns << 2);
    while (out + 16 <= end) {
      const q = wide ? v128.load(codes) : v128.load_ext<i16>(codes);
      const term = f32x4.mul(scales, f32x4.convert_i32x4_s(i32x4.mul(gainLanes, q)));
      v128.store(out, f32x4.add(v128.load(out), term));
      codes += 4 * codeBytes;
      out += 16;
    }
    while (out < end) {
      const q: i32 = wide ? load<i32>(codes) : <i32>load<i16>(codes);
      store<f32>(out, load<f32>(out) + scale * <f32>(gain * q));
      codes += codeBytes;
      out += 4;
    }
  }
}

/** out (f32, rows × columns) = f32(out + f32(scale · f32(gain_i · q_ij))), q in int16. */
export function accumulateCodes16(codes: usize, gains: usize, rows: i32, columns: i32, scale: f32, out: usize): void {
  accumulateLoop(false, codes, gains, rows, columns, scale, out);
}

/** The same, q in int32. */
export function accumulateCodes32(codes: usize, gains: usize, rows: i32, columns: i32, scale: f32, out: usize): void {
  accumulateLoop(true, codes, gains, rows, columns, scale, out);
}

/**
 * out (f32) = f32(out ± scale): + for a bit 0, − for a bit 1, from bit `firstBit` (0 to 7) of source on. Works
 * on eight elements at a time: the caller's buffers have slack.
 */
export function accumulateSigns(source: usize, firstBit: i32, count: i32, scale: f32, out: usize): void {
  const end = out + (<usize>count << 2);
  const scales = f32x4.splat(scale);
  const low = i32x4(1 << 31, 1 << 30, 1 << 29, 1 << 28);
  const high = i32x4(1 << 27, 1 << 26, 1 << 25, 1 << 24);
  // Bit k of the byte comes to bit 31 by a shift of 31 − k: here by a product of lanes.
  const signBit = i32x4.splat(1 << 31);
  while (out < end) {
    const bits = i32x4.splat(<i32>(<u32>load<u16>(source) >> firstBit));
    v128.store(out, f32x4.add(v128.load(out), v128.xor(scales, v128.and(i32x4.mul(bits, low), signBit))));
    const upper = v128.xor(scales, v128.and(i32x4.mul(bits, high), signBit));
    v128.store(out, f32x4.add(v128.load(out, 16), upper), 16);
    source++;
    out += 32;
  }
}

/**
 * target (i16) = `count` two's complement codes of `bits` bits from bit
 * `firstBit` (0 to 7) of source. Reads up to 7 bytes past the last one.
 */
export function unpackCodes(source: usize, firstBit: i32, count: i32, bits: i32, target: usize): void {
  const end = target + (<usize>count << 1);
  const up = 64 - bits;
  let position = firstBit;
  while (target < end) {
    const word = load<u64>(source + <usize>(position >>> 3)) >> (position & 7);
    store<i16>(target, <i16>(<i64>(word << up) >> up));
    position += bits;
    target += 2;
  }
}

/**
 * Writes `count` codes of `bits` bits from bit `firstBit` (0 to 7) of target, leaving the bits around
 * them as they are. Returns the number of codes that do not fit in `bits` bits.
 */
export function packCodes(source: usize, count: i32, bits: i32, target: usize, firstBit: i32): i32 {
  const end = source + (<usize>count << 1);
  const mask = (<u64>1 << bits) - 1;
  const up = 32 - bits;
  let misfits = 0;
  let filled = firstBit;
  let word = <u64>load<u8>(target) & ((<u64>1 << firstBit) - 1);
  while (source < end) {
    const code: i32 = load<i16>(source);
    misfits += i32(code != (code << up) >> up);
    word |= (<u64>code & mask) << filled;
    filled += bits;
    source += 2;
    if (filled >= 32) {
      store<u32>(target, <u32>word);
      word >>= 32;
      filled -= 32;
      target += 4;
    }
  }
  while (filled >= 8) {
    store<u8>(target, <u8>word);
    word >>= 8;
    filled -= 8;
    target++;
  }
  if (filled > 0) {
    const kept = <u32>load<u8>(target) >> filled << filled;
    store<u8>(target, <u8>(<u32>word | kept));
  }
  return misfits;
}

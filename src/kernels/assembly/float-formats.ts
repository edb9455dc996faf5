/**
 * The float formats of safetensors in 128-bit lanes: four elements to float32 and back.
 * Numbers of the formats are those of FORMAT_NUMBERS in ../wasm/kernel-exports.ts.
 * Everything is integer arithmetic on bit patterns, or one float32 operation that is exact or rounds
 * once to nearest even, so the result does not depend on the machine. No float32 subnormal is
 * computed with on the way up, so no processor falls into a slow path.
 */

export const F64: i32 = 0;
export const F32: i32 = 1;
export const F16: i32 = 2;
export const BF16: i32 = 3;
export const F8_E4M3: i32 = 4;
export const F8_E5M2: i32 = 5;

// @ts-ignore: decorator
@inline
export function elementBytes(format: i32): usize {
  return format == F64 ? 8 : format == F32 ? 4 : format == F16 || format == BF16 ? 2 : 1;
}

/** NaN lanes of f32 → 0x7fc00000: the payload of a computed NaN differs between processors. */
// @ts-ignore: decorator
@inline
export function canonicalFloat32(x: v128): v128 {
  return v128.bitselect(i32x4.splat(0x7fc00000), x, f32x4.ne(x, x));
}

/** NaN lanes of f64 → 0x7ff8000000000000. */
// @ts-ignore: decorator
@inline
export function canonicalFloat64(x: v128): v128 {
  return v128.bitselect(i64x2.splat(0x7ff8000000000000), x, f64x2.ne(x, x));
}

// Four unsigned bytes to u32 lanes.
// @ts-ignore: decorator
@inline
function load4Bytes(pointer: usize): v128 {
  return i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load_zero<u32>(pointer)));
}

// IEEE binary16 in u32 lanes. Rebias by 112; exponent 31 is rebiased twice to 255; subnormals are
// placed behind an implicit one at 2^-14, which is then subtracted exactly.
// @ts-ignore: decorator
@inline
function widenHalf(half: v128): v128 {
  const magnitude = i32x4.shl(v128.and(half, i32x4.splat(0x7fff)), 13);
  const sign = i32x4.shl(v128.and(half, i32x4.splat(0x8000)), 16);
  const bias = i32x4.splat(112 << 23);
  const special = i32x4.gt_s(magnitude, i32x4.splat(0x0f7fffff));
  const normal = i32x4.add(i32x4.add(magnitude, bias), v128.and(special, bias));
  const subnormal = f32x4.sub(i32x4.add(magnitude, i32x4.splat(113 << 23)), i32x4.splat(113 << 23));
  const isSubnormal = i32x4.lt_s(magnitude, i32x4.splat(1 << 23));
  return v128.or(v128.bitselect(subnormal, normal, isSubnormal), sign);
}

// OCP E4M3 in u32 lanes: bias 7, no infinity, 0x7f and 0xff are NaN.
// @ts-ignore: decorator
@inline
function widenE4M3(byte: v128): v128 {
  const low = v128.and(byte, i32x4.splat(0x7f));
  const magnitude = i32x4.shl(low, 20);
  const sign = i32x4.shl(v128.and(byte, i32x4.splat(0x80)), 24);
  const normal = i32x4.add(magnitude, i32x4.splat(120 << 23));
  const subnormal = f32x4.sub(i32x4.add(magnitude, i32x4.splat(121 << 23)), i32x4.splat(121 << 23));
  const isSubnormal = i32x4.lt_s(magnitude, i32x4.splat(1 << 23));
  const finite = v128.bitselect(subnormal, normal, isSubnormal);
  const isNaN = i32x4.eq(low, i32x4.splat(0x7f));
  return v128.or(v128.bitselect(i32x4.splat(0x7fc00000), finite, isNaN), sign);
}

/** Four elements of `format` as f32 lanes: exact, but for F64 (nearest even, canonical NaN). */
// @ts-ignore: decorator
@inline
export function load4(format: i32, pointer: usize): v128 {
  if (format == F32) return v128.load(pointer);
  if (format == BF16) return i32x4.shl(v128.load_ext<u16>(pointer), 16);
  if (format == F16) return widenHalf(v128.load_ext<u16>(pointer));
  if (format == F8_E5M2) return widenHalf(i32x4.shl(load4Bytes(pointer), 8));
  if (format == F8_E4M3) return widenE4M3(load4Bytes(pointer));
  const low = f32x4.demote_f64x2_zero(v128.load(pointer));
  const high = f32x4.demote_f64x2_zero(v128.load(pointer, 16));
  return canonicalFloat32(v128.shuffle<f32>(low, high, 0, 1, 4, 5));
}

// f32 lanes to a format of 16 bits or fewer, in u32 lanes; nearest even.
//   shift       mantissa bits that go
//   rebias      127 − bias of the target
//   ceiling     f32 bits to clamp the magnitude to, whose encoding is the overflow value
//   minNormal   f32 bits of the smallest normal number of the target
//   magic       f32 bits of the power of two whose ulp is the target's smallest subnormal: adding it
//               rounds a subnormal, and leaves its code in the low bits
// @ts-ignore: decorator
@inline
function narrow(
  x: v128, shift: i32, rebias: i32, ceiling: i32, minNormal: i32, magic: i32, signShift: i32, nan: i32,
): v128 {
  const magnitude = v128.and(x, i32x4.splat(0x7fffffff));
  const sign = v128.and(x, i32x4.splat(0x80000000));
  const clamped = i32x4.min_s(magnitude, i32x4.splat(ceiling));
  const odd = v128.and(i32x4.shr_u(clamped, shift), i32x4.splat(1));
  const bias = i32x4.splat((1 << (shift - 1)) - 1 - (rebias << 23));
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(clamped, bias), odd), shift);
  const subnormal = i32x4.sub(f32x4.add(clamped, i32x4.splat(magic)), i32x4.splat(magic));
  const isSubnormal = i32x4.lt_s(clamped, i32x4.splat(minNormal));
  const rounded = v128.or(v128.bitselect(subnormal, normal, isSubnormal), i32x4.shr_u(sign, signShift));
  return v128.bitselect(i32x4.splat(nan), rounded, i32x4.gt_s(magnitude, i32x4.splat(0x7f800000)));
}

// @ts-ignore: decorator
@inline
function narrowBF16(x: v128): v128 {
  const odd = v128.and(i32x4.shr_u(x, 16), i32x4.splat(1));
  const rounded = i32x4.shr_u(i32x4.add(i32x4.add(x, i32x4.splat(0x7fff)), odd), 16);
  return v128.bitselect(i32x4.splat(0x7fc0), rounded, f32x4.ne(x, x));
}

// @ts-ignore: decorator
@inline
function encode4(format: i32, x: v128): v128 {
  if (format == BF16) return narrowBF16(x);
  if (format == F16) return narrow(x, 13, 112, 0x47800000, 0x38800000, 0x3f000000, 16, 0x7e00);
  if (format == F8_E4M3) return narrow(x, 20, 120, 0x43e00000, 0x3c800000, 0x46800000, 24, 0x7f);
  return narrow(x, 21, 112, 0x47800000, 0x38800000, 0x43000000, 24, 0x7e);
}

/** Stores eight f32 lanes (two vectors) in `format`, each rounded once to nearest even. */
// @ts-ignore: decorator
@inline
export function store8(format: i32, pointer: usize, x: v128, y: v128): void {
  if (format == F32) {
    v128.store(pointer, canonicalFloat32(x));
    v128.store(pointer, canonicalFloat32(y), 16);
  } else if (format == F64) {
    v128.store(pointer, canonicalFloat64(f64x2.promote_low_f32x4(x)));
    v128.store(pointer, canonicalFloat64(f64x2.promote_low_f32x4(v128.shuffle<f32>(x, x, 2, 3, 2, 3))), 16);
    v128.store(pointer, canonicalFloat64(f64x2.promote_low_f32x4(y)), 32);
    v128.store(pointer, canonicalFloat64(f64x2.promote_low_f32x4(v128.shuffle<f32>(y, y, 2, 3, 2, 3))), 48);
  } else {
    const shorts = i16x8.narrow_i32x4_u(encode4(format, x), encode4(format, y));
    if (elementBytes(format) == 2) v128.store(pointer, shorts);
    else v128.store_lane<u64>(pointer, i8x16.narrow_i16x8_u(shorts, shorts), 0);
  }
}

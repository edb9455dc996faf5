/**
 * What the parts of codec "interval" share: numbers of contexts, the job block, the layout of the job at
 * hand, and the patterns of numbers.
 */

/** Contexts of the ratio of spread to granule, in eighths of an octave; 32 is 1. */
export const RATIOS: i32 = 40;

// Context numbers. Those of a ratio lie together, and these are their numbers among them. They begin and end at multiples
// of 64 bytes, so that the address of one gives that of the others.
export const ZERO: usize = 0;
export const SIGN: usize = ZERO + 8;
export const CLASS: usize = SIGN + 8;
export const MANTISSA: usize = CLASS + 32;
export const OFFSET: usize = MANTISSA + 32;
export const RATIO_CONTEXTS: usize = 88;
export const SAME: usize = RATIOS * RATIO_CONTEXTS;
export const BLOCK: usize = SAME + RATIOS * 8;
export const STRIP: usize = BLOCK + RATIOS * 2;
export const ROW: usize = STRIP + 4;
export const NONZERO: usize = ROW + 2;
export const EXPONENT: usize = NONZERO + 2;
export const SCALE: usize = EXPONENT + 16;
export const LOW_WORD: usize = SCALE + 24;
export const WIDE: usize = LOW_WORD + 8;
export const CONTEXTS: usize = WIDE + 2;

// The job block: parameters, then state, then contexts, strips, a plan (interval-plan.ts) and column means.
export const CONTEXT_OFFSET: usize = 128;
export const STRIP_OFFSET: usize = CONTEXT_OFFSET + CONTEXTS * 8;
export const PLAN_OFFSET: usize = STRIP_OFFSET + 256;
export const COLUMN_OFFSET: usize = PLAN_OFFSET + 256 * 12;

// The job at hand.
export let contexts: usize = 0;
export let isFloat: bool = false;
export let width: i32 = 0;
export let mantissaBits: i32 = 0;
export let bias: i32 = 0;
export let exponentBits: i32 = 0;
export let wideMantissaBits: i32 = 0;
export let wideBias: i32 = 0;
export let unit: i32 = 0;
export let skip: i32 = 0;
export let hasMeans: bool = true;
export let signBit: u32 = 0;
export let magnitudeMask: u32 = 0;
export let drop: i32 = 0;
let subnormalUnit: f64 = 0;

/** Bytes of a job block with all that follows it. */
export function intervalStateBytes(columns: usize): usize {
  return COLUMN_OFFSET + columns * 4;
}

/** Takes the parameters of the job at `job`: i32s in the order of IntervalState.restore. */
export function openJob(job: usize): void {
  contexts = job + CONTEXT_OFFSET;
  isFloat = load<i32>(job) == 0;
  width = load<i32>(job, 4);
  drop = load<i32>(job, 8);
  exponentBits = load<i32>(job, 12);
  mantissaBits = load<i32>(job, 16);
  bias = load<i32>(job, 20);
  unit = load<i32>(job, 24);
  skip = load<i32>(job, 28);
  hasMeans = load<i32>(job, 32) != 0;
  subnormalUnit = smallestOf(bias, mantissaBits);
  wideMantissaBits = width == 8 ? 20 : 23;
  wideBias = width == 8 ? 1023 : 127;
  signBit = <u32>1 << (exponentBits + mantissaBits);
  magnitudeMask = signBit - 1;
}

/** Exponent and three bits of the mantissa: 8 · log2 x, roughly. x ≥ 1. */
// @ts-ignore: decorator
@inline
export function eighths(x: f64): i32 {
  return <i32>(reinterpret<u64>(x) >> 49) - 8 * 1023;
}

export function powerOfTwo(exponent: i32): f64 {
  return reinterpret<f64>(<u64>(exponent + 1023) << 52);
}

/** 2^(1 − bias − mantissa), which for float64 is a subnormal number itself. */
function smallestOf(bias: i32, mantissa: i32): f64 {
  const exponent = 1 - bias - mantissa;
  return exponent < -1022 ? powerOfTwo(exponent + 100) * powerOfTwo(-100) : powerOfTwo(exponent);
}

// @ts-ignore: decorator
@inline
export function loadElement(pointer: usize): u32 {
  if (width == 2) return load<u16>(pointer);
  if (width == 4) return load<u32>(pointer) >> drop;
  if (width == 8) return load<u32>(pointer, 4);
  return load<u8>(pointer);
}

// @ts-ignore: decorator
@inline
export function storeElement(pointer: usize, value: u32): void {
  if (width == 2) store<u16>(pointer, <u16>value);
  else if (width == 4) store<u32>(pointer, value << drop);
  else if (width == 8) store<u32>(pointer, value, 4);
  else store<u8>(pointer, <u8>value);
}

/** Order-preserving integer of a sign-magnitude pattern, and back. */
// @ts-ignore: decorator
@inline
export function toRank(pattern: u32): i32 {
  return pattern & signBit ? ~<i32>(pattern & magnitudeMask) : <i32>pattern;
}

// @ts-ignore: decorator
@inline
export function fromRank(rank: i32): u32 {
  return rank < 0 ? signBit | (<u32>~rank & magnitudeMask) : <u32>rank & magnitudeMask;
}

/** Value of a pattern, for the statistics alone. */
// @ts-ignore: decorator
@inline
export function toValue(pattern: u32): f64 {
  const magnitude = pattern & magnitudeMask;
  const field = magnitude >> mantissaBits;
  const positive = field == 0
    ? <f64>magnitude * subnormalUnit
    : reinterpret<f64>(<u64>magnitude + (<u64>(1023 - bias) << mantissaBits) << (52 - mantissaBits));
  return pattern & signBit ? -positive : positive;
}

export const BUCKET_LIMIT: u32 = 1 << 30;

/** floor(|x| / 2^granule) of a magnitude pattern, BUCKET_LIMIT when over it. */
// @ts-ignore: decorator
@inline
export function bucketOf(magnitude: u32, mantissa: i32, bias: i32, granule: i32): u32 {
  const field = <i32>(magnitude >> mantissa);
  const significand = field == 0 ? magnitude : (magnitude & ((1 << mantissa) - 1)) | (1 << mantissa);
  const shift = granule - (max(field, 1) - bias - mantissa);
  if (shift >= 0) return shift > 31 ? 0 : significand >> shift;
  return -shift > 29 - mantissa ? BUCKET_LIMIT : significand << -shift;
}

// @ts-ignore: decorator
@inline
export function ratioOf(spread: i32, ulp: i32): i32 {
  return max(0, min(RATIOS - 1, spread - 8 * max(ulp, (spread >> 3)) + 32));
}

/** ulp exponent of a pattern, relative to the unit. */
// @ts-ignore: decorator
@inline
export function ulpOf(pattern: u32): i32 {
  return max(<i32>((pattern & magnitudeMask) >> mantissaBits), 1) - bias - mantissaBits - unit;
}

// @ts-ignore: decorator
@inline
export function wrapped(difference: u32): i32 {
  const shift: i32 = width == 4 ? 0 : 32 - 8 * width;
  return <i32>(difference << shift) >> shift;
}

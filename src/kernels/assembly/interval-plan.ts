/**
 * What codec "interval" (docs/spec/interval.md) knows of a stretch of a row before its elements are coded, and what the
 * means learn from them afterwards, four elements at once. Only for BF16, F16 and F32, which have loops of their own so
 * that their layouts are constants.
 */
import {
  contexts, drop, exponentBits, loadElement, mantissaBits, powerOfTwo, RATIO_CONTEXTS, RATIOS, toValue, unit, width,
} from './interval-contexts';
import { CONTEXT_BYTES } from './range-coder';

/** Most elements of a stretch; as many as a strip. */
export const STRETCH: i32 = 256;

// A stretch's plan: an u32 an element, the address of the zero flag's context and flags in its lowest bits; then an i32
// an element, the bucket of its prediction where it is fine; then another, its granule.
export const FLIP: u32 = 1;
export const FINE: u32 = 2;
export const FLAGS: u32 = 7;
export const BUCKETS: usize = STRETCH * 4;
export const GRANULES: usize = STRETCH * 8;

// Fine elements that were beyond what vectors can tell.
let rare: v128 = i32x4.splat(0);

/** The patterns of four elements, without the dropped bits. */
// @ts-ignore: decorator
@inline
function loadFour(pointer: usize, width: i32, drop: i32): v128 {
  return width == 2 ? v128.load_ext<u16>(pointer) : i32x4.shr_u(v128.load(pointer), drop);
}

/** Writes the plan of four elements at `at`. `q`, `w`, `y` as in the specification. */
// @ts-ignore: decorator
@inline
function planFour(
  q: v128, w: v128, y: v128, mean: v128, spreadOfRow: i32, exponentBits: i32, mantissa: i32, bias: i32, at: usize,
): void {
  const spread = i32x4.add(
    i32x4.shr_u(f32x4.convert_i32x4_s(mean), 20),
    i32x4.splat(spreadOfRow - 8 * 127 - 96),
  );
  const octave = i32x4.shr_s(spread, 3);
  const field = v128.and(i32x4.shr_u(q, mantissa), i32x4.splat((1 << exponentBits) - 1));
  const ulp = i32x4.sub(i32x4.max_s(field, i32x4.splat(1)), i32x4.splat(bias + mantissa + unit));
  const coarse = i32x4.ge_s(ulp, octave);
  const over = i32x4.sub(i32x4.add(spread, i32x4.splat(32)), i32x4.shl(i32x4.max_s(ulp, octave), 3));
  const ratio = i32x4.max_s(i32x4.min_s(over, i32x4.splat(RATIOS - 1)), i32x4.splat(0));
  const sign = i32x4.shr_s(w, 31);
  let excess = i32x4.sub(v128.xor(i32x4.sub(w, y), sign), sign);
  const flip = i32x4.shr_u(excess, 31);
  excess = i32x4.abs(excess);
  const zero = i32x4.splat(0);
  // Each comparison that holds is −1.
  const fraction = i32x4.add(
    i32x4.ne(excess, zero),
    i32x4.ne(i32x4.shr_u(excess, max(0, 21 - mantissa)), zero),
  );
  const first = i32x4.add(i32x4.mul(ratio, i32x4.splat(RATIO_CONTEXTS * CONTEXT_BYTES)), i32x4.splat(contexts));
  const plan = v128.or(i32x4.sub(first, i32x4.shl(fraction, 3)), flip);
  if (i32x4.all_true(coarse)) {
    v128.store(at, plan);
    return;
  }
  const granule = i32x4.add(octave, i32x4.splat(unit));
  // |w| / 2^(granule − 2), rounded down, where both are in the range of normal numbers.
  const exponent = i32x4.sub(i32x4.splat(129), granule);
  const magnitude = v128.and(w, i32x4.splat(0x7fffffff));
  const beyond = v128.or(
    i32x4.gt_u(i32x4.sub(exponent, i32x4.splat(1)), i32x4.splat(253)),
    i32x4.gt_s(magnitude, i32x4.splat(0x7f7fffff)),
  );
  rare = v128.or(rare, v128.andnot(beyond, coarse));
  const quarters = i32x4.min_u(
    i32x4.trunc_sat_f32x4_u(f32x4.mul(magnitude, i32x4.shl(exponent, 23))),
    i32x4.splat(1 << 30),
  );
  v128.store(at, v128.xor(i32x4.shr_u(quarters, 2), sign), BUCKETS);
  v128.store(at, granule, GRANULES);
  const quarter = v128.and(v128.xor(quarters, sign), i32x4.splat(3));
  // Fraction 4 in the outer quarters, 3 in the inner ones.
  const inner = i32x4.shr_u(v128.and(i32x4.add(quarter, i32x4.splat(1)), i32x4.splat(2)), 1);
  const below = i32x4.shr_u(i32x4.lt_s(quarter, i32x4.splat(2)), 31);
  const fine = i32x4.add(first, i32x4.sub(i32x4.splat((4 << 3) | FINE), i32x4.shl(inner, 3)));
  v128.store(at, v128.bitselect(plan, v128.or(fine, below), coarse));
}

/** Writes the plan of `count` elements, and of up to three behind them. False: some are too odd to be planned. */
export function planStretch(
  plan: usize, predicted: usize, wide: usize, narrowed: usize, means: usize, count: i32, spreadOfRow: i32,
): bool {
  rare = i32x4.splat(0);
  if (width == 4) planFours(plan, predicted, wide, narrowed, means, count, spreadOfRow, 4, 8, mantissaBits, 127, drop);
  else if (exponentBits == 8) planFours(plan, predicted, wide, narrowed, means, count, spreadOfRow, 2, 8, 7, 127, 0);
  else planFours(plan, predicted, wide, narrowed, means, count, spreadOfRow, 2, 5, 10, 15, 0);
  return !v128.any_true(rare);
}

// @ts-ignore: decorator
@inline
function planFours(
  plan: usize, predicted: usize, wide: usize, narrowed: usize, means: usize, count: i32, spreadOfRow: i32,
  width: i32, exponentBits: i32, mantissa: i32, bias: i32, drop: i32,
): void {
  const end = means + (<usize>count << 2);
  while (means < end) {
    planFour(
      loadFour(predicted, width, drop), v128.load(wide), v128.load(narrowed), v128.load(means),
      spreadOfRow, exponentBits, mantissa, bias, plan,
    );
    plan += 16;
    predicted += 4 * width;
    wide += 16;
    narrowed += 16;
    means += 16;
  }
}

/** Values of four patterns in float32, unless they are odd. */
// @ts-ignore: decorator
@inline
function toFloats(pattern: v128, exponentBits: i32, mantissa: i32, bias: i32): v128 {
  const magnitude = v128.and(pattern, i32x4.splat((1 << (exponentBits + mantissa)) - 1));
  let value = i32x4.shl(magnitude, 23 - mantissa);
  if (bias != 127) value = f32x4.mul(value, f32x4.splat(reinterpret<f32>((127 + 127 - bias) << 23)));
  return v128.or(value, i32x4.shl(i32x4.shr_u(pattern, exponentBits + mantissa), 31));
}

/** Whether some are read as numbers beyond float32: those with a field of all ones, where its own is no wider. */
// @ts-ignore: decorator
@inline
function isOdd(pattern: v128, exponentBits: i32, mantissa: i32): bool {
  const ones = i32x4.splat(255 << mantissa);
  return exponentBits == 8 && v128.any_true(i32x4.eq(v128.and(pattern, ones), ones));
}

/** Lanes 2 and 3 first. */
// @ts-ignore: decorator
@inline
function turned(x: v128): v128 {
  return v128.shuffle<u64>(x, x, 1, 0);
}

/** |value − prediction| · factor of the first two of four, and `limit` where that is not below it. */
// @ts-ignore: decorator
@inline
function differences(value: v128, wide: v128, factor: f64, limit: f64): v128 {
  const difference = f64x2.sub(f64x2.promote_low_f32x4(value), f64x2.promote_low_f32x4(wide));
  return f64x2.pmin(f64x2.splat(limit), f64x2.mul(f64x2.abs(difference), f64x2.splat(factor)));
}

/** The means of `count` elements after these. */
export function adaptStretch(values: usize, wide: usize, means: usize, count: i32, gain: f64, rate: i32): void {
  if (width == 4) adaptFours(values, wide, means, count, gain, rate, 4, 8, mantissaBits, 127, drop);
  else if (exponentBits == 8) adaptFours(values, wide, means, count, gain, rate, 2, 8, 7, 127, 0);
  else adaptFours(values, wide, means, count, gain, rate, 2, 5, 10, 15, 0);
}

// @ts-ignore: decorator
@inline
function adaptFours(
  values: usize, wide: usize, means: usize, count: i32, gain: f64, rate: i32,
  width: i32, exponentBits: i32, mantissa: i32, bias: i32, drop: i32,
): void {
  const end = means + (<usize>count << 2);
  while (means < end) {
    const pattern = loadFour(values, width, drop);
    if (means + 16 <= end && !isOdd(pattern, exponentBits, mantissa)) {
      const value = toFloats(pattern, exponentBits, mantissa, bias);
      const basis = v128.load(wide);
      const x = v128.shuffle<u64>(
        i32x4.trunc_sat_f64x2_s_zero(differences(value, basis, gain, 65536)),
        i32x4.trunc_sat_f64x2_s_zero(differences(turned(value), turned(basis), gain, 65536)),
        0, 2,
      );
      const mean = v128.load(means);
      v128.store(means, i32x4.max_s(i32x4.add(mean, i32x4.shr_s(i32x4.sub(x, mean), rate)), i32x4.splat(128)));
    } else {
      const stop = min(means + 16, end);
      for (let at = means, i: usize = 0; at < stop; at += 4, i++) {
        adaptMean(at, differenceAt(values + i * width, wide + (i << 2)), gain, rate);
      }
    }
    values += 4 * width;
    wide += 16;
    means += 16;
  }
}

/** A mean after an element that is `difference` from its prediction. */
// @ts-ignore: decorator
@inline
export function adaptMean(mean: usize, difference: f64, gain: f64, rate: i32): void {
  const step = abs(difference) * gain;
  const last = load<i32>(mean);
  store<i32>(mean, max(128, last + (((step < 65536 ? <i32>step : 65536) - last) >> rate)));
}

// @ts-ignore: decorator
@inline
function differenceAt(value: usize, wide: usize): f64 {
  return toValue(loadElement(value)) - <f64>load<f32>(wide);
}

/** Adds to `sum` `multipleOfMean` of `count` elements. */
export function sumOfStretch(values: usize, wide: usize, means: usize, count: i32, sum: f64): f64 {
  const perUnit = powerOfTwo(-unit);
  if (width == 4) return sumOfFours(values, wide, means, count, sum, perUnit, 4, 8, mantissaBits, 127, drop);
  if (exponentBits == 8) return sumOfFours(values, wide, means, count, sum, perUnit, 2, 8, 7, 127, 0);
  return sumOfFours(values, wide, means, count, sum, perUnit, 2, 5, 10, 15, 0);
}

// In the order of the elements, whose sum is rounded at each.
// @ts-ignore: decorator
@inline
function sumOfFours(
  values: usize, wide: usize, means: usize, count: i32, sum: f64, perUnit: f64,
  width: i32, exponentBits: i32, mantissa: i32, bias: i32, drop: i32,
): f64 {
  const end = means + (<usize>count << 2);
  while (means < end) {
    const pattern = loadFour(values, width, drop);
    if (means + 16 <= end && !isOdd(pattern, exponentBits, mantissa)) {
      const value = toFloats(pattern, exponentBits, mantissa, bias);
      const basis = v128.load(wide);
      const scale = f64x2.splat(4096);
      const mean = v128.load(means);
      const units = differences(value, basis, perUnit, 4096);
      const moreUnits = differences(turned(value), turned(basis), perUnit, 4096);
      const low = f64x2.div(f64x2.mul(units, scale), f64x2.convert_low_i32x4_s(mean));
      const high = f64x2.div(f64x2.mul(moreUnits, scale), f64x2.convert_low_i32x4_s(turned(mean)));
      sum += f64x2.extract_lane(low, 0);
      sum += f64x2.extract_lane(low, 1);
      sum += f64x2.extract_lane(high, 0);
      sum += f64x2.extract_lane(high, 1);
    } else {
      const stop = min(means + 16, end);
      for (let at = means, i: usize = 0; at < stop; at += 4, i++) {
        sum += multipleOfMean(at, differenceAt(values + i * width, wide + (i << 2)), perUnit);
      }
    }
    values += 4 * width;
    wide += 16;
    means += 16;
  }
  return sum;
}

/** By what multiple of its mean an element differs from its prediction, at most 4096 units. */
// @ts-ignore: decorator
@inline
export function multipleOfMean(mean: usize, difference: f64, perUnit: f64): f64 {
  const units = abs(difference) * perUnit;
  return (units < 4096 ? units : 4096) * 4096 / <f64>load<i32>(mean);
}

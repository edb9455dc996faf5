/**
 * Sums in float64 over eight interleaved lanes: element i of the call goes to lane i mod 8, lanes are
 * added as ((0+1)+(2+3))+((4+5)+(6+7)) by the caller. The order is part of the contract, so that
 * every path gives the same sum. Counts are multiples of eight: the caller pads with zeros.
 */

/**
 * lanes (8 × f64) += squares of the finite values; state[0] (f32) = max |finite value|;
 * state[4] (i32) += number of infinities and NaNs.
 */
export function statistics(values: usize, count: i32, lanes: usize, state: usize): void {
  const end = values + (<usize>count << 2);
  let sum0 = v128.load(lanes);
  let sum1 = v128.load(lanes, 16);
  let sum2 = v128.load(lanes, 32);
  let sum3 = v128.load(lanes, 48);
  let largest = v128.load32_splat(state);
  let nonFinite = i32x4.splat(0);
  const magnitude = i32x4.splat(0x7fffffff);
  const infinity = i32x4.splat(0x7f800000);
  while (values < end) {
    const bits0 = v128.and(v128.load(values), magnitude);
    const bits1 = v128.and(v128.load(values, 16), magnitude);
    const finite0 = i32x4.lt_s(bits0, infinity);
    const finite1 = i32x4.lt_s(bits1, infinity);
    const x = v128.and(bits0, finite0);
    const y = v128.and(bits1, finite1);
    // Bit patterns of non-negative floats order as integers.
    largest = i32x4.max_s(largest, i32x4.max_s(x, y));
    // A true mask is −1.
    nonFinite = i32x4.add(nonFinite, i32x4.add(finite0, finite1));
    const x0 = f64x2.promote_low_f32x4(x);
    const x1 = f64x2.promote_low_f32x4(v128.shuffle<f32>(x, x, 2, 3, 2, 3));
    const y0 = f64x2.promote_low_f32x4(y);
    const y1 = f64x2.promote_low_f32x4(v128.shuffle<f32>(y, y, 2, 3, 2, 3));
    sum0 = f64x2.add(sum0, f64x2.mul(x0, x0));
    sum1 = f64x2.add(sum1, f64x2.mul(x1, x1));
    sum2 = f64x2.add(sum2, f64x2.mul(y0, y0));
    sum3 = f64x2.add(sum3, f64x2.mul(y1, y1));
    values += 32;
  }
  v128.store(lanes, sum0);
  v128.store(lanes, sum1, 16);
  v128.store(lanes, sum2, 32);
  v128.store(lanes, sum3, 48);
  const pairs = i32x4.max_s(largest, v128.shuffle<i32>(largest, largest, 2, 3, 2, 3));
  store<i32>(state, max(i32x4.extract_lane(pairs, 0), i32x4.extract_lane(pairs, 1)));
  const finiteCount = i32x4.extract_lane(nonFinite, 0) + i32x4.extract_lane(nonFinite, 1)
    + i32x4.extract_lane(nonFinite, 2) + i32x4.extract_lane(nonFinite, 3);
  store<i32>(state, load<i32>(state, 4) + count + finiteCount, 4);
}

// @ts-ignore: decorator
@inline
function squaredDifference(x: v128, y: v128): v128 {
  const difference = f64x2.sub(x, y);
  return f64x2.mul(difference, difference);
}

/** lanes (8 × f64) += f64((x − y)²) over float32 operands widened to float64. */
export function squaredDistanceFloat32(x: usize, y: usize, count: i32, lanes: usize): void {
  const end = x + (<usize>count << 2);
  let sum0 = v128.load(lanes);
  let sum1 = v128.load(lanes, 16);
  let sum2 = v128.load(lanes, 32);
  let sum3 = v128.load(lanes, 48);
  while (x < end) {
    sum0 = f64x2.add(sum0, squaredDifference(
      f64x2.promote_low_f32x4(v128.load_zero<u64>(x)), f64x2.promote_low_f32x4(v128.load_zero<u64>(y))));
    sum1 = f64x2.add(sum1, squaredDifference(
      f64x2.promote_low_f32x4(v128.load_zero<u64>(x, 8)), f64x2.promote_low_f32x4(v128.load_zero<u64>(y, 8))));
    sum2 = f64x2.add(sum2, squaredDifference(
      f64x2.promote_low_f32x4(v128.load_zero<u64>(x, 16)), f64x2.promote_low_f32x4(v128.load_zero<u64>(y, 16))));
    sum3 = f64x2.add(sum3, squaredDifference(
      f64x2.promote_low_f32x4(v128.load_zero<u64>(x, 24)), f64x2.promote_low_f32x4(v128.load_zero<u64>(y, 24))));
    x += 32;
    y += 32;
  }
  v128.store(lanes, sum0);
  v128.store(lanes, sum1, 16);
  v128.store(lanes, sum2, 32);
  v128.store(lanes, sum3, 48);
}

/** The same over float64 operands. */
export function squaredDistanceFloat64(x: usize, y: usize, count: i32, lanes: usize): void {
  const end = x + (<usize>count << 3);
  let sum0 = v128.load(lanes);
  let sum1 = v128.load(lanes, 16);
  let sum2 = v128.load(lanes, 32);
  let sum3 = v128.load(lanes, 48);
  while (x < end) {
    sum0 = f64x2.add(sum0, squaredDifference(v128.load(x), v128.load(y)));
    sum1 = f64x2.add(sum1, squaredDifference(v128.load(x, 16), v128.load(y, 16)));
    sum2 = f64x2.add(sum2, squaredDifference(v128.load(x, 32), v128.load(y, 32)));
    sum3 = f64x2.add(sum3, squaredDifference(v128.load(x, 48), v128.load(y, 48)));
    x += 64;
    y += 64;
  }
  v128.store(lanes, sum0);
  v128.store(lanes, sum1, 16);
  v128.store(lanes, sum2, 32);
  v128.store(lanes, sum3, 48);
}

/** inner (8 × f64) += f64(x) · q, energy (8 × f64) += q², over float32 values and int16 codes. */
export function codeSums(values: usize, codes: usize, count: i32, inner: usize, energy: usize): void {
  const end = values + (<usize>count << 2);
  while (values < end) {
    const q = v128.load(codes);
    const low = i32x4.extend_low_i16x8_s(q);
    const high = i32x4.extend_high_i16x8_s(q);
    addCodeSums(values, low, inner, energy);
    addCodeSums(values + 16, high, inner + 32, energy + 32);
    values += 32;
    codes += 16;
  }
}

// @ts-ignore: decorator
@inline
function addCodeSums(values: usize, q: v128, inner: usize, energy: usize): void {
  const first = f64x2.convert_low_i32x4_s(q);
  const second = f64x2.convert_low_i32x4_s(v128.shuffle<i32>(q, q, 2, 3, 2, 3));
  const x = f64x2.promote_low_f32x4(v128.load_zero<u64>(values));
  const y = f64x2.promote_low_f32x4(v128.load_zero<u64>(values, 8));
  v128.store(inner, f64x2.add(v128.load(inner), f64x2.mul(x, first)));
  v128.store(inner, f64x2.add(v128.load(inner, 16), f64x2.mul(y, second)), 16);
  v128.store(energy, f64x2.add(v128.load(energy), f64x2.mul(first, first)));
  v128.store(energy, f64x2.add(v128.load(energy, 16), f64x2.mul(second, second)), 16);
}

/** Multiplies float32 values by a factor in place. Runs over their end by less than 16 bytes. */
export function scaleFloats(values: usize, count: i32, factor: f32): void {
  const end = values + (<usize>count << 2);
  const factors = f32x4.splat(factor);
  for (; values < end; values += 16) v128.store(values, f32x4.mul(v128.load(values), factors));
}

/** Leaves of each float32 value its power of two: the sign and the fraction become 0, as does a subnormal. */
export function keepExponents(values: usize, count: i32): void {
  const end = values + (<usize>count << 2);
  const exponent = i32x4.splat(0x7f800000);
  for (; values < end; values += 16) v128.store(values, v128.and(v128.load(values), exponent));
}

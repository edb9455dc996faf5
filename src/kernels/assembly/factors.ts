/** Integer factors of low-rank terms: from components as they are stored to rows as products take them. */

/** Components that one pass interleaves: eight int16 of a row make a vector. */
const GROUP: i32 = 8;

// Largest |x| of eight int16 lanes, kept as unsigned: |−32768| is 32768.
// @ts-ignore: decorator
@inline
function largest16(x: v128, y: v128): v128 {
  return i16x8.max_u(x, i16x8.abs(y));
}

/**
 * target (i16, length × stride) [i · stride + k] = gains_k · codes_k,i for k < count; codes: count × length.
 * Products wrap modulo 2^16; the largest |gain · code|, before it wraps, is returned.
 */
export function scaleComponents16(
  codes: usize, gains: usize, count: i32, length: i32, target: usize, stride: i32,
): i32 {
  const rowBytes = <usize>length << 1;
  const targetBytes = <usize>stride << 1;
  let peak: i32 = 0;
  for (let k = 0; k < count; k++) {
    const gain: i32 = load<u16>(gains + (<usize>k << 1));
    peak = max(peak, gain * largestCode(codes + <usize>k * rowBytes, length));
  }
  let k = 0;
  for (; k + GROUP <= count; k += GROUP) {
    const lanes = v128.load(gains + (<usize>k << 1));
    const source = codes + <usize>k * rowBytes;
    const column = target + (<usize>k << 1);
    let i = 0;
    for (; i + 8 <= length; i += 8) {
      transpose8(source + (<usize>i << 1), rowBytes, lanes, column + <usize>i * targetBytes, targetBytes);
    }
    for (; i < length; i++) {
      for (let lane = 0; lane < GROUP; lane++) {
        const code: i32 = load<i16>(source + <usize>lane * rowBytes + (<usize>i << 1));
        const gain: i32 = load<u16>(gains + (<usize>(k + lane) << 1));
        store<i16>(column + <usize>i * targetBytes + (<usize>lane << 1), <i16>(gain * code));
      }
    }
  }
  for (; k < count; k++) {
    const gain: i32 = load<u16>(gains + (<usize>k << 1));
    const source = codes + <usize>k * rowBytes;
    let to = target + (<usize>k << 1);
    for (let i = 0; i < length; i++) {
      store<i16>(to, <i16>(gain * <i32>load<i16>(source + (<usize>i << 1))));
      to += targetBytes;
    }
  }
  return peak;
}

// Eight codes of eight components to eight rows, times the components' gains.
// @ts-ignore: decorator
@inline
function transpose8(source: usize, rowBytes: usize, gains: v128, target: usize, targetBytes: usize): void {
  const r0 = v128.load(source), r1 = v128.load(source + rowBytes);
  const r2 = v128.load(source + 2 * rowBytes), r3 = v128.load(source + 3 * rowBytes);
  const r4 = v128.load(source + 4 * rowBytes), r5 = v128.load(source + 5 * rowBytes);
  const r6 = v128.load(source + 6 * rowBytes), r7 = v128.load(source + 7 * rowBytes);
  const p0 = v128.shuffle<i16>(r0, r1, 0, 8, 1, 9, 2, 10, 3, 11), p1 = v128.shuffle<i16>(r0, r1, 4, 12, 5, 13, 6, 14, 7, 15);
  const p2 = v128.shuffle<i16>(r2, r3, 0, 8, 1, 9, 2, 10, 3, 11), p3 = v128.shuffle<i16>(r2, r3, 4, 12, 5, 13, 6, 14, 7, 15);
  const p4 = v128.shuffle<i16>(r4, r5, 0, 8, 1, 9, 2, 10, 3, 11), p5 = v128.shuffle<i16>(r4, r5, 4, 12, 5, 13, 6, 14, 7, 15);
  const p6 = v128.shuffle<i16>(r6, r7, 0, 8, 1, 9, 2, 10, 3, 11), p7 = v128.shuffle<i16>(r6, r7, 4, 12, 5, 13, 6, 14, 7, 15);
  const q0 = v128.shuffle<i32>(p0, p2, 0, 4, 1, 5), q1 = v128.shuffle<i32>(p0, p2, 2, 6, 3, 7);
  const q2 = v128.shuffle<i32>(p1, p3, 0, 4, 1, 5), q3 = v128.shuffle<i32>(p1, p3, 2, 6, 3, 7);
  const q4 = v128.shuffle<i32>(p4, p6, 0, 4, 1, 5), q5 = v128.shuffle<i32>(p4, p6, 2, 6, 3, 7);
  const q6 = v128.shuffle<i32>(p5, p7, 0, 4, 1, 5), q7 = v128.shuffle<i32>(p5, p7, 2, 6, 3, 7);
  v128.store(target, i16x8.mul(gains, v128.shuffle<i64>(q0, q4, 0, 2)));
  v128.store(target + targetBytes, i16x8.mul(gains, v128.shuffle<i64>(q0, q4, 1, 3)));
  v128.store(target + 2 * targetBytes, i16x8.mul(gains, v128.shuffle<i64>(q1, q5, 0, 2)));
  v128.store(target + 3 * targetBytes, i16x8.mul(gains, v128.shuffle<i64>(q1, q5, 1, 3)));
  v128.store(target + 4 * targetBytes, i16x8.mul(gains, v128.shuffle<i64>(q2, q6, 0, 2)));
  v128.store(target + 5 * targetBytes, i16x8.mul(gains, v128.shuffle<i64>(q2, q6, 1, 3)));
  v128.store(target + 6 * targetBytes, i16x8.mul(gains, v128.shuffle<i64>(q3, q7, 0, 2)));
  v128.store(target + 7 * targetBytes, i16x8.mul(gains, v128.shuffle<i64>(q3, q7, 1, 3)));
}

// Largest |code| of one component.
function largestCode(codes: usize, length: i32): i32 {
  let lanes = i16x8.splat(0);
  let i = 0;
  for (; i + 8 <= length; i += 8) lanes = largest16(lanes, v128.load(codes + (<usize>i << 1)));
  let peak: i32 = 0;
  for (; i < length; i++) peak = max(peak, abs<i32>(<i32>load<i16>(codes + (<usize>i << 1))));
  peak = max(peak, max(i16x8.extract_lane_u(lanes, 0), i16x8.extract_lane_u(lanes, 1)));
  peak = max(peak, max(i16x8.extract_lane_u(lanes, 2), i16x8.extract_lane_u(lanes, 3)));
  peak = max(peak, max(i16x8.extract_lane_u(lanes, 4), i16x8.extract_lane_u(lanes, 5)));
  return max(peak, max(i16x8.extract_lane_u(lanes, 6), i16x8.extract_lane_u(lanes, 7)));
}

/** The same into i32, which every product fits; without the largest. */
export function scaleComponents32(
  codes: usize, gains: usize, count: i32, length: i32, target: usize, stride: i32,
): void {
  const targetBytes = <usize>stride << 2;
  for (let k = 0; k < count; k++) {
    const gain: i32 = load<u16>(gains + (<usize>k << 1));
    const source = codes + (<usize>k * <usize>length << 1);
    let to = target + (<usize>k << 2);
    for (let i = 0; i < length; i++) {
      store<i32>(to, gain * <i32>load<i16>(source + (<usize>i << 1)));
      to += targetBytes;
    }
  }
}

/**
 * Largest Σ_k x_k² of the rows of an int16 matrix (rows × k) of |x| ≤ 32767, exact below 2^53. Reads up to 14 bytes
 * past the end.
 */
export function largestSquaredNorm16(matrix: usize, rows: i32, k: i32): f64 {
  let largest: i64 = 0;
  const whole = k & ~7;
  for (let row = 0; row < rows; row++) {
    let sums = i64x2.splat(0);
    let index = 0;
    for (; index < whole; index += 8) {
      const x = v128.load(matrix);
      const squares = i32x4.dot_i16x8_s(x, x);
      sums = i64x2.add(sums, i64x2.add(i64x2.extend_low_i32x4_s(squares), i64x2.extend_high_i32x4_s(squares)));
      matrix += 16;
    }
    let sum = i64x2.extract_lane(sums, 0) + i64x2.extract_lane(sums, 1);
    for (; index < k; index++) {
      const x = <i64>load<i16>(matrix);
      sum += x * x;
      matrix += 2;
    }
    largest = max(largest, sum);
  }
  return <f64>largest;
}

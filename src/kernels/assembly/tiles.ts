/**
 * The inner products of one tile (4 rows) with one panel (8 columns; 4 in float64), and what is done
 * with the sums. Operands as packed by pack.ts; `out` is the first element of the tile, its rows are
 * `stride` bytes apart. Eight accumulators, two panel vectors, four broadcasts and a product fill
 * fifteen of the sixteen x64 vector registers: the next size, 4 × 12, spills and is a third slower.
 * Inlined: engines unroll a loop within loops, and pull out of it what does not change.
 */
import { PANEL_BYTES } from './pack';

// out = f32(out + f32(scale · f32(sum))) over four int32 sums.
// @ts-ignore: decorator
@inline
function finishInt32(out: usize, scale: v128, sum: v128): void {
  v128.store(out, f32x4.add(v128.load(out), f32x4.mul(scale, f32x4.convert_i32x4_s(sum))));
}

/** int16 · int16 → int32, `steps` pairs of k. Wraps modulo 2^32, so any order gives the same sum. */
// @ts-ignore: decorator
@inline
export function tileInt16(a: usize, b: usize, steps: i32, scale: f32, out: usize, stride: usize): void {
  let c00 = i32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
  const end = a + (<usize>steps << 4);
  while (a < end) {
    const b0 = v128.load(b), b1 = v128.load(b, 16);
    const a0 = v128.load32_splat(a);
    c00 = i32x4.add(c00, i32x4.dot_i16x8_s(a0, b0));
    c01 = i32x4.add(c01, i32x4.dot_i16x8_s(a0, b1));
    const a1 = v128.load32_splat(a, 4);
    c10 = i32x4.add(c10, i32x4.dot_i16x8_s(a1, b0));
    c11 = i32x4.add(c11, i32x4.dot_i16x8_s(a1, b1));
    const a2 = v128.load32_splat(a, 8);
    c20 = i32x4.add(c20, i32x4.dot_i16x8_s(a2, b0));
    c21 = i32x4.add(c21, i32x4.dot_i16x8_s(a2, b1));
    const a3 = v128.load32_splat(a, 12);
    c30 = i32x4.add(c30, i32x4.dot_i16x8_s(a3, b0));
    c31 = i32x4.add(c31, i32x4.dot_i16x8_s(a3, b1));
    a += 16;
    b += PANEL_BYTES;
  }
  const scales = f32x4.splat(scale);
  finishInt32(out, scales, c00);
  finishInt32(out + 16, scales, c01);
  out += stride;
  finishInt32(out, scales, c10);
  finishInt32(out + 16, scales, c11);
  out += stride;
  finishInt32(out, scales, c20);
  finishInt32(out + 16, scales, c21);
  out += stride;
  finishInt32(out, scales, c30);
  finishInt32(out + 16, scales, c31);
}

// out = f32(out + f32(scale · f32(sum))) over four float64 sums.
// @ts-ignore: decorator
@inline
function finishFloat64(out: usize, scale: v128, sum0: v128, sum1: v128): void {
  const low = f32x4.demote_f64x2_zero(sum0);
  const high = f32x4.demote_f64x2_zero(sum1);
  const term = f32x4.mul(scale, v128.shuffle<f32>(low, high, 0, 1, 4, 5));
  v128.store(out, f32x4.add(v128.load(out), term));
}

/** Integers in float64, `steps` of k: exact below 2^53, so any order gives the same sum. */
// @ts-ignore: decorator
@inline
export function tileFloat64(a: usize, b: usize, steps: i32, scale: f32, out: usize, stride: usize): void {
  let c00 = f64x2.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
  const end = a + (<usize>steps << 5);
  while (a < end) {
    const b0 = v128.load(b), b1 = v128.load(b, 16);
    const a0 = v128.load64_splat(a);
    c00 = f64x2.add(c00, f64x2.mul(a0, b0));
    c01 = f64x2.add(c01, f64x2.mul(a0, b1));
    const a1 = v128.load64_splat(a, 8);
    c10 = f64x2.add(c10, f64x2.mul(a1, b0));
    c11 = f64x2.add(c11, f64x2.mul(a1, b1));
    const a2 = v128.load64_splat(a, 16);
    c20 = f64x2.add(c20, f64x2.mul(a2, b0));
    c21 = f64x2.add(c21, f64x2.mul(a2, b1));
    const a3 = v128.load64_splat(a, 24);
    c30 = f64x2.add(c30, f64x2.mul(a3, b0));
    c31 = f64x2.add(c31, f64x2.mul(a3, b1));
    a += 32;
    b += PANEL_BYTES;
  }
  const scales = f32x4.splat(scale);
  finishFloat64(out, scales, c00, c01);
  out += stride;
  finishFloat64(out, scales, c10, c11);
  out += stride;
  finishFloat64(out, scales, c20, c21);
  out += stride;
  finishFloat64(out, scales, c30, c31);
}

/** out = f32(out + sum), the sum over `steps` of k in ascending order, each operation rounded. */
// @ts-ignore: decorator
@inline
export function tileFloat32(a: usize, b: usize, steps: i32, out: usize, stride: usize): void {
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
  const end = a + (<usize>steps << 4);
  while (a < end) {
    const b0 = v128.load(b), b1 = v128.load(b, 16);
    const a0 = v128.load32_splat(a);
    c00 = f32x4.add(c00, f32x4.mul(a0, b0));
    c01 = f32x4.add(c01, f32x4.mul(a0, b1));
    const a1 = v128.load32_splat(a, 4);
    c10 = f32x4.add(c10, f32x4.mul(a1, b0));
    c11 = f32x4.add(c11, f32x4.mul(a1, b1));
    const a2 = v128.load32_splat(a, 8);
    c20 = f32x4.add(c20, f32x4.mul(a2, b0));
    c21 = f32x4.add(c21, f32x4.mul(a2, b1));
    const a3 = v128.load32_splat(a, 12);
    c30 = f32x4.add(c30, f32x4.mul(a3, b0));
    c31 = f32x4.add(c31, f32x4.mul(a3, b1));
    a += 16;
    b += PANEL_BYTES;
  }
  v128.store(out, f32x4.add(v128.load(out), c00));
  v128.store(out, f32x4.add(v128.load(out, 16), c01), 16);
  out += stride;
  v128.store(out, f32x4.add(v128.load(out), c10));
  v128.store(out, f32x4.add(v128.load(out, 16), c11), 16);
  out += stride;
  v128.store(out, f32x4.add(v128.load(out), c20));
  v128.store(out, f32x4.add(v128.load(out, 16), c21), 16);
  out += stride;
  v128.store(out, f32x4.add(v128.load(out), c30));
  v128.store(out, f32x4.add(v128.load(out, 16), c31), 16);
}

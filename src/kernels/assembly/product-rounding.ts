/**
 * A product as all of a residual, in one pass: out = round(base + f32(scale · f32(A·Bᵀ))), tile by tile, so that no
 * residual goes through memory. For whole tiles of int16 and scale > 0: then no term is −0, and 0 + term, where sums of
 * terms start, is the term itself.
 */
import { BF16, F16, F32, elementBytes, load4, store8 } from './float-formats';
import { PANEL_BYTES } from './pack';
import { CHUNK_BYTES } from './product';

// f32(base + f32(scale · f32(sum))), half of eight elements. 16-bit halves of bf16 are put above zeros at once.
// @ts-ignore: decorator
@inline
function sum4(base: v128, scale: v128, sum: v128): v128 {
  return f32x4.add(base, f32x4.mul(scale, f32x4.convert_i32x4_s(sum)));
}

// Eight elements of one row. Of bf16 less what only NaNs need: gives the largest base without its sign, over 0xfeff where
// it is no finite number, without which the result is none.
// @ts-ignore: decorator
@inline
function round8(format: i32, base: usize, out: usize, scale: v128, sum0: v128, sum1: v128, largest: v128): v128 {
  if (format != BF16) {
    const low = sum4(load4(format, base), scale, sum0);
    const high = sum4(load4(format, base + 4 * elementBytes(format)), scale, sum1);
    store8(format, out, low, high);
    return largest;
  }
  const zero = i32x4.splat(0), one = i32x4.splat(1), half = i32x4.splat(0x7fff);
  const bits = v128.load(base);
  const x = sum4(v128.shuffle<i16>(zero, bits, 0, 8, 1, 9, 2, 10, 3, 11), scale, sum0);
  const y = sum4(v128.shuffle<i16>(zero, bits, 4, 12, 5, 13, 6, 14, 7, 15), scale, sum1);
  const low = i32x4.add(i32x4.add(x, half), v128.and(i32x4.shr_u(x, 16), one));
  const high = i32x4.add(i32x4.add(y, half), v128.and(i32x4.shr_u(y, 16), one));
  v128.store(out, i16x8.narrow_i32x4_s(i32x4.shr_s(low, 16), i32x4.shr_s(high, 16)));
  return i16x8.max_u(largest, i16x8.shl(bits, 1));
}

// The inner product is that of tileInt16, here once more, so that sums stay in registers.
// @ts-ignore: decorator
@inline
function walk(
  format: i32, a: usize, b: usize, rows: i32, columns: i32, steps: i32, scale: f32, base: usize, out: usize,
): bool {
  const tileBytes = <usize>steps << 4;
  const panelBytes = <usize>steps * PANEL_BYTES;
  const width = elementBytes(format);
  const stride = <usize>columns * width;
  const chunk = 8 * max<i32>(1, <i32>(CHUNK_BYTES / max<usize>(panelBytes, PANEL_BYTES)));
  const scales = f32x4.splat(scale);
  let largest = i32x4.splat(0);
  for (let from = 0; from < columns; from += chunk) {
    const to = min(from + chunk, columns);
    for (let row = 0; row < rows; row += 4) {
      const tile = a + <usize>(row >> 2) * tileBytes;
      const tileEnd = tile + tileBytes;
      let panel = b + <usize>(from >> 3) * panelBytes;
      let offset = <usize>row * stride + <usize>from * width;
      const end = <usize>row * stride + <usize>to * width;
      while (offset < end) {
        let c00 = i32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
        let at = tile;
        while (at < tileEnd) {
          const b0 = v128.load(panel), b1 = v128.load(panel, 16);
          const a0 = v128.load32_splat(at);
          c00 = i32x4.add(c00, i32x4.dot_i16x8_s(a0, b0));
          c01 = i32x4.add(c01, i32x4.dot_i16x8_s(a0, b1));
          const a1 = v128.load32_splat(at, 4);
          c10 = i32x4.add(c10, i32x4.dot_i16x8_s(a1, b0));
          c11 = i32x4.add(c11, i32x4.dot_i16x8_s(a1, b1));
          const a2 = v128.load32_splat(at, 8);
          c20 = i32x4.add(c20, i32x4.dot_i16x8_s(a2, b0));
          c21 = i32x4.add(c21, i32x4.dot_i16x8_s(a2, b1));
          const a3 = v128.load32_splat(at, 12);
          c30 = i32x4.add(c30, i32x4.dot_i16x8_s(a3, b0));
          c31 = i32x4.add(c31, i32x4.dot_i16x8_s(a3, b1));
          at += 16;
          panel += PANEL_BYTES;
        }
        let source = base + offset, target = out + offset;
        largest = round8(format, source, target, scales, c00, c01, largest);
        source += stride;
        target += stride;
        largest = round8(format, source, target, scales, c10, c11, largest);
        source += stride;
        target += stride;
        largest = round8(format, source, target, scales, c20, c21, largest);
        source += stride;
        target += stride;
        largest = round8(format, source, target, scales, c30, c31, largest);
        offset += 8 * width;
      }
    }
  }
  return !v128.any_true(i16x8.ge_u(largest, i16x8.splat(<i16>0xff00)));
}

/**
 * out (format) = round(base + scale · A·Bᵀ) for bf16, f16 and f32; rows are a multiple of 4, columns of 8, and follow each
 * other in base and out; `steps` = ceil(k / 2). False where the base has what it cannot round: then out holds anything.
 */
export function productRounded(
  format: i32, a: usize, b: usize, rows: i32, columns: i32, steps: i32, scale: f32, base: usize, out: usize,
): bool {
  switch (format) {
    case BF16: return walk(BF16, a, b, rows, columns, steps, scale, base, out);
    case F16: return walk(F16, a, b, rows, columns, steps, scale, base, out);
    case F32: return walk(F32, a, b, rows, columns, steps, scale, base, out);
    default: return false;
  }
}

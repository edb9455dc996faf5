/**
 * Element-wise kernels over float formats. Every count is rounded up to a multiple of eight: the
 * caller's buffers have 64 bytes of slack behind them, and what is computed there is never read.
 */
import { F64, F32, F16, BF16, F8_E4M3, F8_E5M2, elementBytes, load4, store8, canonicalFloat32, canonicalFloat64 } from './float-formats';

// @ts-ignore: decorator
@inline
function widenLoop(format: i32, source: usize, target: usize, count: i32): void {
  const end = target + (<usize>count << 2);
  while (target < end) {
    v128.store(target, load4(format, source));
    v128.store(target, load4(format, source + 4 * elementBytes(format)), 16);
    source += 8 * elementBytes(format);
    target += 32;
  }
}

/** target (f32) = source (format). */
export function toFloat32(format: i32, source: usize, target: usize, count: i32): void {
  switch (format) {
    case F64: widenLoop(F64, source, target, count); return;
    case F32: widenLoop(F32, source, target, count); return;
    case F16: widenLoop(F16, source, target, count); return;
    case BF16: widenLoop(BF16, source, target, count); return;
    case F8_E4M3: widenLoop(F8_E4M3, source, target, count); return;
    default: widenLoop(F8_E5M2, source, target, count);
  }
}

// @ts-ignore: decorator
@inline
function roundLoop(format: i32, source: usize, target: usize, count: i32): void {
  const end = source + (<usize>count << 2);
  while (source < end) {
    store8(format, target, v128.load(source), v128.load(source, 16));
    source += 32;
    target += 8 * elementBytes(format);
  }
}

/** target (format) = source (f32), rounded once; canonical NaN. */
export function fromFloat32(format: i32, source: usize, target: usize, count: i32): void {
  switch (format) {
    case F64: roundLoop(F64, source, target, count); return;
    case F32: roundLoop(F32, source, target, count); return;
    case F16: roundLoop(F16, source, target, count); return;
    case BF16: roundLoop(BF16, source, target, count); return;
    case F8_E4M3: roundLoop(F8_E4M3, source, target, count); return;
    default: roundLoop(F8_E5M2, source, target, count);
  }
}

// @ts-ignore: decorator
@inline
function addLoop(format: i32, base: usize, values: usize, count: i32): void {
  const end = values + (<usize>count << 2);
  while (values < end) {
    v128.store(values, f32x4.add(load4(format, base), v128.load(values)));
    v128.store(values, f32x4.add(load4(format, base + 4 * elementBytes(format)), v128.load(values, 16)), 16);
    base += 8 * elementBytes(format);
    values += 32;
  }
}

/** values (f32) = f32(base + values). NaN payloads are left as they fall: fromFloat32 follows. */
export function addBase(format: i32, base: usize, values: usize, count: i32): void {
  switch (format) {
    case F64: addLoop(F64, base, values, count); return;
    case F32: addLoop(F32, base, values, count); return;
    case F16: addLoop(F16, base, values, count); return;
    case BF16: addLoop(BF16, base, values, count); return;
    case F8_E4M3: addLoop(F8_E4M3, base, values, count); return;
    default: addLoop(F8_E5M2, base, values, count);
  }
}

// @ts-ignore: decorator
@inline
function addRoundLoop(format: i32, base: usize, values: usize, target: usize, count: i32): void {
  const end = values + (<usize>count << 2);
  while (values < end) {
    const low = f32x4.add(load4(format, base), v128.load(values));
    const high = f32x4.add(load4(format, base + 4 * elementBytes(format)), v128.load(values, 16));
    store8(format, target, low, high);
    base += 8 * elementBytes(format);
    values += 32;
    target += 8 * elementBytes(format);
  }
}

// The common case, less what only NaNs need. Returns whether there was one: then the target is to be written again.
function addRoundBF16(base: usize, values: usize, target: usize, count: i32): bool {
  const end = values + (<usize>count << 2);
  const zero = i32x4.splat(0), one = i32x4.splat(1), half = i32x4.splat(0x7fff);
  let unordered = zero;
  while (values < end) {
    const bits = v128.load(base);
    const x = f32x4.add(v128.shuffle<i16>(zero, bits, 0, 8, 1, 9, 2, 10, 3, 11), v128.load(values));
    const y = f32x4.add(v128.shuffle<i16>(zero, bits, 4, 12, 5, 13, 6, 14, 7, 15), v128.load(values, 16));
    unordered = v128.or(unordered, v128.or(f32x4.ne(x, x), f32x4.ne(y, y)));
    const low = i32x4.add(i32x4.add(x, half), v128.and(i32x4.shr_u(x, 16), one));
    const high = i32x4.add(i32x4.add(y, half), v128.and(i32x4.shr_u(y, 16), one));
    v128.store(target, i16x8.narrow_i32x4_s(i32x4.shr_s(low, 16), i32x4.shr_s(high, 16)));
    base += 16;
    values += 32;
    target += 16;
  }
  return v128.any_true(unordered);
}

/** target (format) = f32(base (format) + values), rounded once more; any format but f64. */
export function addAndRound(format: i32, base: usize, values: usize, target: usize, count: i32): void {
  switch (format) {
    case F32: addRoundLoop(F32, base, values, target, count); return;
    case F16: addRoundLoop(F16, base, values, target, count); return;
    case BF16:
      if (addRoundBF16(base, values, target, count)) addRoundLoop(BF16, base, values, target, count);
      return;
    case F8_E4M3: addRoundLoop(F8_E4M3, base, values, target, count); return;
    default: addRoundLoop(F8_E5M2, base, values, target, count);
  }
}

/** base (f64) = f64(base + residual (f32)), canonical NaN. */
export function addResidualFloat64(base: usize, residual: usize, count: i32): void {
  const end = base + (<usize>count << 3);
  while (base < end) {
    const sum = f64x2.add(v128.load(base), f64x2.promote_low_f32x4(v128.load_zero<u64>(residual)));
    v128.store(base, canonicalFloat64(sum));
    base += 16;
    residual += 8;
  }
}

// @ts-ignore: decorator
@inline
function subtractLoop(format: i32, fine: usize, values: usize, count: i32): void {
  const end = values + (<usize>count << 2);
  while (values < end) {
    const low = f32x4.sub(load4(format, fine), v128.load(values));
    const high = f32x4.sub(load4(format, fine + 4 * elementBytes(format)), v128.load(values, 16));
    v128.store(values, canonicalFloat32(low));
    v128.store(values, canonicalFloat32(high), 16);
    fine += 8 * elementBytes(format);
    values += 32;
  }
}

/** values (f32, the base) = f32(fine − values), canonical NaN. */
export function subtractBase(format: i32, fine: usize, values: usize, count: i32): void {
  switch (format) {
    case F64: subtractLoop(F64, fine, values, count); return;
    case F32: subtractLoop(F32, fine, values, count); return;
    case F16: subtractLoop(F16, fine, values, count); return;
    case BF16: subtractLoop(BF16, fine, values, count); return;
    case F8_E4M3: subtractLoop(F8_E4M3, fine, values, count); return;
    default: subtractLoop(F8_E5M2, fine, values, count);
  }
}

/** target (f32) = f32(f64(fine − base)), canonical NaN. */
export function subtractFloat64(fine: usize, base: usize, target: usize, count: i32): void {
  const end = target + (<usize>count << 2);
  while (target < end) {
    const low = f32x4.demote_f64x2_zero(f64x2.sub(v128.load(fine), v128.load(base)));
    const high = f32x4.demote_f64x2_zero(f64x2.sub(v128.load(fine, 16), v128.load(base, 16)));
    v128.store(target, canonicalFloat32(v128.shuffle<f32>(low, high, 0, 1, 4, 5)));
    fine += 32;
    base += 32;
    target += 16;
  }
}

/** target (i16) = nearest even of f32(values · inverseStep), clamped to [low, high]; NaN gives 0. */
export function quantize(values: usize, inverseStep: f32, low: i32, high: i32, target: usize, count: i32): void {
  const end = values + (<usize>count << 2);
  const step = f32x4.splat(inverseStep);
  const floor = f32x4.splat(<f32>low);
  const ceiling = f32x4.splat(<f32>high);
  // pmin and pmax are one instruction each; a NaN passes through them, and truncates to 0.
  while (values < end) {
    const x = f32x4.pmax(f32x4.pmin(f32x4.nearest(f32x4.mul(v128.load(values), step)), ceiling), floor);
    const y = f32x4.pmax(f32x4.pmin(f32x4.nearest(f32x4.mul(v128.load(values, 16), step)), ceiling), floor);
    v128.store(target, i16x8.narrow_i32x4_s(i32x4.trunc_sat_f32x4_s(x), i32x4.trunc_sat_f32x4_s(y)));
    values += 32;
    target += 16;
  }
}

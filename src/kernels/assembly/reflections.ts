/** Householder reflections in float64, every operation rounded once and in the order of docs/spec/codecs.md §10. */

// x −= w (wᵀx) / q, in four sums by index modulo 4; w is 0 before `first`.
// @ts-ignore: decorator
@inline
function reflect(w: usize, q: f64, first: i32, x: usize, length: i32): void {
  const last = length & ~3;
  let i = first & ~3;
  let low = f64x2.splat(0), high = low;
  for (; i < last; i += 4) {
    const at = <usize>i << 3;
    low = f64x2.add(low, f64x2.mul(v128.load(w + at), v128.load(x + at)));
    high = f64x2.add(high, f64x2.mul(v128.load(w + at, 16), v128.load(x + at, 16)));
  }
  let s0 = f64x2.extract_lane(low, 0), s1 = f64x2.extract_lane(low, 1);
  let s2 = f64x2.extract_lane(high, 0);
  const s3 = f64x2.extract_lane(high, 1);
  const rest = <usize>i << 3;
  if (i < length) s0 += load<f64>(w + rest) * load<f64>(x + rest);
  if (i + 1 < length) s1 += load<f64>(w + rest, 8) * load<f64>(x + rest, 8);
  if (i + 2 < length) s2 += load<f64>(w + rest, 16) * load<f64>(x + rest, 16);
  const factor = (s0 + s1 + (s2 + s3)) / q;
  const factors = f64x2.splat(factor);
  let at = <usize>first << 3;
  const end = <usize>length << 3;
  for (; at + 16 <= end; at += 16) {
    v128.store(x + at, f64x2.sub(v128.load(x + at), f64x2.mul(factors, v128.load(w + at))));
  }
  if (at < end) store<f64>(x + at, load<f64>(x + at) - factor * load<f64>(w + at));
}

/**
 * Applies reflections `from` to `to` − 1 to x, the last one first where `backward`. Their vectors lie one after another
 * from `vectors` on, their q from `qs` on; x and vectors have `length` entries.
 */
export function applyReflections(
  vectors: usize, qs: usize, from: i32, to: i32, backward: bool, x: usize, length: i32,
): void {
  const bytes = <usize>length << 3;
  for (let i = 0, count = to - from; i < count; i++) {
    const place = backward ? count - 1 - i : i;
    reflect(vectors + <usize>place * bytes, load<f64>(qs + (<usize>place << 3)), from + place, x, length);
  }
}

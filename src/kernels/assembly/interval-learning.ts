/**
 * How the contexts of codec "interval" adapt (docs/spec/range-coder.md), with the shifts out of a table: whether a
 * context has settled is no branch then, which is worth it since no other codec has as many contexts.
 */
import { FAST_HIGH, FAST_LOW, settledAfter, SLOW_HIGH, SLOW_LOW } from './range-coder';

const FAST: u32 = 7;
const SLOW: u32 = 10;

/** A context that has seen nothing. */
// @ts-ignore: decorator
@inline
export function freshContext(): u64 {
  return 0x8000000000008000 | (<u64>settledAfter(SLOW) << 16);
}

/**
 * Address of the table, which ends below SCRATCH_START of ../wasm/arena.ts: from the bits that a context has yet to
 * count to an u32 of its fast shift, 256 times its slow one, and 65536 if it counts.
 */
const PACES: usize = 1024;

/** Writes the table. */
export function layPaces(): void {
  const settled = settledAfter(SLOW);
  for (let left: u32 = 0; left <= settled; left++) {
    const shift: u32 = 32 - <u32>clz<u32>((2 * (settled - left) + 4) / 3);
    store<u32>(PACES + (<usize>left << 2), min(FAST, shift) | (min(SLOW, shift) << 8) | (u32(left > 0) << 16));
  }
}

// @ts-ignore: decorator
@inline
function paceOf(a: u32): u32 {
  return load<u32>(<usize>(a >> 16) << 2, PACES);
}

/** Moves the estimates of a context, whose words are `a` and `b`, towards 0. */
// @ts-ignore: decorator
@inline
export function learnZero(context: usize, a: u32, b: u32): void {
  const pace = paceOf(a);
  store<u32>(context, a - (pace & 0x10000) + ((FAST_HIGH - (a & 0xffff)) >> pace));
  store<u32>(context, b + ((SLOW_HIGH - b) >> (pace >> 8)), 4);
}

/** Towards 1. */
// @ts-ignore: decorator
@inline
export function learnOne(context: usize, a: u32, b: u32): void {
  const pace = paceOf(a);
  store<u32>(context, a - (pace & 0x10000) - (((a & 0xffff) - FAST_LOW) >> pace));
  store<u32>(context, b - ((b - SLOW_LOW) >> (pace >> 8)), 4);
}

/** Towards `bit` without a branch on it: for 0, estimates are mirrored. */
// @ts-ignore: decorator
@inline
export function learnEven(context: usize, a: u32, b: u32, bit: u32): void {
  const pace = paceOf(a);
  const one = 0 - bit;
  const fast = (((a ^ ~one) & 0xffff) - FAST_LOW) >> pace;
  const slow = ((b ^ ~one) - SLOW_LOW) >> (pace >> 8);
  store<u32>(context, a - (pace & 0x10000) + (fast ^ one) + bit);
  store<u32>(context, b + (slow ^ one) + bit, 4);
}

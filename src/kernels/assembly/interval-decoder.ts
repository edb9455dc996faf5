/**
 * The elements of a planned stretch decoded (docs/spec/interval.md), the inverse of what interval-values.ts writes. As
 * in matrix-decoder.ts, the registers of the arithmetic code are locals of one function, and both ways of a decision
 * are written out, since all the time goes by between two decisions. Decisions near even have no branch at all.
 */
import { CLASS, drop, exponentBits, MANTISSA, mantissaBits, OFFSET, SIGN, width } from './interval-contexts';
import { learnEven, learnOne, learnZero } from './interval-learning';
import { BUCKETS, FINE, FLAGS, FLIP, GRANULES } from './interval-plan';
import { decodeEdge } from './interval-values';
import {
  code as savedCode, codeRaw, CONTEXT_BYTES, Decode, nextWord, portion,
  range as savedRange, raw, setRegisters,
} from './range-coder';

/** Decodes `count` elements of `width` bytes to `values`, which hold their prediction, by the plan of planStretch. */
// @ts-ignore: decorator
@inline
function decodeElements(
  plan: usize, values: usize, count: i32, width: i32, exponentBits: i32, mantissa: i32, bias: i32, drop: i32,
): void {
  const signBit: u32 = 1 << (exponentBits + mantissa);
  const magnitudeMask = signBit - 1;
  // The element that is planned at `plan` lies at this and `plan`, or half of it.
  const distanceOfValues = values - (width == 2 ? plan >> 1 : plan);
  const end = plan + (<usize>count << 2);
  let code = savedCode;
  let range = savedRange;
  for (; plan < end; plan += 4) {
    const flags = load<u32>(plan);
    let at: usize = flags & ~FLAGS;
    let a = load<u32>(at);
    let b = load<u32>(at, 4);
    let bound = portion(range, a & 0xffff, b);
    let distance = 0;
    if (code < bound) {
      range = bound;
      learnZero(at, a, b);
      if (range >> 32 == 0) {
        range <<= 16;
        code = (code << 16) | nextWord();
      }
      if (!(flags & FINE)) continue;
    } else {
      code -= bound;
      range -= bound;
      learnOne(at, a, b);
      if (range >> 32 == 0) {
        range <<= 16;
        code = (code << 16) | nextWord();
      }

      at += SIGN * CONTEXT_BYTES;
      a = load<u32>(at);
      b = load<u32>(at, 4);
      bound = portion(range, a & 0xffff, b);
      let bit = u32(code >= bound);
      code = select<u64>(code - bound, code, bit);
      range = select<u64>(range - bound, bound, bit);
      learnEven(at, a, b, bit);
      if (range >> 32 == 0) {
        range <<= 16;
        code = (code << 16) | nextWord();
      }
      // All ones where the distance from the bucket or rank is negative.
      const negative = -<i32>(bit ^ (flags & FLIP));

      at = (flags & ~63) + CLASS * CONTEXT_BYTES;
      let order = 0;
      while (order < 31) {
        a = load<u32>(at);
        b = load<u32>(at, 4);
        bound = portion(range, a & 0xffff, b);
        if (code < bound) {
          range = bound;
          learnZero(at, a, b);
          if (range >> 32 == 0) {
            range <<= 16;
            code = (code << 16) | nextWord();
          }
          break;
        }
        code -= bound;
        range -= bound;
        learnOne(at, a, b);
        if (range >> 32 == 0) {
          range <<= 16;
          code = (code << 16) | nextWord();
        }
        at += CONTEXT_BYTES;
        order++;
      }
      let magnitude: u32 = 1;
      if (order > 0) {
        const mantissas = (flags & ~63) + (MANTISSA + <usize>min(order, 7) * 4) * CONTEXT_BYTES;
        at = mantissas;
        // One bit, or two.
        while (true) {
          a = load<u32>(at);
          b = load<u32>(at, 4);
          bound = portion(range, a & 0xffff, b);
          bit = u32(code >= bound);
          code = select<u64>(code - bound, code, bit);
          range = select<u64>(range - bound, bound, bit);
          learnEven(at, a, b, bit);
          if (range >> 32 == 0) {
            range <<= 16;
            code = (code << 16) | nextWord();
          }
          magnitude = magnitude * 2 + bit;
          if (order == 1 || magnitude > 3) break;
          at = mantissas + <usize>(magnitude - 1) * CONTEXT_BYTES;
        }
        if (order > 2) {
          codeRaw<Decode>(0, order - 2);
          magnitude = (magnitude << (order - 2)) | raw;
        }
      }
      distance = (<i32>magnitude ^ negative) - negative;
      if (!(flags & FINE)) {
        const value = distanceOfValues + (width == 2 ? plan >> 1 : plan);
        const pattern: u32 = width == 2 ? load<u16>(value) : load<u32>(value) >> drop;
        const rank = (pattern & signBit ? ~<i32>(pattern & magnitudeMask) : <i32>pattern) + distance;
        const result = rank < 0 ? signBit | (<u32>~rank & magnitudeMask) : <u32>rank & magnitudeMask;
        if (width == 2) store<u16>(value, <u16>result);
        else store<u32>(value, result << drop);
        continue;
      }
    }

    const value = distanceOfValues + (width == 2 ? plan >> 1 : plan);
    let result: u32;
    if (distance == i32.MIN_VALUE) {
      codeRaw<Decode>(0, 1 + exponentBits + mantissa);
      result = raw;
    } else {
      const bucket = load<i32>(plan, BUCKETS) + distance;
      const side = i32(distance > 0) ^ i32(bucket < 0);
      const index: u32 = bucket < 0 ? ~bucket : bucket;
      const granule = load<i32>(plan, GRANULES);
      if (index == 0) {
        setRegisters(code, range);
        result = decodeEdge(bucket, granule);
        code = savedCode;
        range = savedRange;
      } else {
        const top = 31 - <i32>clz<u32>(index);
        const field = top + granule + bias;
        let free: i32;
        if (field >= 1) {
          free = mantissa - top;
          result = (<u32>field << mantissa) | ((free >= 0 ? index << free : index >> -free) & ((1 << mantissa) - 1));
        } else {
          free = granule - 1 + bias + mantissa;
          result = index << free;
        }
        if (free > 0) {
          at = (flags & ~63) + (OFFSET + side) * CONTEXT_BYTES;
          a = load<u32>(at);
          b = load<u32>(at, 4);
          bound = portion(range, a & 0xffff, b);
          const bit = u32(code >= bound);
          code = select<u64>(code - bound, code, bit);
          range = select<u64>(range - bound, bound, bit);
          learnEven(at, a, b, bit);
          if (range >> 32 == 0) {
            range <<= 16;
            code = (code << 16) | nextWord();
          }
          codeRaw<Decode>(0, free - 1);
          result += (bit << (free - 1)) + raw;
        }
        result = (result & magnitudeMask) | (bucket < 0 ? signBit : 0);
      }
    }
    if (width == 2) store<u16>(value, <u16>result);
    else store<u32>(value, result << drop);
  }
  setRegisters(code, range);
}

/** Decodes `count` elements to `values`, which hold their prediction, by the plan of planStretch. */
export function decodeStretch(plan: usize, values: usize, count: i32): void {
  if (width == 4) decodeF32(plan, values, count);
  else if (exponentBits == 8) decodeBF16(plan, values, count);
  else decodeF16(plan, values, count);
}

// A function each, as a larger one has too few registers; exported, as they would be drawn into their caller else.

export function decodeBF16(plan: usize, values: usize, count: i32): void {
  decodeElements(plan, values, count, 2, 8, 7, 127, 0);
}

export function decodeF16(plan: usize, values: usize, count: i32): void {
  decodeElements(plan, values, count, 2, 5, 10, 15, 0);
}

export function decodeF32(plan: usize, values: usize, count: i32): void {
  decodeElements(plan, values, count, 4, 8, mantissaBits, 127, drop);
}

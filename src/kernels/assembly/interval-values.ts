/**
 * The model of one value in codec "interval" (docs/spec/interval.md): a rank distance where values are
 * coarse against the spread, a bucket and the place in it where they are fine.
 */
import {
  bias, BUCKET_LIMIT, bucketOf, CLASS, contexts, EXPONENT, exponentBits, fromRank, loadElement, LOW_WORD, magnitudeMask,
  MANTISSA, mantissaBits, NONZERO, OFFSET, RATIO_CONTEXTS, ratioOf, SIGN, signBit, toRank, ulpOf, unit, WIDE, wideBias,
  wideMantissaBits, width,
} from './interval-contexts';
import { learnEven, learnOne, learnZero } from './interval-learning';
import { BUCKETS, FINE, FLAGS, FLIP, GRANULES } from './interval-plan';
import { codeRaw, CONTEXT_BYTES, Decode, decide, decideEven, Encode, portion, range, raw } from './range-coder';

/** Pattern of the last float that was coded, or difference of the last integer. */
export let decoded: u32 = 0;

/** Whether the last low word differed from its prediction. */
export let lowFlag: i32 = 0;

export function setLowFlag(flag: i32): void {
  lowFlag = flag;
}

let bit: i32 = 0;
let symbol: i32 = 0;

// @ts-ignore: decorator
@inline
function at(context: usize): usize {
  return contexts + context * CONTEXT_BYTES;
}

// @ts-ignore: decorator
@inline
export function code<D>(context: usize, value: i32): i32 {
  return codeAt<D>(at(context), value);
}

// The same, given the context's address.
// @ts-ignore: decorator
@inline
function codeAt<D>(address: usize, value: i32): i32 {
  const a = load<u32>(address);
  const b = load<u32>(address, 4);
  const bit = decide<D>(portion(range, a & 0xffff, b), value);
  if (bit) learnOne(address, a, b);
  else learnZero(address, a, b);
  return i32(bit);
}

// The same for a bit that is near even.
// @ts-ignore: decorator
@inline
function codeEvenAt<D>(address: usize, value: i32): i32 {
  const a = load<u32>(address);
  const b = load<u32>(address, 4);
  const bit = decideEven<D>(portion(range, a & 0xffff, b), value);
  learnEven(address, a, b, u32(bit));
  return i32(bit);
}

/**
 * A nonzero integer: sign, class by ones, two bits of the mantissa under contexts, the rest raw. zero: address of the
 * context of its zero flag. Result in `symbol`.
 */
// @ts-ignore: decorator
@inline
function codeSigned<D>(zero: usize, value: i32): void {
  bit = codeEvenAt<D>(zero + SIGN * CONTEXT_BYTES, i32(value < 0));
  const negative = bit;
  const magnitude: u32 = value < 0 ? -value : value;
  const target = isSigned<D>() ? 0 : 31 - clz<u32>(magnitude);
  codeMagnitude<D>(zero & ~63, magnitude, target, negative);
}

// ratio: address of the contexts of its ratio. Class 31 is the escape where values are coded in buckets: then `symbol`
// stays ±2^31.
// @ts-ignore: decorator
@inline
function codeMagnitude<D>(ratio: usize, magnitude: u32, target: i32, negative: i32): void {
  let order = 0;
  while (order < 31) {
    bit = codeAt<D>(ratio + (CLASS + order) * CONTEXT_BYTES, i32(order < target));
    if (bit == 0) break;
    order++;
  }
  let value: u32 = 1;
  if (order > 0) {
    const base = ratio + (MANTISSA + <usize>min(order, 7) * 4) * CONTEXT_BYTES;
    bit = codeEvenAt<D>(base, <i32>(magnitude >> (order - 1)) & 1);
    value = 2 + bit;
    if (order > 1) {
      bit = codeEvenAt<D>(base + (value - 1) * CONTEXT_BYTES, <i32>(magnitude >> (order - 2)) & 1);
      value = value * 2 + bit;
      if (order > 2) {
        const rest = order - 2;
        codeRaw<D>(magnitude & ((1 << rest) - 1), rest);
        value = (value << rest) | raw;
      }
    }
  }
  symbol = negative ? -<i32>value : <i32>value;
}

/** The place of a value in bucket `bucket` of 2^granule; the pattern is then in `decoded`. */
function codeWithin<D>(ratio: usize, side: i32, bucket: i32, granule: i32, pattern: u32): void {
  const index: u32 = bucket < 0 ? ~bucket : bucket;
  const magnitude = pattern & magnitudeMask;
  let result: u32 = 0;
  if (index != 0) {
    const top = 31 - <i32>clz<u32>(index);
    const field = top + granule + bias;
    let free: i32;
    let first: u32;
    if (field >= 1) {
      free = mantissaBits - top;
      const fraction = free >= 0 ? index << free : index >> -free;
      first = (<u32>field << mantissaBits) | (fraction & ((1 << mantissaBits) - 1));
    } else {
      free = granule - 1 + bias + mantissaBits;
      first = index << free;
    }
    result = first;
    if (free > 0) {
      const offset = magnitude - first;
      bit = codeEvenAt<D>(ratio + (OFFSET + side) * CONTEXT_BYTES, <i32>(offset >> (free - 1)) & 1);
      result += <u32>bit << (free - 1);
      codeRaw<D>(offset & ((1 << (free - 1)) - 1), free - 1);
      result += raw;
    }
  } else {
    bit = code<D>(NONZERO + usize(bucket < 0), i32(magnitude != 0));
    if (bit) {
      const top = granule + bias;
      if (top <= 1) {
        codeRaw<D>(magnitude, top - 1 + mantissaBits);
        result = raw;
      } else {
        const limit = min(12, top - 1);
        const target = top - 1 - <i32>(magnitude >> mantissaBits);
        let below = 0;
        while (below < limit) {
          bit = code<D>(EXPONENT + below, i32(below < target));
          if (bit == 0) break;
          below++;
        }
        let field: u32 = top - 1 - below;
        if (below == 12) {
          codeRaw<D>(magnitude >> mantissaBits, exponentBits);
          field = raw;
        }
        codeRaw<D>(magnitude & ((1 << mantissaBits) - 1), mantissaBits);
        result = (field << mantissaBits) | raw;
      }
    }
  }
  decoded = (result & magnitudeMask) | (bucket < 0 ? signBit : 0);
}

/**
 * One float. predicted: its pattern; wide, narrowed: patterns of the prediction and of `predicted` in the
 * wide format; differs: the value is known not to be `predicted`. The pattern is then in `decoded`.
 */
// @ts-ignore: decorator
@inline
export function codeFloat<D>(
  spread: i32, predicted: u32, wide: u32, narrowed: u32, value: u32, differs: bool,
): void {
  const ulp = ulpOf(predicted);
  const octave = spread >> 3;
  const ratio = at(<usize>ratioOf(spread, ulp) * RATIO_CONTEXTS);
  if (ulp >= octave) {
    let excess = <i32>(wide - narrowed);
    if (wide >> 31) excess = -excess;
    const flip = excess < 0;
    if (flip) excess = -excess;
    const fraction: usize =
      excess == 0 ? 0 : (<u32>excess >> max(0, wideMantissaBits - mantissaBits - 2)) == 0 ? 1 : 2;
    codeCoarse<D>(ratio + fraction * CONTEXT_BYTES, flip, predicted, value, differs);
    return;
  }
  const granule = octave + unit;
  let start = <i32>bucketOf(wide & 0x7fffffff, wideMantissaBits, wideBias, granule - 2);
  let quarter = start & 3;
  start >>= 2;
  if (wide >> 31) {
    start = ~start;
    quarter = 3 - quarter;
  }
  const fraction: usize = quarter == 0 || quarter == 3 ? 4 : 3;
  codeFine<D>(ratio + fraction * CONTEXT_BYTES, quarter < 2, start, granule, value);
}

/** A float as the distance from the rank of `predicted`. zero: address of the context; flip: distances are negated. */
// @ts-ignore: decorator
@inline
function codeCoarse<D>(zero: usize, flip: bool, predicted: u32, value: u32, differs: bool): void {
  const rank = toRank(predicted);
  let distance = 0;
  if (!isSigned<D>()) {
    distance = toRank(value) - rank;
    if (flip) distance = -distance;
  }
  if (!differs) {
    bit = codeAt<D>(zero, i32(distance != 0));
    if (bit == 0) {
      decoded = predicted;
      return;
    }
  }
  codeSigned<D>(zero, distance);
  decoded = fromRank(rank + (flip ? -symbol : symbol));
}

/** A float as the distance from bucket `start` of 2^granule. */
// @ts-ignore: decorator
@inline
function codeFine<D>(zero: usize, flip: bool, start: i32, granule: i32, value: u32): void {
  let distance = 0;
  if (!isSigned<D>()) {
    const index = bucketOf(value & magnitudeMask, mantissaBits, bias, granule);
    distance = (value & signBit ? <i32>~index : <i32>index) - start;
    if (index == BUCKET_LIMIT) distance = i32.MIN_VALUE;
    if (flip) distance = -distance;
  }
  bit = codeAt<D>(zero, i32(distance != 0));
  let bucket = start;
  let side = 0;
  if (bit) {
    codeSigned<D>(zero, distance);
    if (symbol == i32.MIN_VALUE) {
      codeRaw<D>(value, 1 + exponentBits + mantissaBits);
      decoded = raw;
      return;
    }
    const signed = flip ? -symbol : symbol;
    bucket += signed;
    side = i32((signed > 0) != (bucket < 0));
  } else {
    side = i32(bucket < 0);
  }
  codeWithin<D>(zero & ~63, side, bucket, granule, value);
}

/** Encodes `count` elements by the plan of planStretch. */
export function encodeStretch(plan: usize, values: usize, predicted: usize, count: i32): void {
  const end = plan + (<usize>count << 2);
  for (; plan < end; plan += 4) {
    const flags = load<u32>(plan);
    const zero: usize = flags & ~FLAGS;
    const flip = (flags & FLIP) != 0;
    const value = loadElement(values);
    if (flags & FINE) codeFine<Encode>(zero, flip, load<i32>(plan, BUCKETS), load<i32>(plan, GRANULES), value);
    else codeCoarse<Encode>(zero, flip, loadElement(predicted), value, false);
    values += width;
    predicted += width;
  }
}

/** Decodes the pattern of a value in one of the two buckets at 0. */
export function decodeEdge(bucket: i32, granule: i32): u32 {
  codeWithin<Decode>(0, 0, bucket, granule, 0);
  return decoded;
}

/** One integer, as the wrapping difference to its prediction: in steps of 2^granule, and the rest. It is then in `decoded`. */
// @ts-ignore: decorator
@inline
export function codeInteger<D>(spread: i32, difference: i32, differs: bool): void {
  const octave = spread >> 3;
  const granule = max(0, min(31, octave + unit));
  const zero = at(<usize>ratioOf(spread, -unit) * RATIO_CONTEXTS);
  const half = granule > 0 ? 1 << (granule - 1) : 0;
  const distance = (difference + half) >> granule;
  if (!(differs && granule == 0)) {
    bit = codeAt<D>(zero, i32(distance != 0));
    symbol = 0;
    if (bit) codeSigned<D>(zero, distance);
  } else {
    codeSigned<D>(zero, distance);
  }
  decoded = symbol << granule;
  if (granule > 0) {
    codeRaw<D>((difference + half) & ((1 << granule) - 1), granule);
    decoded = (decoded | raw) - half;
  }
}

/** An integer of 64 bits: 32 bits of difference where they suffice. */
export function codeWideInteger<D>(spread: i32, predicted: u64, pointer: usize, differs: bool): void {
  const difference: i64 = isSigned<D>() ? 0 : <i64>(load<u64>(pointer) - predicted);
  bit = code<D>(WIDE, i32(<i64><i32>difference != difference));
  if (bit) {
    codeRaw<D>(<u32>difference, 32);
    const low = raw;
    codeRaw<D>(<u32>(difference >> 32), 32);
    if (isSigned<D>()) store<u64>(pointer, predicted + ((<u64>raw << 32) | <u64>low));
    return;
  }
  codeInteger<D>(spread, <i32>difference, differs);
  if (isSigned<D>()) store<u64>(pointer, predicted + <u64><i64><i32>decoded);
}

/** The lower half of a float64: the prediction's, one of a float32, or any. */
export function codeLowWord<D>(predicted: u32, pointer: usize, same: bool): void {
  const value: u32 = isSigned<D>() ? 0 : load<u32>(pointer);
  const context = LOW_WORD + <usize>(lowFlag * 2 + i32(same)) * 2;
  bit = code<D>(context, i32(value != predicted));
  lowFlag = bit;
  let word = predicted;
  if (bit) {
    bit = code<D>(context + 1, i32((value & 0x1fffffff) != 0));
    if (bit) {
      codeRaw<D>(value, 32);
      word = raw;
    } else {
      codeRaw<D>(value >> 29, 3);
      word = raw << 29;
    }
  }
  if (isSigned<D>()) store<u32>(pointer, word);
}

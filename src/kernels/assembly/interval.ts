/** Codec "interval" (docs/spec/codecs.md §6): values given a prediction, in contexts of their expected spread. */
import {
  beginDecoding, beginEncoding, codeBit, codeEvenBit, codeRaw, CONTEXT_BYTES, Decode, Encode, finishEncoding,
  loadDecoder, loadEncoder, raw, saveDecoder, saveEncoder,
} from './range-coder';

export { beginDecoding, beginEncoding, finishEncoding };

const FAST: u32 = 7;
const SLOW: u32 = 10;

/** Contexts of the ratio of spread to granule, in eighths of an octave; 32 is 1. */
const RATIOS: i32 = 40;

// Context numbers.
const ZERO: usize = 0;
const SIGN: usize = ZERO + RATIOS * 8;
const CLASS: usize = SIGN + RATIOS * 8;
const MANTISSA: usize = CLASS + RATIOS * 32;
const OFFSET: usize = MANTISSA + RATIOS * 32;
const SAME: usize = OFFSET + RATIOS * 2;
const BLOCK: usize = SAME + RATIOS * 8;
const STRIP: usize = BLOCK + RATIOS * 2;
const ROW: usize = STRIP + 4;
const NONZERO: usize = ROW + 2;
const EXPONENT: usize = NONZERO + 2;
const SCALE: usize = EXPONENT + 16;
const LOW_WORD: usize = SCALE + 24;
const WIDE: usize = LOW_WORD + 8;
const CONTEXTS: usize = WIDE + 2;

// The job block: parameters, then state, then contexts, strips and column means.
const CONTEXT_OFFSET: usize = 128;
const STRIP_OFFSET: usize = CONTEXT_OFFSET + CONTEXTS * 8;
const COLUMN_OFFSET: usize = STRIP_OFFSET + 256;

export function intervalStateBytes(columns: usize): usize {
  return COLUMN_OFFSET + columns * 4;
}

let bit: i32 = 0;
let contexts: usize = 0;
let isFloat: bool = false;
let width: i32 = 0;
let drop: i32 = 0;
let mantissaBits: i32 = 0;
let bias: i32 = 0;
let exponentBits: i32 = 0;
let wideMantissaBits: i32 = 0;
let wideBias: i32 = 0;
let unit: i32 = 0;
let skip: i32 = 0;
let hasMeans: bool = true;
let signBit: u32 = 0;
let magnitudeMask: u32 = 0;
let subnormalUnit: f64 = 0;
let lowFlag: i32 = 0;

/** Exponent and three bits of the mantissa: 8 · log2 x, roughly. x ≥ 1. */
// @ts-ignore: decorator
@inline
function eighths(x: f64): i32 {
  return <i32>(reinterpret<u64>(x) >> 49) - 8 * 1023;
}

// @ts-ignore: decorator
@inline
function at(context: usize): usize {
  return contexts + context * CONTEXT_BYTES;
}

// @ts-ignore: decorator
@inline
function code<D>(context: usize, value: i32): i32 {
  return i32(codeBit<D>(at(context), value, FAST, SLOW));
}

/** 2^(1 − bias − mantissa), which for float64 is a subnormal number itself. */
function smallestOf(bias: i32, mantissa: i32): f64 {
  const exponent = 1 - bias - mantissa;
  return exponent < -1022 ? powerOfTwo(exponent + 100) * powerOfTwo(-100) : powerOfTwo(exponent);
}

// @ts-ignore: decorator
@inline
function codeEven<D>(context: usize, value: i32): i32 {
  return i32(codeEvenBit<D>(at(context), value, FAST, SLOW));
}

function powerOfTwo(exponent: i32): f64 {
  return reinterpret<f64>(<u64>(exponent + 1023) << 52);
}

// @ts-ignore: decorator
@inline
function loadElement(pointer: usize): u32 {
  if (width == 2) return load<u16>(pointer);
  if (width == 4) return load<u32>(pointer) >> drop;
  if (width == 8) return load<u32>(pointer, 4);
  return load<u8>(pointer);
}

// @ts-ignore: decorator
@inline
function storeElement(pointer: usize, value: u32): void {
  if (width == 2) store<u16>(pointer, <u16>value);
  else if (width == 4) store<u32>(pointer, value << drop);
  else if (width == 8) store<u32>(pointer, value, 4);
  else store<u8>(pointer, <u8>value);
}

/** Order-preserving integer of a sign-magnitude pattern, and back. */
// @ts-ignore: decorator
@inline
function toRank(pattern: u32): i32 {
  return pattern & signBit ? ~<i32>(pattern & magnitudeMask) : <i32>pattern;
}

// @ts-ignore: decorator
@inline
function fromRank(rank: i32): u32 {
  return rank < 0 ? signBit | (<u32>~rank & magnitudeMask) : <u32>rank & magnitudeMask;
}

/** Value of a pattern, for the statistics alone. */
// @ts-ignore: decorator
@inline
function toValue(pattern: u32): f64 {
  const magnitude = pattern & magnitudeMask;
  const field = magnitude >> mantissaBits;
  const positive = field == 0
    ? <f64>magnitude * subnormalUnit
    : reinterpret<f64>(<u64>magnitude + (<u64>(1023 - bias) << mantissaBits) << (52 - mantissaBits));
  return pattern & signBit ? -positive : positive;
}

const BUCKET_LIMIT: u32 = 1 << 30;

/** floor(|x| / 2^granule) of a magnitude pattern, BUCKET_LIMIT when over it. */
// @ts-ignore: decorator
@inline
function bucketOf(magnitude: u32, mantissa: i32, bias: i32, granule: i32): u32 {
  const field = <i32>(magnitude >> mantissa);
  const significand = field == 0 ? magnitude : (magnitude & ((1 << mantissa) - 1)) | (1 << mantissa);
  const shift = granule - (max(field, 1) - bias - mantissa);
  if (shift >= 0) return shift > 31 ? 0 : significand >> shift;
  return -shift > 29 - mantissa ? BUCKET_LIMIT : significand << -shift;
}

let symbol: i32 = 0;

/** A nonzero integer: sign, class by ones, two bits of the mantissa under contexts, the rest raw. Result in `symbol`. */
// @ts-ignore: decorator
@inline
function codeSigned<D>(ratio: usize, fraction: usize, value: i32): void {
  bit = codeEven<D>(SIGN + ratio * 8 + fraction, i32(value < 0));
  const negative = bit;
  const magnitude: u32 = value < 0 ? -value : value;
  const target = isSigned<D>() ? 0 : 31 - clz<u32>(magnitude);
  codeMagnitude<D>(ratio, magnitude, target, negative);
}

// Class 31 is the escape where values are coded in buckets: then `symbol` stays ±2^31.
// @ts-ignore: decorator
@inline
function codeMagnitude<D>(ratio: usize, magnitude: u32, target: i32, negative: i32): void {
  let order = 0;
  while (order < 31) {
    bit = code<D>(CLASS + ratio * 32 + order, i32(order < target));
    if (bit == 0) break;
    order++;
  }
  let value: u32 = 1;
  if (order > 0) {
    const base = MANTISSA + ratio * 32 + <usize>min(order, 7) * 4;
    bit = codeEven<D>(base, <i32>(magnitude >> (order - 1)) & 1);
    value = 2 + bit;
    if (order > 1) {
      bit = codeEven<D>(base + value - 1, <i32>(magnitude >> (order - 2)) & 1);
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

/** The place of a value in bucket `bucket` of 2^granule; the pattern is then in `raw`. */
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
      bit = codeEven<D>(OFFSET + ratio * 2 + side, <i32>(offset >> (free - 1)) & 1);
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
  raw = (result & magnitudeMask) | (bucket < 0 ? signBit : 0);
}

/** Contexts of the position in a block of 16, where nothing differed so far; 0 where something did. */
// @ts-ignore: decorator
@inline
function positionContext(seen: bool, position: i32): usize {
  return seen ? 0 : position < 6 ? 1 : position < 10 ? 2 : position < 13 ? 3 : position < 14 ? 4 : 5;
}

// @ts-ignore: decorator
@inline
function ratioOf(spread: i32, ulp: i32): i32 {
  return max(0, min(RATIOS - 1, spread - 8 * max(ulp, (spread >> 3)) + 32));
}

/** ulp exponent of a pattern, relative to the unit. */
// @ts-ignore: decorator
@inline
function ulpOf(pattern: u32): i32 {
  return max(<i32>((pattern & magnitudeMask) >> mantissaBits), 1) - bias - mantissaBits - unit;
}

/**
 * One float. predicted: its pattern; wide, narrowed: patterns of the prediction and of `predicted` in the
 * wide format; differs: the value is known not to be `predicted`. The pattern is then in `raw`.
 */
// @ts-ignore: decorator
@inline
function codeFloat<D>(
  spread: i32, predicted: u32, wide: u32, narrowed: u32, value: u32, differs: bool,
): void {
  const ulp = ulpOf(predicted);
  const octave = spread >> 3;
  const ratio = <usize>ratioOf(spread, ulp);
  let fraction: usize;
  let flip: bool;
  if (ulp >= octave) {
    const rank = toRank(predicted);
    let excess = <i32>(wide - narrowed);
    if (wide >> 31) excess = -excess;
    flip = excess < 0;
    if (flip) excess = -excess;
    fraction = excess == 0 ? 0 : (<u32>excess >> (wideMantissaBits - mantissaBits - 2)) == 0 ? 1 : 2;
    let distance = 0;
    if (!isSigned<D>()) {
      distance = toRank(value) - rank;
      if (flip) distance = -distance;
    }
    if (!differs) {
      bit = code<D>(ZERO + ratio * 8 + fraction, i32(distance != 0));
      if (bit == 0) {
        raw = predicted;
        return;
      }
    }
    codeSigned<D>(ratio, fraction, distance);
    raw = fromRank(rank + (flip ? -symbol : symbol));
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
  flip = quarter < 2;
  fraction = quarter == 0 || quarter == 3 ? 4 : 3;
  let distance = 0;
  if (!isSigned<D>()) {
    const index = bucketOf(value & magnitudeMask, mantissaBits, bias, granule);
    distance = (value & signBit ? <i32>~index : <i32>index) - start;
    if (index == BUCKET_LIMIT) distance = i32.MIN_VALUE;
    if (flip) distance = -distance;
  }
  bit = code<D>(ZERO + ratio * 8 + fraction, i32(distance != 0));
  let bucket = start;
  let side = 0;
  if (bit) {
    codeSigned<D>(ratio, fraction, distance);
    if (symbol == i32.MIN_VALUE) {
      codeRaw<D>(value, 1 + exponentBits + mantissaBits);
      return;
    }
    const signed = flip ? -symbol : symbol;
    bucket += signed;
    side = i32((signed > 0) != (bucket < 0));
  } else {
    side = i32(bucket < 0);
  }
  codeWithin<D>(ratio, side, bucket, granule, value);
}

/** One integer, as the wrapping difference to its prediction. The value is then in `raw`, and its distance in `distanceOf`. */
// @ts-ignore: decorator
@inline
function codeInteger<D>(spread: i32, difference: i32, differs: bool): void {
  const octave = spread >> 3;
  const granule = max(0, min(31, octave + unit));
  const ratio = <usize>ratioOf(spread, -unit);
  const half = granule > 0 ? 1 << (granule - 1) : 0;
  const distance = (difference + half) >> granule;
  if (!(differs && granule == 0)) {
    bit = code<D>(ZERO + ratio * 8, i32(distance != 0));
    symbol = 0;
    if (bit) codeSigned<D>(ratio, 0, distance);
  } else {
    codeSigned<D>(ratio, 0, distance);
  }
  let decoded = symbol << granule;
  if (granule > 0) {
    codeRaw<D>((difference + half) & ((1 << granule) - 1), granule);
    decoded = (decoded | <i32>raw) - half;
  }
  symbol = decoded;
}

/** An integer of 64 bits: 32 bits of difference where they suffice. */
function codeWideInteger<D>(spread: i32, predicted: u64, pointer: usize, differs: bool): void {
  const difference: i64 = isSigned<D>() ? 0 : <i64>(load<u64>(pointer) - predicted);
  bit = code<D>(WIDE, i32(<i64><i32>difference != difference));
  if (bit) {
    codeRaw<D>(<u32>difference, 32);
    const low = raw;
    codeRaw<D>(<u32>(difference >> 32), 32);
    if (isSigned<D>()) store<u64>(pointer, predicted + ((<u64>raw << 32) | <u64>low));
    symbol = i32.MAX_VALUE;
    return;
  }
  codeInteger<D>(spread, <i32>difference, differs);
  if (isSigned<D>()) store<u64>(pointer, predicted + <u64><i64>symbol);
}

/** The lower half of a float64: the prediction's, one of a float32, or any. */
function codeLowWord<D>(predicted: u32, pointer: usize, same: bool): void {
  const value: u32 = isSigned<D>() ? 0 : load<u32>(pointer);
  const context = LOW_WORD + <usize>(lowFlag * 2 + i32(same)) * 2;
  bit = code<D>(context, i32(value != predicted));
  lowFlag = bit;
  raw = predicted;
  if (bit) {
    bit = code<D>(context + 1, i32((value & 0x1fffffff) != 0));
    if (bit) {
      codeRaw<D>(value, 32);
    } else {
      codeRaw<D>(value >> 29, 3);
      raw <<= 29;
    }
  }
  if (isSigned<D>()) store<u32>(pointer, raw);
}

// @ts-ignore: decorator
@inline
function sameBytes(x: usize, y: usize, bytes: usize): bool {
  const end = x + bytes;
  while (x + 8 <= end) {
    if (load<u64>(x) != load<u64>(y)) return false;
    x += 8;
    y += 8;
  }
  while (x < end) {
    if (load<u8>(x) != load<u8>(y)) return false;
    x++;
    y++;
  }
  return true;
}

/** The row's scale in quarters of an octave over the unit, as the encoder would like it. */
function wantedScale(job: usize, columns: i32, values: usize, predicted: usize, wide: usize, wideStride: usize): i32 {
  const inverseUnit = powerOfTwo(-unit);
  let sum: f64 = 0;
  for (let j = 0; j < columns; j++) {
    const mean = load<i32>(job + COLUMN_OFFSET + (<usize>j << 2));
    const difference = abs(differenceOf(values, predicted, wide)) * inverseUnit;
    sum += (difference < 4096 ? difference : 4096) * 4096 / <f64>mean;
    values += width;
    predicted += width;
    wide += wideStride;
  }
  const eighth = eighths(sum / <f64>columns + 0.001);
  return max(-24, min(511, (eighth + 1) >> 1));
}

// @ts-ignore: decorator
@inline
function differenceOf(value: usize, predicted: usize, wide: usize): f64 {
  if (!isFloat) {
    if (width == 8) return <f64>(<i64>(load<u64>(value) - load<u64>(predicted)));
    return <f64>wrapped(loadElement(value) - loadElement(predicted));
  }
  const basis: f64 = width == 8
    ? reinterpret<f64>(<u64>load<u32>(wide) << 32)
    : <f64>load<f32>(wide);
  return toValue(loadElement(value)) - basis;
}

// @ts-ignore: decorator
@inline
function wrapped(difference: u32): i32 {
  const shift: i32 = width == 4 ? 0 : 32 - 8 * width;
  return <i32>(difference << shift) >> shift;
}

function codeScale<D>(previous: i32, wanted: i32): void {
  const difference = wanted - previous;
  bit = code<D>(SCALE, i32(difference != 0));
  symbol = previous;
  if (bit == 0) return;
  bit = code<D>(SCALE + 1, i32(difference < 0));
  const negative = bit;
  const target = abs(difference) - 1;
  let steps = 0;
  while (steps < 16) {
    bit = code<D>(SCALE + 2 + steps, i32(steps < target));
    if (bit == 0) break;
    steps++;
  }
  if (steps == 16) {
    codeRaw<D>(target - 16, 10);
    steps += raw;
  }
  symbol = max(-24, min(511, previous + (negative ? -steps - 1 : steps + 1)));
}

/**
 * Codes `rows` × `columns` elements. values: elements, read or written; predicted: elements; wide and
 * narrowed: float32 patterns of the prediction and of `predicted` (float dtypes but F64).
 */
function codeRows<D>(
  job: usize, coder: usize, rows: i32, columns: i32, values: usize, predicted: usize, wide: usize, narrowed: usize,
): void {
  contexts = job + CONTEXT_OFFSET;
  const kind = load<i32>(job);
  isFloat = kind == 0;
  width = load<i32>(job, 4);
  drop = load<i32>(job, 8);
  exponentBits = load<i32>(job, 12);
  mantissaBits = load<i32>(job, 16);
  bias = load<i32>(job, 20);
  unit = load<i32>(job, 24);
  skip = load<i32>(job, 28);
  hasMeans = load<i32>(job, 32) != 0;
  let rowIndex = load<i32>(job, 36);
  let scale = load<i32>(job, 40);
  lowFlag = load<i32>(job, 44);
  let lastRow = load<i32>(job, 48);
  subnormalUnit = smallestOf(bias, mantissaBits);
  wideMantissaBits = width == 8 ? 20 : 23;
  wideBias = width == 8 ? 1023 : 127;
  signBit = <u32>1 << (exponentBits + mantissaBits);
  magnitudeMask = signBit - 1;
  let wideStride: usize = 4;
  if (width == 8) {
    wide = predicted + 4;
    narrowed = wide;
    wideStride = 8;
  }
  const bytes: usize = width;
  const strips = job + STRIP_OFFSET;
  const means = job + COLUMN_OFFSET;
  if (isSigned<D>()) loadDecoder(coder);
  else loadEncoder(coder);

  for (let i = 0; i < rows; i++) {
    const rowBytes = <usize>columns * bytes;
    if (skip > 0) {
      const differs = isSigned<D>() ? 0 : i32(!sameBytes(values, predicted, rowBytes));
      bit = code<D>(ROW + lastRow, differs);
      lastRow = bit;
      if (bit == 0) {
        if (isSigned<D>()) memory.copy(values, predicted, rowBytes);
        values += rowBytes;
        predicted += rowBytes;
        wide += <usize>columns * wideStride;
        narrowed += <usize>columns * wideStride;
        continue;
      }
    }
    let wanted = scale;
    if (!isSigned<D>()) {
      wanted = wantedScale(job, columns, values, predicted, wide, wideStride);
      const change = <f64>(wanted - scale) * 0.1732;
      if (rowIndex > 0 && <f64>columns * (skip == 2 ? 0.035 : 0.7) * change * change <= 5) wanted = scale;
    }
    codeScale<D>(scale, wanted);
    scale = symbol;
    const scaleEighths = scale * 2;
    const rate = rowIndex < 16 ? 4 : rowIndex < 40 ? 5 : rowIndex < 100 ? 6 : rowIndex < 300 ? 7 : 8;
    rowIndex++;
    const gain = powerOfTwo(-unit - (scaleEighths >> 3)) * <f64>inverseOctave(scaleEighths & 7);
    let lastStrip = 1;
    let lastBlock = 1;
    let inBlock = false;
    let seen = false;
    let j = 0;
    while (j < columns) {
      if (skip > 0 && (j & 255) == 0) {
        const count = min(256, columns - j);
        const strip = strips + (j >> 8);
        const differs = isSigned<D>() ? 0 : i32(!sameBytes(values, predicted, <usize>count * bytes));
        bit = code<D>(STRIP + lastStrip * 2 + load<u8>(strip), differs);
        lastStrip = bit;
        store<u8>(strip, <u8>bit);
        if (bit == 0) {
          if (isSigned<D>()) memory.copy(values, predicted, <usize>count * bytes);
          j += count;
          values += <usize>count * bytes;
          predicted += <usize>count * bytes;
          wide += <usize>count * wideStride;
          narrowed += <usize>count * wideStride;
          continue;
        }
      }
      if (skip == 2 && (j & 15) == 0) {
        const count = min(16, columns - j);
        const differs = isSigned<D>() ? 0 : i32(!sameBytes(values, predicted, <usize>count * bytes));
        let least: u32 = magnitudeMask;
        if (isFloat) {
          for (let k: usize = 0; k < <usize>count; k++) least = min(least, loadElement(predicted + k * bytes) & magnitudeMask);
        }
        const ratio = ratioOf(scaleEighths, isFloat ? ulpOf(least) : -unit);
        bit = code<D>(BLOCK + <usize>ratio * 2 + lastBlock, differs);
        lastBlock = bit;
        if (bit == 0) {
          if (isSigned<D>()) memory.copy(values, predicted, <usize>count * bytes);
          j += count;
          values += <usize>count * bytes;
          predicted += <usize>count * bytes;
          wide += <usize>count * wideStride;
          narrowed += <usize>count * wideStride;
          continue;
        }
        inBlock = true;
        seen = false;
      }
      const mean = load<i32>(means + (<usize>j << 2));
      const spread = scaleEighths + eighths(<f64>mean) - 96;
      const expected = loadElement(predicted);
      const value: u32 = isSigned<D>() ? 0 : loadElement(values);
      let same = false;
      if (inBlock) {
        const position = j & 15;
        if (seen || (position != 15 && j != columns - 1)) {
          const ratio = ratioOf(spread, isFloat ? ulpOf(expected) : -unit);
          const differs = isSigned<D>() ? 0 : i32(!sameBytes(values, predicted, bytes));
          bit = code<D>(SAME + positionContext(seen, position) * RATIOS + ratio, differs);
          same = bit == 0;
        }
        seen = seen || !same;
      }
      if (same) {
        if (isSigned<D>()) memory.copy(values, predicted, bytes);
      } else if (isFloat) {
        // A float64 in a block may differ in its lower half alone.
        codeFloat<D>(spread, expected, load<u32>(wide), load<u32>(narrowed), value, inBlock && width != 8);
        const decoded = raw;
        if (isSigned<D>()) storeElement(values, decoded);
        if (width == 8) codeLowWord<D>(load<u32>(predicted), values, decoded == expected);
      } else if (width == 8) {
        codeWideInteger<D>(spread, load<u64>(predicted), values, inBlock);
      } else {
        codeInteger<D>(spread, wrapped(value - expected), inBlock);
        if (isSigned<D>()) storeElement(values, expected + <u32>symbol);
      }
      if (hasMeans) {
        const step = abs(differenceOf(values, predicted, wide)) * gain;
        const next = mean + (((step < 65536 ? <i32>step : 65536) - mean) >> rate);
        store<i32>(means + (<usize>j << 2), max(next, 128));
      }
      j++;
      values += bytes;
      predicted += bytes;
      wide += wideStride;
      narrowed += wideStride;
    }
  }
  store<i32>(job, rowIndex, 36);
  store<i32>(job, scale, 40);
  store<i32>(job, lowFlag, 44);
  store<i32>(job, lastRow, 48);
  if (isSigned<D>()) saveDecoder(coder);
  else saveEncoder(coder);
}

/** 4096 · 2^(−k/8). */
function inverseOctave(k: i32): i32 {
  if (k < 4) return k < 2 ? (k == 0 ? 4096 : 3756) : (k == 2 ? 3444 : 3158);
  return k < 6 ? (k == 4 ? 2896 : 2656) : (k == 6 ? 2435 : 2233);
}

export function encodeInterval(
  job: usize, coder: usize, rows: i32, columns: i32, values: usize, predicted: usize, wide: usize, narrowed: usize,
): void {
  codeRows<Encode>(job, coder, rows, columns, values, predicted, wide, narrowed);
}

export function decodeInterval(
  job: usize, coder: usize, rows: i32, columns: i32, values: usize, predicted: usize, wide: usize, narrowed: usize,
): void {
  codeRows<Decode>(job, coder, rows, columns, values, predicted, wide, narrowed);
}

/** Rounds `count` float32 patterns at `drop` bits, to nearest even, modulo 2^32. */
export function dropBits(patterns: usize, count: i32, drop: i32): void {
  const half: u32 = (1 << (drop - 1)) - 1;
  const end = patterns + (<usize>count << 2);
  for (; patterns < end; patterns += 4) {
    const pattern = load<u32>(patterns);
    store<u32>(patterns, (pattern + half + ((pattern >> drop) & 1)) >> drop << drop);
  }
}

/** Fresh contexts and column means. */
export function resetInterval(job: usize, columns: i32): void {
  store<i32>(job, 0, 36);
  store<i32>(job, 0, 40);
  store<i32>(job, 0, 44);
  store<i32>(job, 1, 48);
  for (let i: usize = 0; i < CONTEXTS; i++) store<u64>(job + CONTEXT_OFFSET + i * 8, 0x8000000000008000);
  memory.fill(job + STRIP_OFFSET, 1, 256);
  for (let j: usize = 0; j < <usize>columns; j++) store<i32>(job + COLUMN_OFFSET + (j << 2), 4096);
}

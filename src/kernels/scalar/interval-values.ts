/**
 * The model of one value in codec "interval" (docs/spec/interval.md): the ratio of its expected spread to
 * the spacing of values chooses the contexts; it is coded as a rank distance where values are coarse, and as
 * a bucket and the place in it where they are fine.
 */
import { type ElementLayout, elementLayout, type IntervalModel } from '../interval-model.js';
import { BUCKET_LIMIT, bucketOf, CONTEXT, positionContext, RATIOS, scratch } from './interval-contexts.js';
import type { PredictionForms } from './interval-prediction.js';
import { type BitCoder, Contexts } from './range-coder.js';

const FAST_SHIFT = 7;
const SLOW_SHIFT = 10;

/** Class of the escape; also that of a difference of −2^31. */
const LAST_CLASS = 31;
const ESCAPE = -(2 ** 31);

export class IntervalValues {
  readonly #layout: ElementLayout;
  readonly #drop: number;
  readonly #unit: number;
  readonly #signBit: number;
  readonly #magnitudeMask: number;
  readonly #wideMantissaBits: number;
  readonly #wideBias: number;
  readonly #contexts = new Contexts(CONTEXT.end);
  #lowFlag = 0;
  #coder!: BitCoder;
  #values!: DataView;
  #predicted!: DataView;
  #basis!: PredictionForms;

  constructor(model: IntervalModel) {
    this.#layout = elementLayout(model.dtype, model.drop);
    this.#drop = model.drop;
    this.#unit = model.unit;
    const magnitudeBits = this.#layout.exponentBits + this.#layout.mantissaBits;
    this.#signBit = 2 ** magnitudeBits;
    this.#magnitudeMask = this.#signBit - 1;
    const isF64 = this.#layout.byteLength === 8;
    this.#wideMantissaBits = isF64 ? 20 : 23;
    this.#wideBias = isF64 ? 1023 : 127;
  }

  attach(coder: BitCoder, values: Uint8Array, basis: PredictionForms): void {
    this.#coder = coder;
    this.#values = new DataView(values.buffer, values.byteOffset, values.byteLength);
    const { elements } = basis;
    this.#predicted = new DataView(elements.buffer, elements.byteOffset, elements.byteLength);
    this.#basis = basis;
  }

  code(context: number, value: number): number {
    return this.#coder.bit(this.#contexts, context, value, FAST_SHIFT, SLOW_SHIFT);
  }

  /** Context of a block: of the element with the finest prediction, at the row's scale. */
  blockRatio(scale: number, start: number, end: number): number {
    if (!this.#layout.isFloat) return this.#ratio(scale, -this.#unit);
    let least = this.#magnitudeMask;
    for (let i = start; i < end; i++) {
      least = Math.min(least, this.#magnitude(this.#load(this.#predicted, i)));
    }
    return this.#ratio(scale, this.#ulp(least));
  }

  sameContext(spread: number, i: number, seen: boolean, position: number): number {
    const ulp = this.#layout.isFloat ? this.#ulp(this.#load(this.#predicted, i)) : -this.#unit;
    return positionContext(seen, position) * RATIOS + this.#ratio(spread, ulp);
  }

  /** value − prediction in float64, whatever it is for values that are not finite. */
  difference(i: number): number {
    const { isFloat, byteLength } = this.#layout;
    if (!isFloat) return byteLength === 8 ? Number(this.#wideDifference(i)) : this.#integerDifference(i);
    return this.#value(this.#load(this.#values, i)) - this.#basisValue(i);
  }

  /** Codes element i. differs: it is known not to equal the prediction. */
  codeValue(i: number, spread: number, differs: boolean): void {
    const { isFloat, byteLength } = this.#layout;
    const { decoding } = this.#coder;
    if (isFloat) {
      const value = decoding ? 0 : this.#load(this.#values, i);
      // A float64 may differ in its lower half alone.
      const decoded = this.#codeFloat(i, spread, value, differs && byteLength !== 8);
      if (decoding) this.#store(i, decoded);
      if (byteLength === 8) this.#codeLowWord(i, decoded === this.#load(this.#predicted, i));
    } else if (byteLength === 8) {
      this.#codeWideInteger(i, spread, differs);
    } else {
      const difference = decoding ? 0 : this.#integerDifference(i);
      const decoded = this.#codeInteger(spread, difference, differs);
      if (decoding) this.#store(i, this.#load(this.#predicted, i) + decoded);
    }
  }

  #codeFloat(i: number, spread: number, value: number, differs: boolean): number {
    const predicted = this.#load(this.#predicted, i);
    const ulp = this.#ulp(predicted);
    const octave = spread >> 3;
    const ratio = this.#ratio(spread, ulp);
    const wide = this.#wide(i);
    if (ulp >= octave) return this.#codeCoarse(ratio, predicted, wide, this.#narrowed(i), value, differs);
    return this.#codeFine(ratio, octave + this.#unit, wide, value);
  }

  /** The number of representable values between prediction and value. */
  #codeCoarse(
    ratio: number,
    predicted: number,
    wide: number,
    narrowed: number,
    value: number,
    differs: boolean,
  ): number {
    const rank = this.#rank(predicted);
    let excess = (wide - narrowed) | 0;
    if (wide >>> 31 === 1) excess = -excess | 0;
    const flip = excess < 0;
    if (flip) excess = -excess >>> 0;
    const shift = Math.max(0, this.#wideMantissaBits - this.#layout.mantissaBits - 2);
    const fraction = excess === 0 ? 0 : excess >>> shift === 0 ? 1 : 2;
    let distance = 0;
    if (!this.#coder.decoding) {
      distance = (this.#rank(value) - rank) | 0;
      if (flip) distance = -distance | 0;
    }
    if (!differs && this.code(CONTEXT.zero + ratio * 8 + fraction, distance !== 0 ? 1 : 0) === 0) {
      return predicted;
    }
    const decoded = this.#codeSigned(ratio, fraction, distance);
    return this.#fromRank((rank + (flip ? -decoded : decoded)) | 0);
  }

  /** The bucket of 2^granule that holds the value, counted from the prediction's, and the place in it. */
  #codeFine(ratio: number, granule: number, wide: number, value: number): number {
    const { exponentBits, mantissaBits } = this.#layout;
    let start = bucketOf(wide & 0x7fffffff, this.#wideMantissaBits, this.#wideBias, granule - 2);
    let quarter = start & 3;
    start >>= 2;
    if (wide >>> 31 === 1) {
      start = ~start;
      quarter = 3 - quarter;
    }
    const flip = quarter < 2;
    const fraction = quarter === 0 || quarter === 3 ? 4 : 3;
    let distance = 0;
    if (!this.#coder.decoding) {
      const index = bucketOf(this.#magnitude(value), mantissaBits, this.#layout.bias, granule);
      distance = (this.#isNegative(value) ? ~index : index) - start;
      if (flip) distance = -distance;
      if (index === BUCKET_LIMIT) distance = ESCAPE;
    }
    let bucket = start;
    let side = bucket < 0;
    if (this.code(CONTEXT.zero + ratio * 8 + fraction, distance !== 0 ? 1 : 0) === 1) {
      const decoded = this.#codeSigned(ratio, fraction, distance);
      if (decoded === ESCAPE) return this.#coder.raw(value, 1 + exponentBits + mantissaBits);
      const signed = flip ? -decoded : decoded;
      bucket = (bucket + signed) | 0;
      side = signed > 0 !== bucket < 0;
    }
    return this.#codeWithin(ratio, side ? 1 : 0, bucket, granule, value);
  }

  #codeWithin(ratio: number, side: number, bucket: number, granule: number, value: number): number {
    const { bias, mantissaBits } = this.#layout;
    const index = (bucket < 0 ? ~bucket : bucket) >>> 0;
    const magnitude = this.#magnitude(value);
    let result = 0;
    if (index !== 0) {
      const top = 31 - Math.clz32(index);
      const field = top + granule + bias;
      let free = granule - 1 + bias + mantissaBits;
      if (field >= 1) {
        free = mantissaBits - top;
        const fraction = free >= 0 ? index << free : index >>> -free;
        result = ((field << mantissaBits) | (fraction & (2 ** mantissaBits - 1))) >>> 0;
      } else {
        result = (index << free) >>> 0;
      }
      if (free > 0) {
        const offset = (magnitude - result) >>> 0;
        const half = this.code(CONTEXT.offset + ratio * 2 + side, (offset >>> (free - 1)) & 1);
        result += half * 2 ** (free - 1) + this.#coder.raw(offset, free - 1);
      }
    } else if (this.code(CONTEXT.nonzero + (bucket < 0 ? 1 : 0), magnitude !== 0 ? 1 : 0) === 1) {
      result = this.#codeBelow(granule + bias, magnitude);
    }
    return ((result & this.#magnitudeMask) | (bucket < 0 ? this.#signBit : 0)) >>> 0;
  }

  /** A magnitude over 0 whose exponent field is below `top`. */
  #codeBelow(top: number, magnitude: number): number {
    const { exponentBits, mantissaBits } = this.#layout;
    if (top <= 1) return this.#coder.raw(magnitude, top - 1 + mantissaBits);
    const exponent = magnitude >>> mantissaBits;
    const limit = Math.min(12, top - 1);
    const target = top - 1 - exponent;
    let below = 0;
    while (below < limit && this.code(CONTEXT.exponent + below, below < target ? 1 : 0) === 1) below++;
    const field = below === 12 ? this.#coder.raw(exponent, exponentBits) : top - 1 - below;
    return (field << mantissaBits) | this.#coder.raw(magnitude, mantissaBits);
  }

  /** The upper words of float64s being coded, the lower one: the prediction's, that of a float32, or any. */
  #codeLowWord(i: number, sameUpper: boolean): void {
    const predicted = this.#predicted.getUint32(8 * i, true);
    const value = this.#coder.decoding ? 0 : this.#values.getUint32(8 * i, true);
    const context = CONTEXT.lowWord + (this.#lowFlag * 2 + (sameUpper ? 1 : 0)) * 2;
    this.#lowFlag = this.code(context, value !== predicted ? 1 : 0);
    let decoded = predicted;
    if (this.#lowFlag === 1) {
      const full = this.code(context + 1, (value & 0x1fffffff) !== 0 ? 1 : 0) === 1;
      decoded = full ? this.#coder.raw(value, 32) : (this.#coder.raw(value >>> 29, 3) << 29) >>> 0;
    }
    if (this.#coder.decoding) this.#values.setUint32(8 * i, decoded, true);
  }

  /** The difference in steps of 2^granule, rounded, and the rest as it is. */
  #codeInteger(spread: number, difference: number, differs: boolean): number {
    const granule = Math.max(0, Math.min(31, (spread >> 3) + this.#unit));
    const ratio = this.#ratio(spread, -this.#unit);
    const half = granule > 0 ? (1 << granule) >>> 1 : 0;
    const shifted = (difference + half) | 0;
    const distance = shifted >> granule;
    const known = differs && granule === 0;
    let decoded = 0;
    if (known || this.code(CONTEXT.zero + ratio * 8, distance !== 0 ? 1 : 0) === 1) {
      decoded = this.#codeSigned(ratio, 0, distance);
    }
    if (granule === 0) return decoded;
    return (((decoded << granule) | this.#coder.raw(shifted, granule)) - half) | 0;
  }

  #codeWideInteger(i: number, spread: number, differs: boolean): void {
    const { decoding } = this.#coder;
    const difference = decoding ? 0n : this.#wideDifference(i);
    const predicted = this.#predicted.getBigUint64(8 * i, true);
    let decoded: bigint;
    if (this.code(CONTEXT.wide, BigInt.asIntN(32, difference) !== difference ? 1 : 0) === 1) {
      const low = this.#coder.raw(Number(BigInt.asIntN(32, difference)), 32);
      const high = this.#coder.raw(Number(BigInt.asIntN(32, difference >> 32n)), 32);
      decoded = (BigInt(high) << 32n) | BigInt(low);
    } else {
      decoded = BigInt(this.#codeInteger(spread, Number(BigInt.asIntN(32, difference)), differs));
    }
    if (decoding) this.#values.setBigUint64(8 * i, BigInt.asUintN(64, predicted + decoded), true);
  }

  /** A nonzero int32: sign, class, two bits of the mantissa under contexts, the rest raw. */
  #codeSigned(ratio: number, fraction: number, value: number): number {
    const negative = this.code(CONTEXT.sign + ratio * 8 + fraction, value < 0 ? 1 : 0) === 1;
    const magnitude = Math.abs(value);
    const target = 31 - Math.clz32(magnitude);
    let order = 0;
    while (
      order < LAST_CLASS &&
      this.code(CONTEXT.class + ratio * 32 + order, order < target ? 1 : 0) === 1
    ) {
      order++;
    }
    let decoded = 1;
    if (order > 0) {
      const context = CONTEXT.mantissa + ratio * 32 + Math.min(order, 7) * 4;
      decoded = 2 + this.code(context, (magnitude >>> (order - 1)) & 1);
      if (order > 1) {
        decoded = decoded * 2 + this.code(context + decoded - 1, (magnitude >>> (order - 2)) & 1);
        if (order > 2) decoded = decoded * 2 ** (order - 2) + this.#coder.raw(magnitude, order - 2);
      }
    }
    return (negative ? -decoded : decoded) | 0;
  }

  #ratio(spread: number, ulp: number): number {
    const ratio = spread - 8 * Math.max(ulp, spread >> 3) + 32;
    return Math.max(0, Math.min(RATIOS - 1, ratio));
  }

  /** Exponent of the last place of a pattern, relative to the unit. */
  #ulp(pattern: number): number {
    const { bias, mantissaBits } = this.#layout;
    return Math.max(this.#magnitude(pattern) >>> mantissaBits, 1) - bias - mantissaBits - this.#unit;
  }

  #magnitude(pattern: number): number {
    return (pattern & this.#magnitudeMask) >>> 0;
  }

  #isNegative(pattern: number): boolean {
    return (pattern & this.#signBit) !== 0;
  }

  #rank(pattern: number): number {
    const magnitude = pattern & this.#magnitudeMask;
    return this.#isNegative(pattern) ? ~magnitude : magnitude;
  }

  #fromRank(rank: number): number {
    const magnitude = (rank < 0 ? ~rank : rank) & this.#magnitudeMask;
    return rank < 0 ? (magnitude | this.#signBit) >>> 0 : magnitude;
  }

  #value(pattern: number): number {
    const { bias, mantissaBits } = this.#layout;
    const magnitude = this.#magnitude(pattern);
    const field = magnitude >>> mantissaBits;
    const significand = field === 0 ? magnitude : magnitude - (field - 1) * 2 ** mantissaBits;
    const positive = significand * 2 ** (Math.max(field, 1) - bias - mantissaBits);
    return this.#isNegative(pattern) ? -positive : positive;
  }

  #wide(i: number): number {
    return this.#layout.byteLength === 8 ? this.#predicted.getUint32(8 * i + 4, true) : this.#basis.wide[i];
  }

  #narrowed(i: number): number {
    return this.#layout.byteLength === 8 ? this.#wide(i) : this.#basis.narrowed[i];
  }

  #basisValue(i: number): number {
    const wide = this.#wide(i);
    if (this.#layout.byteLength === 8) {
      scratch.setUint32(0, wide);
      scratch.setUint32(4, 0);
      return scratch.getFloat64(0);
    }
    scratch.setUint32(0, wide);
    return scratch.getFloat32(0);
  }

  #integerDifference(i: number): number {
    const shift = 32 - 8 * this.#layout.byteLength;
    return ((this.#load(this.#values, i) - this.#load(this.#predicted, i)) << shift) >> shift;
  }

  #wideDifference(i: number): bigint {
    return BigInt.asIntN(
      64,
      this.#values.getBigUint64(8 * i, true) - this.#predicted.getBigUint64(8 * i, true),
    );
  }

  /** The first 32 bits of an element, dropped ones excluded. */
  #load(view: DataView, i: number): number {
    switch (this.#layout.byteLength) {
      case 1:
        return view.getUint8(i);
      case 2:
        return view.getUint16(2 * i, true);
      case 4:
        return view.getUint32(4 * i, true) >>> this.#drop;
      default:
        return view.getUint32(8 * i + 4, true);
    }
  }

  #store(i: number, pattern: number): void {
    switch (this.#layout.byteLength) {
      case 1:
        this.#values.setUint8(i, pattern);
        break;
      case 2:
        this.#values.setUint16(2 * i, pattern, true);
        break;
      case 4:
        this.#values.setUint32(4 * i, pattern << this.#drop, true);
        break;
      default:
        this.#values.setUint32(8 * i + 4, pattern, true);
    }
  }
}

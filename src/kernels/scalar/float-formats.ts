/**
 * The float formats of safetensors, one element at a time, in integer arithmetic on bit patterns.
 * Formats of 16 bits or fewer are one description each: sign, exponent with bias, mantissa.
 */
import type { FloatDtype } from '../../../formats/dtype.js';

interface SmallFormat {
  readonly bits: number;
  readonly mantissaBits: number;
  readonly bias: number;
  /** Has infinities at the top exponent; without, only the all-ones magnitude is NaN and overflow saturates. */
  readonly ieee: boolean;
  /** Canonical quiet NaN. */
  readonly nan: number;
}

const SMALL_FORMATS: Readonly<Record<Exclude<FloatDtype, 'F64' | 'F32'>, SmallFormat>> = {
  F16: { bits: 16, mantissaBits: 10, bias: 15, ieee: true, nan: 0x7e00 },
  BF16: { bits: 16, mantissaBits: 7, bias: 127, ieee: true, nan: 0x7fc0 },
  F8_E4M3: { bits: 8, mantissaBits: 3, bias: 7, ieee: false, nan: 0x7f },
  F8_E5M2: { bits: 8, mantissaBits: 2, bias: 15, ieee: true, nan: 0x7e },
};

const FLOAT32_NAN = 0x7fc00000;
const FLOAT32_INFINITY = 0x7f800000;

/** float32 bits of a code of a small format; exact, NaN payloads kept. */
function widen(code: number, { bits, mantissaBits, bias, ieee }: SmallFormat): number {
  const sign = (code >>> (bits - 1)) << 31;
  const magnitude = code & ((1 << (bits - 1)) - 1);
  const exponent = magnitude >>> mantissaBits;
  const mantissa = magnitude & ((1 << mantissaBits) - 1);
  const topExponent = (1 << (bits - 1 - mantissaBits)) - 1;
  const up = 23 - mantissaBits;
  if (!ieee && magnitude === (1 << (bits - 1)) - 1) return (sign | FLOAT32_NAN) >>> 0;
  if (ieee && exponent === topExponent) return (sign | FLOAT32_INFINITY | (mantissa << up)) >>> 0;
  if (exponent > 0) return (sign | ((exponent - bias + 127) << 23) | (mantissa << up)) >>> 0;
  // A subnormal of BF16 is one of float32; any other is normal there.
  if (mantissa === 0 || bias === 127) return (sign | (mantissa << up)) >>> 0;
  const shift = Math.clz32(mantissa) - (31 - mantissaBits);
  const fraction = (mantissa << shift) & ((1 << mantissaBits) - 1);
  return (sign | ((1 - bias - shift + 127) << 23) | (fraction << up)) >>> 0;
}

/** The code of a small format nearest to the float32 with these bits, ties to even. */
function narrow(float32Bits: number, { bits, mantissaBits, bias, ieee, nan }: SmallFormat): number {
  const magnitude = float32Bits & 0x7fffffff;
  if (magnitude > FLOAT32_INFINITY) return nan;
  const sign = (float32Bits >>> 31) << (bits - 1);
  const allOnes = (1 << (bits - 1)) - 1;
  const overflow = ieee ? (allOnes >>> mantissaBits) << mantissaBits : allOnes - 1;
  if (magnitude === FLOAT32_INFINITY) return sign | overflow;
  const exponent = magnitude >>> 23;
  // The significand as an integer, and the exponent of its last bit; float32 subnormals lie at exponent 1.
  const significand = exponent === 0 ? magnitude : (magnitude & 0x7fffff) | 0x800000;
  const targetExponent = Math.max(Math.max(exponent, 1) - 127 + bias, 1);
  // Bits to drop so that the last one kept is the target's ulp.
  const drop = targetExponent - bias + 127 - Math.max(exponent, 1) + (23 - mantissaBits);
  if (drop > 25) return sign;
  const kept = significand >>> drop;
  const rest = significand & ((1 << drop) - 1);
  const half = 1 << (drop - 1);
  const rounded = kept + (rest > half || (rest === half && (kept & 1) === 1) ? 1 : 0);
  // `rounded` carries the implicit bit, which counts as one exponent; a carry out of it counts as another.
  const code = ((targetExponent - 1) << mantissaBits) + rounded;
  return sign | Math.min(code, overflow);
}

const wideningTables = new Map<FloatDtype, Uint32Array>();

function wideningTable(dtype: keyof typeof SMALL_FORMATS): Uint32Array {
  let table = wideningTables.get(dtype);
  if (table === undefined) {
    const format = SMALL_FORMATS[dtype];
    table = Uint32Array.from({ length: 2 ** format.bits }, (_, code) => widen(code, format));
    wideningTables.set(dtype, table);
  }
  return table;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Scalar Kernels.toFloat32, lengths checked by the caller. Works on bits: numbers may lose NaN payloads. */
export function widenAll(dtype: FloatDtype, bytes: Uint8Array, out: Float32Array): void {
  const outBits = new Uint32Array(out.buffer, out.byteOffset, out.length);
  const view = viewOf(bytes);
  if (dtype === 'F64') {
    for (let i = 0; i < out.length; i++) {
      out[i] = view.getFloat64(i * 8, true);
      if (Number.isNaN(out[i])) outBits[i] = FLOAT32_NAN;
    }
  } else if (dtype === 'F32') {
    for (let i = 0; i < out.length; i++) outBits[i] = view.getUint32(i * 4, true);
  } else {
    const table = wideningTable(dtype);
    const wide = SMALL_FORMATS[dtype].bits === 16;
    for (let i = 0; i < out.length; i++) outBits[i] = table[wide ? view.getUint16(i * 2, true) : bytes[i]];
  }
}

/** Scalar Kernels.fromFloat32, lengths checked by the caller. */
export function narrowAll(dtype: FloatDtype, values: Float32Array, out: Uint8Array): void {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const view = viewOf(out);
  if (dtype === 'F64') {
    for (let i = 0; i < values.length; i++) writeFloat64(view, i, values[i]);
  } else if (dtype === 'F32') {
    for (let i = 0; i < values.length; i++) {
      view.setUint32(i * 4, (bits[i] & 0x7fffffff) > FLOAT32_INFINITY ? FLOAT32_NAN : bits[i], true);
    }
  } else {
    const format = SMALL_FORMATS[dtype];
    for (let i = 0; i < values.length; i++) {
      const code = narrow(bits[i], format);
      if (format.bits === 16) view.setUint16(i * 2, code, true);
      else out[i] = code;
    }
  }
}

/** Elements of F64 bytes. */
export function readFloat64(bytes: Uint8Array): Float64Array {
  const view = viewOf(bytes);
  return Float64Array.from({ length: bytes.byteLength / 8 }, (_, i) => view.getFloat64(i * 8, true));
}

/** Writes element i as F64, NaN canonical. */
export function writeFloat64(view: DataView, i: number, value: number): void {
  if (Number.isNaN(value)) view.setBigUint64(i * 8, 0x7ff8000000000000n, true);
  else view.setFloat64(i * 8, value, true);
}

/** Makes every NaN the canonical one. */
export function canonicalNaNs(values: Float32Array): void {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < values.length; i++) if (Number.isNaN(values[i])) bits[i] = FLOAT32_NAN;
}

/** Rounding of sampled values: to another float type, and how coarse a type is at a value. */
import { DTYPES, type FloatDtype } from '../../formats/dtype.js';
import { narrowAll, widenAll } from '../kernels/scalar/float-formats.js';

/** Fraction bits, and exponent of the smallest normal number. */
const PRECISION: Readonly<Record<FloatDtype, readonly [fractionBits: number, minExponent: number]>> = {
  F64: [52, -1022],
  F32: [23, -126],
  BF16: [7, -126],
  F16: [10, -14],
  F8_E5M2: [2, -14],
  F8_E4M3: [3, -6],
};

/** Distance of neighbouring values of a type at a finite value. */
export function unitInLastPlace(dtype: FloatDtype, value: number): number {
  const [fractionBits, minExponent] = PRECISION[dtype];
  // log2 may be off by one at a power of two, where the unit changes anyway.
  const exponent = value === 0 ? minExponent : Math.floor(Math.log2(Math.abs(value)));
  return 2 ** (Math.max(exponent, minExponent) - fractionBits);
}

/** The nearest values of a type, as float32. */
export function roundTo(dtype: FloatDtype, values: Float32Array): Float32Array {
  const bytes = new Uint8Array((values.length * DTYPES[dtype].bits) / 8);
  narrowAll(dtype, values, bytes);
  const rounded = new Float32Array(values.length);
  widenAll(dtype, bytes, rounded);
  return rounded;
}

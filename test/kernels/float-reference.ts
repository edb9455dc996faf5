/**
 * A third way to read and round the small float formats, independent of both kernels: the real values
 * of all codes in float64, and a search for the nearest.
 */
export interface ReferenceFormat {
  readonly dtype: 'F16' | 'BF16' | 'F8_E4M3' | 'F8_E5M2';
  readonly bits: 8 | 16;
  readonly exponentBits: number;
  readonly bias: number;
  readonly nan: number;
}

export const REFERENCE_FORMATS: readonly ReferenceFormat[] = [
  { dtype: 'F16', bits: 16, exponentBits: 5, bias: 15, nan: 0x7e00 },
  { dtype: 'BF16', bits: 16, exponentBits: 8, bias: 127, nan: 0x7fc0 },
  { dtype: 'F8_E4M3', bits: 8, exponentBits: 4, bias: 7, nan: 0x7f },
  { dtype: 'F8_E5M2', bits: 8, exponentBits: 5, bias: 15, nan: 0x7e },
];

/** The real value of a code, NaN and infinities included. */
export function realValue(format: ReferenceFormat, code: number): number {
  const mantissaBits = format.bits - 1 - format.exponentBits;
  const sign = code >= 2 ** (format.bits - 1) ? -1 : 1;
  const magnitude = code % 2 ** (format.bits - 1);
  const exponent = Math.floor(magnitude / 2 ** mantissaBits);
  const fraction = (magnitude % 2 ** mantissaBits) / 2 ** mantissaBits;
  if (format.dtype === 'F8_E4M3') {
    if (magnitude === 0x7f) return Number.NaN;
  } else if (exponent === 2 ** format.exponentBits - 1) {
    return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  }
  const scale = exponent === 0 ? 2 ** (1 - format.bias) : 2 ** (exponent - format.bias);
  return sign * scale * (exponent === 0 ? fraction : 1 + fraction);
}

const finiteValues = new Map<string, Float64Array>();

/** Values of the non-negative finite codes, ascending: index = code. */
export function finiteValuesOf(format: ReferenceFormat): Float64Array {
  let values = finiteValues.get(format.dtype);
  if (values === undefined) {
    const codes = Array.from({ length: 2 ** (format.bits - 1) }, (_, code) => realValue(format, code));
    values = Float64Array.from(codes.filter((value) => Number.isFinite(value)));
    finiteValues.set(format.dtype, values);
  }
  return values;
}

/** The code nearest to x, ties to the even code; overflow as the contract of fromFloat32 says. */
export function nearestCode(format: ReferenceFormat, x: number): number {
  if (Number.isNaN(x)) return format.nan;
  const sign = Object.is(Math.sign(x), -1) || Object.is(x, -0) ? 2 ** (format.bits - 1) : 0;
  const magnitude = Math.abs(x);
  const values = finiteValuesOf(format);
  const last = values.length - 1;
  let low = 0;
  let high = last;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (values[middle] <= magnitude) low = middle;
    else high = middle - 1;
  }
  if (low === last) {
    if (format.dtype === 'F8_E4M3') return sign + last;
    // The next value, had the format one more exponent, is a step away; its half rounds to even: infinity.
    const step = values[last] - values[last - 1];
    return sign + (magnitude >= values[last] + step / 2 ? last + 1 : last);
  }
  const below = magnitude - values[low];
  const above = values[low + 1] - magnitude;
  return sign + (below < above || (below === above && low % 2 === 0) ? low : low + 1);
}

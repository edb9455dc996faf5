/**
 * How much of a residual is nothing but the rounding of the fine-tune to its own dtype. A value with
 * the unit in the last place u was rounded by an error that is evenly spread over ±u/2: u²/12 on
 * average. All that is needed of a value is its exponent.
 */
import type { Dtype } from '../../formats/dtype.js';

interface FloatLayout {
  readonly exponentBits: number;
  readonly fractionBits: number;
}

/** Dtypes whose rounding can matter: F64 is far below what float32 residuals hold, 8-bit types are scaled. */
const LAYOUTS: Partial<Record<Dtype, FloatLayout>> = {
  BF16: { exponentBits: 8, fractionBits: 7 },
  F16: { exponentBits: 5, fractionBits: 10 },
  F32: { exponentBits: 8, fractionBits: 23 },
};

/** Unit in the last place by biased exponent; empty for dtypes that are not BF16, F16 or F32. */
export function unitsInLastPlace(dtype: Dtype): Float64Array {
  const layout = LAYOUTS[dtype];
  if (layout === undefined) return new Float64Array(0);
  const { exponentBits, fractionBits } = layout;
  const bias = 2 ** (exponentBits - 1) - 1;
  // Subnormals (exponent 0) have the unit of the smallest normal numbers.
  return Float64Array.from(
    { length: 1 << exponentBits },
    (_, exponent) => 2 ** (Math.max(exponent, 1) - bias - fractionBits),
  );
}

/** Adds how many elements have each biased exponent to `counts`, which is as long as `unitsInLastPlace`. */
export function countExponents(dtype: Dtype, bytes: Uint8Array, counts: Float64Array): void {
  const { first, word, shift, mask } = exponentPlace(dtype, counts.length);
  for (let at = first; at + 1 < bytes.byteLength; at += word) {
    counts[((bytes[at]! | (bytes[at + 1]! << 8)) >> shift) & mask]!++;
  }
}

/** out_i = table[biased exponent of element i]; `table` is as long as `unitsInLastPlace`. */
export function lookUpExponents(
  dtype: Dtype,
  bytes: Uint8Array,
  table: Float32Array,
  out: Float32Array,
): void {
  const { first, word, shift, mask } = exponentPlace(dtype, table.length);
  for (let at = first, i = 0; at + 1 < bytes.byteLength; at += word, i++) {
    out[i] = table[((bytes[at]! | (bytes[at + 1]! << 8)) >> shift) & mask]!;
  }
}

/** Where exponents stand in little-endian bytes: always within the two most significant of an element. */
function exponentPlace(
  dtype: Dtype,
  tableLength: number,
): { readonly first: number; readonly word: number; readonly shift: number; readonly mask: number } {
  const layout = LAYOUTS[dtype];
  if (layout === undefined) return { first: Number.POSITIVE_INFINITY, word: 1, shift: 0, mask: 0 };
  const { exponentBits, fractionBits } = layout;
  const word = (exponentBits + fractionBits + 1) / 8;
  return { first: word - 2, word, shift: fractionBits - 8 * (word - 2), mask: tableLength - 1 };
}

/**
 * Σ u²/12 over elements of which Σ 4^e is known, e their exponents; 0 for dtypes that are not BF16, F16 or F32. That
 * subnormals all have the unit of the smallest normal numbers is not worth a pass.
 */
export function roundingEnergy(dtype: Dtype, squaredPowers: number): number {
  const layout = LAYOUTS[dtype];
  return layout === undefined ? 0 : (squaredPowers * 4 ** -layout.fractionBits) / 12;
}

/**
 * How much of a residual is nothing but the rounding of the fine-tune to its own dtype. A value with
 * the unit in the last place u was rounded by an error that is evenly spread over ±u/2: u²/12 on
 * average. Counting exponents is enough to sum that over a tensor.
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

/** Σ u²/12 over the elements of `bytes` (little-endian); 0 for dtypes that are not BF16, F16 or F32. */
export function roundingEnergy(dtype: Dtype, bytes: Uint8Array): number {
  const layout = LAYOUTS[dtype];
  if (layout === undefined) return 0;
  const { exponentBits, fractionBits } = layout;
  const counts = countExponents(bytes, layout);
  const bias = 2 ** (exponentBits - 1) - 1;
  let energy = 0;
  for (const [exponent, count] of counts.entries()) {
    if (count === 0) continue;
    // Subnormals (exponent 0) have the unit of the smallest normal numbers.
    const unit = 2 ** (Math.max(exponent, 1) - bias - fractionBits);
    energy += (count * unit * unit) / 12;
  }
  return energy;
}

function countExponents(bytes: Uint8Array, { exponentBits, fractionBits }: FloatLayout): Uint32Array {
  const counts = new Uint32Array(1 << exponentBits);
  const mask = counts.length - 1;
  const word = exponentBits + fractionBits + 1 === 16 ? 2 : 4;
  // The exponent lies within the two most significant bytes.
  const shift = fractionBits - 8 * (word - 2);
  for (let i = word - 2; i + 1 < bytes.byteLength; i += word) {
    counts[((bytes[i]! | (bytes[i + 1]! << 8)) >> shift) & mask]!++;
  }
  return counts;
}

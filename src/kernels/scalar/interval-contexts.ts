/** Numbers of the contexts of codec "interval" (docs/spec/interval.md), and the arithmetic of patterns. */

/** Ratios of spread to granule, in eighths of an octave; 32 is 1. */
export const RATIOS = 40;

/** First context of each kind of decision. */
export const CONTEXT = {
  zero: 0,
  sign: 8 * RATIOS,
  class: 16 * RATIOS,
  mantissa: 48 * RATIOS,
  offset: 80 * RATIOS,
  same: 82 * RATIOS,
  block: 90 * RATIOS,
  strip: 92 * RATIOS,
  row: 92 * RATIOS + 4,
  nonzero: 92 * RATIOS + 6,
  exponent: 92 * RATIOS + 8,
  scale: 92 * RATIOS + 24,
  lowWord: 92 * RATIOS + 48,
  wide: 92 * RATIOS + 56,
  end: 92 * RATIOS + 58,
} as const;

/** Buckets from here on are escaped. */
export const BUCKET_LIMIT = 2 ** 30;

/** For the patterns of floats. */
export const scratch = new DataView(new ArrayBuffer(8));

/** Exponent and three bits of the mantissa of a float64 ≥ 2^−1000: about 8 · log2 x. */
export function eighths(x: number): number {
  scratch.setFloat64(0, x);
  return (scratch.getUint32(0) >>> 17) - 8 * 1023;
}

/** 2^exponent, normal numbers only. */
export function powerOfTwo(exponent: number): number {
  scratch.setUint32(0, (exponent + 1023) << 20);
  scratch.setUint32(4, 0);
  return scratch.getFloat64(0);
}

/** Context of the position in a block of 16, where nothing differed so far; 0 where something did. */
export function positionContext(seen: boolean, position: number): number {
  if (seen) return 0;
  return position < 6 ? 1 : position < 10 ? 2 : position < 13 ? 3 : position < 14 ? 4 : 5;
}

/** floor(|x| / 2^granule) of a magnitude pattern, BUCKET_LIMIT when over it. */
export function bucketOf(magnitude: number, mantissaBits: number, bias: number, granule: number): number {
  const field = magnitude >>> mantissaBits;
  const significand = field === 0 ? magnitude : magnitude - (field - 1) * 2 ** mantissaBits;
  const shift = granule - (Math.max(field, 1) - bias - mantissaBits);
  if (shift >= 0) return shift > 31 ? 0 : significand >>> shift;
  return -shift > 29 - mantissaBits ? BUCKET_LIMIT : significand << -shift;
}

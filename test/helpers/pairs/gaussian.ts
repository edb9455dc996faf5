/** Residuals without any structure: what the theory of quantisers is about. */
import { type GeneratedPair, type PairSize, pairOf } from './pair.js';
import { normal } from './random.js';

/** So large that bf16 rounding of the sum, near −40 dB of it, is nothing beside the loss of 2 bits per weight, −12 dB. */
export const GAUSSIAN_DEVIATION = 5e-3;

/** One matrix of 1 M weights unless told otherwise. */
export function gaussianPair(
  size: PairSize = { rows: 1024, columns: 1024, count: 1 },
  seed = 61,
): GeneratedPair {
  return pairOf('Gaussian', size, seed, (_, ownSeed) => {
    const draw = normal(ownSeed);
    return Float32Array.from({ length: size.rows * size.columns }, () => GAUSSIAN_DEVIATION * draw());
  });
}

/**
 * Recognises residuals that are a low-rank product and nothing else: W_ft = round(W_base + B·A), a
 * LoRA merged into the weights. The rounding to the fine-tune's dtype adds noise of known variance
 * (ulp²/12), whose singular values end at the edge of Marchenko and Pastur: components over that
 * edge are the product's, what is under it is rounding. To code more would be waste, for the decoder
 * rounds as well: with the product recovered, it arrives at the same values.
 */
import { noiseEdge, type SpectrumModel } from './gaussian-bound.js';

export interface RoundingFloor {
  /** Components over the edge of the rounding noise: the rank of the product. */
  readonly rank: number;
  /** Energy that the components leave, ‖·‖². */
  readonly remainder: number;
}

/**
 * What the components may leave, over what rounding explains. Small updates leave less than 1, as
 * weights that round back to the base err by less; a remainder with anything else in it leaves more.
 */
const LARGEST_REMAINDER = 1.15;

/**
 * The rank at which a residual reaches the floor of its rounding; undefined when it does not, or when
 * too few singular values are known to tell. A residual without any component over the edge is
 * undefined as well: a sparse update of single ulps has no more energy than rounding, and is no noise.
 * Whether the components do explain the fine-tune is to be checked by decoding: see recoverProduct.
 */
export function detectRoundingFloor(
  model: SpectrumModel & { readonly roundingEnergy: number },
): RoundingFloor | undefined {
  const { rows, columns, energy, singularValues, roundingEnergy } = model;
  const smallerSide = Math.min(rows, columns);
  // Without as many components under the edge as over it, noise and product cannot be told apart.
  const largestRank = Math.floor(smallerSide / 2);
  const edge = (roundingEnergy / (rows * columns)) * noiseEdge(rows, columns);
  let remainder = energy;
  let rank = 0;
  while (rank < singularValues.length && singularValues[rank]! ** 2 > edge) {
    remainder -= singularValues[rank]! ** 2;
    rank++;
  }
  if (rank === 0 || rank > largestRank || rank === singularValues.length) return undefined;
  if (remainder > LARGEST_REMAINDER * roundingEnergy) return undefined;
  return { rank, remainder: Math.max(0, remainder) };
}

/** A LoRA merged into its base and rounded: W_ft = round_bf16(W + (alpha / r) B·A), what most published "full" models are. */
import { addLowRank, type GeneratedPair, type PairSize, pairOf } from './pair.js';

/**
 * The update (alpha / r) B·A has entries of this standard deviation, 1/40 of the base's: four units in the
 * last place of a typical weight. Its 16 singular values are about equal.
 */
export const MERGED_LORA = { rank: 16, updateDeviation: 5e-4 } as const;

/** One matrix of 4.2 M weights unless told otherwise. */
export function mergedLoraPair(
  size: PairSize = { rows: 2048, columns: 2048, count: 1 },
  seed = 51,
): GeneratedPair {
  const { rank, updateDeviation } = MERGED_LORA;
  return pairOf('merged LoRA', size, seed, (_, ownSeed) =>
    addLowRank(new Float32Array(size.rows * size.columns), {
      ...size,
      rank,
      deviation: updateDeviation,
      seed: ownSeed,
    }),
  );
}

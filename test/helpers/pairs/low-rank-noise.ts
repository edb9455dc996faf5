/** Residuals of a few strong directions and white noise: what a spectrum with spikes over a flat bulk looks like. */
import { addLowRank, type GeneratedPair, type PairSize, pairOf } from './pair.js';
import { normal } from './random.js';

export const LOW_RANK_NOISE = { rank: 8, lowRankDeviation: 3e-4, noiseDeviation: 3e-4 } as const;

/** 3.1 M weights unless told otherwise. */
export function lowRankNoisePair(
  size: PairSize = { rows: 1536, columns: 1024, count: 2 },
  seed = 11,
): GeneratedPair {
  const { rank, lowRankDeviation, noiseDeviation } = LOW_RANK_NOISE;
  return pairOf('low-rank + noise', size, seed, (_, ownSeed) => {
    const draw = normal(ownSeed);
    const noise = Float32Array.from({ length: size.rows * size.columns }, () => noiseDeviation * draw());
    return addLowRank(noise, { ...size, rank, deviation: lowRankDeviation, seed: ownSeed + 1 });
  });
}

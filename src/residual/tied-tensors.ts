/** Tensors that a checkpoint holds twice. */
import type { TensorAnalysis } from './analyse-tensor.js';
import type { TensorPair } from './pair-tensors.js';

/** By pair the first one with the same bytes, dtype and shape on both sides: its own index where it is that one. */
export function findTied(
  pairs: readonly TensorPair[],
  analyses: readonly Pick<TensorAnalysis, 'fineTunedDigest' | 'baseDigest'>[],
): number[] {
  const firsts = new Map<string, number>();
  return analyses.map(({ fineTunedDigest, baseDigest }, i) => {
    const { fineTuned, base } = pairs[i]!;
    const key = [fineTunedDigest, fineTuned.dtype, fineTuned.shape.join(), baseDigest, base?.dtype].join();
    if (!firsts.has(key)) firsts.set(key, i);
    return firsts.get(key)!;
  });
}

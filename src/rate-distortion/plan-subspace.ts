/** How many components of residuals that share a basis lie above water at a step (codec "coded-subspace"). */
import { gaussianCost } from './gaussian-cost.js';
import type { PlanOptions } from './plan-residual.js';

/** Residuals whose rows (or columns) lie in one space, stacked. */
export interface SharedSpectrum {
  /** Of that space. */
  readonly dimension: number;
  /** Coefficients of a component, over all residuals. */
  readonly length: number;
  /** Σ‖R‖². */
  readonly energy: number;
  /** Leading singular values of the stack, descending; components beyond them are not considered. */
  readonly singularValues: Float64Array;
}

export interface SubspacePlan {
  readonly rank: number;
  /** Modelled Σ‖R − R̂‖² / s² + λ·bits. */
  readonly cost: number;
  readonly bits: number;
  /** Modelled Σ‖R − R̂‖². */
  readonly squaredError: number;
}

/**
 * The cheapest rank. Component k has `length` coefficients of deviation σ_k / √length, and dimension − k entries of
 * its basis vector, as its place in the span of those before it is known.
 */
export function planSubspace(
  { dimension, length, energy, singularValues }: SharedSpectrum,
  { step, lambda }: PlanOptions,
): SubspacePlan {
  const model = gaussianCost(lambda);
  const squaredStep = step ** 2;
  let left = energy / squaredStep;
  let cost = 0;
  let bits = 0;
  let best: SubspacePlan = { rank: 0, cost: left, bits: 0, squaredError: energy };
  for (const [k, sigma] of singularValues.subarray(0, dimension).entries()) {
    const parts = [
      [dimension - k, dimension],
      [length, length],
    ] as const;
    for (const [count, size] of parts) {
      const deviation = sigma / Math.sqrt(size) / step;
      cost += count * model.cost(deviation);
      bits += count * model.rate(deviation);
    }
    left = Math.max(0, left - sigma ** 2 / squaredStep);
    if (cost + left < best.cost) {
      const squaredError = (cost - lambda * bits + left) * squaredStep;
      best = { rank: k + 1, cost: cost + left, bits, squaredError };
    }
  }
  return best;
}

/** What the low-rank part of a residual comes to, from its leading singular values. */
import { extrapolateSpectrum } from '../allocation/extrapolate-spectrum.js';
import { PLAN_LAMBDA, type ResidualEncoding } from './encode-residual.js';
import { planResidual, type ResidualSpectrum } from './plan-residual.js';

export interface LowRankEstimate {
  readonly rank: number;
  readonly byteLength: number;
  /** ‖R − R̂‖². */
  readonly squaredError: number;
}

/** What trellis-coded factors leave of the error of scalar ones at equal step, and about equal bits. */
const TRELLIS_ERROR_SHARE = 0.72;

/**
 * Predicts what encodeLowRankPart comes to.
 * @param spectrum its leading values, which are continued
 */
export function estimateLowRankPart(
  spectrum: ResidualSpectrum,
  { step, lambda, factorStates }: ResidualEncoding,
): LowRankEstimate {
  const { rows, columns, energy } = spectrum;
  const singularValues = extrapolateSpectrum(spectrum.singularValues, energy, Math.min(rows, columns));
  const { alone } = planResidual({ ...spectrum, singularValues }, { step, lambda: PLAN_LAMBDA * lambda });
  const { rank, bits, squaredError } = alone;
  const kept = singularValues.subarray(0, rank).reduce((sum, sigma) => sum + sigma * sigma, 0);
  const left = Math.max(0, energy - kept);
  const share = factorStates > 1 ? TRELLIS_ERROR_SHARE : 1;
  return {
    rank,
    byteLength: Math.ceil(bits / 8),
    squaredError: left + share * Math.max(0, squaredError - left),
  };
}

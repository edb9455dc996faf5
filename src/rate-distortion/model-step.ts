/** The quantiser step that the model of Gaussian components gives for a size or an error, over all residuals. */
import type { AllocationTarget } from '../allocation/allocation.js';
import { LAMBDA } from './efforts.js';
import { bestPlan, type ResidualSpectrum } from './plan-residual.js';

/** What the residuals of a model come to at one step. */
export interface ModelledArchive {
  /** Payload. */
  readonly byteLength: number;
  readonly squaredError: number;
  /** Rank of the low-rank part by residual. */
  readonly ranks: readonly number[];
}

/** What trellis-coded factors take of the bits of scalar ones at equal error; measured on a real fine-tune. */
const TRELLIS_SHARE = 0.93;

/** What low-rank parts over a shared basis take of what each takes alone; measured on a real fine-tune. */
export const SHARED_SHARE = 0.9;

export function modelAtStep(residuals: readonly ResidualSpectrum[], step: number): ModelledArchive {
  const plans = residuals.map((residual) => bestPlan(residual, { step, lambda: LAMBDA }));
  return {
    byteLength: plans.reduce((sum, { dense, bits }, i) => {
      const share = dense ? 1 : TRELLIS_SHARE * (residuals[i].sharesBasis === true ? SHARED_SHARE : 1);
      return sum + share * (bits / 8);
    }, 0),
    squaredError: plans.reduce((sum, plan) => sum + plan.squaredError, 0),
    ranks: plans.map((plan) => plan.rank),
  };
}

/** Halvings of the logarithm of the step: to 1e-4 of it. */
const BISECTIONS = 18;

/** The largest step whose error meets the target, or the smallest whose bytes do; a fixed one is itself. @param residuals full spectra */
export function modelledStep(residuals: readonly ResidualSpectrum[], target: AllocationTarget): number {
  if (target.kind === 'fixed') return target.value;
  const elements = residuals.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
  const deviation = Math.sqrt(residuals.reduce((sum, { energy }) => sum + energy, 0) / Math.max(1, elements));
  const needsLarger = ({ byteLength, squaredError }: ModelledArchive): boolean =>
    target.kind === 'size'
      ? byteLength > target.byteLength
      : target.kind === 'error' && squaredError <= target.squaredError;
  let low = deviation * 2 ** -10;
  let high = deviation * 2 ** 8;
  for (let i = 0; i < BISECTIONS && deviation > 0; i++) {
    const step = Math.sqrt(low * high);
    if (needsLarger(modelAtStep(residuals, step))) low = step;
    else high = step;
  }
  return target.kind === 'error' ? low : high;
}

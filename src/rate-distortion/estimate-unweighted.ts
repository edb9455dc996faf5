/**
 * What coding for a weighted error leaves of the plain one, which is what encoding measures and reports: weights only
 * say what is coded.
 */
import type { Kernels } from '../kernels/kernels.js';
import {
  estimateResidual,
  type ResidualEncoding,
  type ResidualEstimate,
  type ResidualToEncode,
} from './encode-residual.js';
import { measureSample, subtractComponents } from './residual-sample.js';

/**
 * estimateResidual with the squared error unweighted.
 * @param energy ‖R‖², unweighted
 */
export async function estimateUnweighted(
  residual: ResidualToEncode,
  energy: number,
  encoding: ResidualEncoding,
  kernels: Kernels,
): Promise<ResidualEstimate> {
  const estimate = await estimateResidual(residual, encoding, kernels);
  if (residual.columnWeights === undefined) return estimate;
  return { ...estimate, squaredError: energy * (await shareLeft(residual, estimate, encoding, kernels)) };
}

/** Share of ‖R‖² that is left, as in the sample of rows; factors without the noise of their quantiser. */
async function shareLeft(
  residual: ResidualToEncode,
  { rank, dense }: ResidualEstimate,
  encoding: ResidualEncoding,
  kernels: Kernels,
): Promise<number> {
  if (rank === 0 && !dense) return 1;
  const sample = await residual.sample();
  const entries = sample.values.subarray(sample.warmUpRows * sample.columns);
  const energy = kernels.statistics(entries).sumOfSquares / entries.length;
  if (energy === 0) return 1;
  const remainder = subtractComponents(sample, rank, kernels);
  const { plainEnergy, plainSquaredError } = measureSample(
    remainder,
    { ...encoding, columnWeights: residual.columnWeights },
    kernels,
  );
  return Math.min(1, (dense ? plainSquaredError : plainEnergy) / energy);
}

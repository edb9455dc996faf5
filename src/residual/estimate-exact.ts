/**
 * What exact coding of a tensor is expected to take: a sample of its rows is coded for real, on top of what the
 * encoder would put below them. That is not coded: its sizes and errors are those of the model, and its rows those
 * of the leading components, moved away from the residual until they err as much.
 */
import { estimateExactRows } from '../codecs/estimate-exact.js';
import type { LowRankFactors } from '../codecs/low-rank.js';
import type { GemmEngine } from '../linalg/gemm-engine.js';
import type { MatrixStream } from '../linalg/matrix-stream.js';
import { randomizedSvd } from '../linalg/randomized-svd.js';
import { EFFORTS, LAMBDA } from '../rate-distortion/efforts.js';
import { FIRST_RANK } from '../rate-distortion/encode-residual.js';
import { estimateLowRankPart, type LowRankEstimate } from '../rate-distortion/estimate-low-rank.js';
import type { ReadablePair } from './analyse-tensor.js';
import {
  LEAST_REMAINDER_SHARE,
  MIN_LOW_RANK_ELEMENTS,
  STEP_ROUNDS,
  STEP_UNDER_EXACT,
} from './encode-tensor.js';
import { exactParts } from './exact-terms.js';
import {
  approximationOf,
  energyLeft,
  errorOf,
  shareOfOthers,
  subtractLeading,
  takeResidualRows,
} from './sampled-residual.js';
import { sampledInput, sampledPlace, takeSampledRows } from './sampled-rows.js';

/**
 * Power iterations of the components: what they leave is then a few per cent too much, which is under a hundredth of
 * a bit a weight.
 */
const POWER_ITERATIONS = 1;

/** What is needed of a residual. */
export interface EstimatedResidual {
  readonly stream: MatrixStream;
  /** ‖R‖². */
  energy(): Promise<number>;
  engine(): Promise<GemmEngine>;
}

/** Bytes of the terms that encodeExactly makes of rows [start, end). */
export async function estimateRowsExactly(
  readable: ReadablePair,
  [start, end]: readonly [number, number],
): Promise<number> {
  let byteLength = 0;
  for (const part of exactParts(readable.pair, start, end)) {
    const place = sampledPlace(...part, readable.pair.columns);
    const sample = await takeSampledRows(readable, place);
    byteLength += await estimateExactRows(sampledInput(readable, place, sample));
  }
  return Math.ceil(byteLength);
}

/** Bytes of the terms of the common rows, as smallestExactTerms would choose them. */
export async function estimateExactly(readable: ReadablePair, residual: EstimatedResidual): Promise<number> {
  const { commonRows, columns } = readable.pair;
  const { stream } = residual;
  const place = sampledPlace(0, commonRows, columns);
  const sample = await takeResidualRows(readable, place);
  const { kernels } = readable.runtime;
  const otherShare = await shareOfOthers(place, sample, stream, kernels);
  const alone = await estimateExactRows({ ...sampledInput(readable, place, sample), otherShare });
  const energy = await residual.energy();
  if (commonRows * columns < MIN_LOW_RANK_ELEMENTS || energy === 0) return alone;
  const rank = Math.min(FIRST_RANK, commonRows, columns);
  const engine = await residual.engine();
  const svd = await randomizedSvd(stream, { rank, powerIterations: POWER_ITERATIONS, engine });
  const part = partUnderExact(svd, energy);
  if (part === undefined) return alone;
  const count = Math.min(part.rank, svd.singularValues.length);
  const remainder = subtractLeading(place, sample, svd, { count }, kernels);
  const times = part.squaredError / Math.max(Number.MIN_VALUE, energyLeft(energy, svd, count));
  const approximation = approximationOf(sample, errorOf(remainder, columns, times));
  const input = sampledInput(readable, place, sample, approximation);
  return Math.min(alone, part.byteLength + (await estimateExactRows({ ...input, otherShare })));
}

/** The low-rank part of smallestExactTerms by the model; undefined where there is none. */
function partUnderExact(svd: LowRankFactors, energy: number): LowRankEstimate | undefined {
  const { rows, columns, singularValues } = svd;
  let part: LowRankEstimate | undefined;
  let squaredError = energy;
  for (let round = 0; round < STEP_ROUNDS && squaredError > LEAST_REMAINDER_SHARE * energy; round++) {
    const step = STEP_UNDER_EXACT * Math.sqrt(squaredError / (rows * columns));
    const encoding = { ...EFFORTS.default, step, lambda: LAMBDA };
    part = estimateLowRankPart({ rows, columns, energy, singularValues }, encoding);
    if (part.rank === 0) return undefined;
    squaredError = part.squaredError;
  }
  return part;
}

/**
 * What exact coding of a tensor is expected to take: a sample of its rows is coded for real, on top of what the
 * encoder would put below them. That is not coded: its sizes and errors are those of the model, and its rows those
 * of the leading components, moved away from the residual until they err as much.
 */
import type { FloatDtype } from '../../formats/dtype.js';
import { estimateExactRows } from '../codecs/estimate-exact.js';
import type { LowRankFactors } from '../codecs/low-rank.js';
import type { Kernels } from '../kernels/kernels.js';
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
  type SampledPlace,
  type SampledRows,
  sampledInput,
  sampledPlace,
  takeSampledRows,
} from './sampled-rows.js';

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
  const approximation = approximateRows(place, sample, { svd, energy, ...part }, kernels);
  const input = sampledInput(readable, place, sample, approximation);
  return Math.min(alone, part.byteLength + (await estimateExactRows({ ...input, otherShare })));
}

interface ResidualRows extends SampledRows {
  /** rowCount × columns. */
  readonly residual: Float32Array;
}

async function takeResidualRows(readable: ReadablePair, place: SampledPlace): Promise<ResidualRows> {
  const { pair, runtime } = readable;
  const sample = await takeSampledRows(readable, place);
  const residual = new Float32Array(sample.rowCount * sample.columns);
  const [dtype, baseDtype] = [pair.fineTuned.dtype, pair.base!.dtype] as [FloatDtype, FloatDtype];
  runtime.kernels.subtract(dtype, sample.fineTuned, baseDtype, sample.base!, residual);
  return { ...sample, residual };
}

/**
 * What the rows outside of the sample take over those behind its warm-up: as many times as they are more, rows that
 * are the base's not counted, which take nothing.
 */
async function shareOfOthers(
  { warmUpRows, otherRows }: SampledPlace,
  { residual, rowCount, columns }: ResidualRows,
  stream: MatrixStream,
  kernels: Kernels,
): Promise<number> {
  const ofTaught = rowCount - warmUpRows;
  const changed = changedRows(residual, columns, kernels);
  const changedTaught = changedRows(residual.subarray(warmUpRows * columns), columns, kernels);
  if (otherRows === 0 || changed === rowCount || changedTaught === 0) return otherRows / ofTaught;
  let all = 0;
  for await (const { matrix } of stream.blocks()) all += changedRows(matrix.data, columns, kernels);
  return Math.max(Number.MIN_VALUE, all - changed) / changedTaught;
}

function changedRows(values: Float32Array, columns: number, kernels: Kernels): number {
  let count = 0;
  for (let i = 0; i < values.length; i += columns)
    if (kernels.statistics(values.subarray(i, i + columns)).sumOfSquares > 0) count++;
  return count;
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

/** Terms under exact ones, as the model has them. */
interface Underneath {
  readonly svd: LowRankFactors;
  /** ‖R‖². */
  readonly energy: number;
  /** Components; those that are known are taken. */
  readonly rank: number;
  /** ‖R − R̂‖². */
  readonly squaredError: number;
}

/**
 * R̂ in the sampled rows: the leading components with noise as strong as the rest of the error, of the distribution that
 * the remainder has. Where the error is less than they leave, further components take as much off every element.
 */
function approximateRows(
  { starts, rowsEach }: SampledPlace,
  { rowCount, columns, residual }: ResidualRows,
  { svd, energy, rank, squaredError }: Underneath,
  kernels: Kernels,
): Float32Array {
  const count = Math.min(rank, svd.singularValues.length);
  const kept = svd.singularValues.subarray(0, count).reduce((sum, sigma) => sum + sigma * sigma, 0);
  const left = Math.max(Number.MIN_VALUE, energy - kept);
  const strengths = new Float32Array(count * rowCount);
  for (let k = 0, at = 0; k < count; k++) {
    const strength = -svd.singularValues[k]!;
    for (const start of starts)
      for (let row = start; row < start + rowsEach; row++)
        strengths[at++] = strength * svd.u[k * svd.rows + row]!;
  }
  const remainder = residual.slice();
  const b = svd.v.subarray(0, count * columns);
  const shape = { transposeA: true, m: rowCount, n: columns, k: count };
  kernels.gemm({ ...shape, a: strengths, b, c: remainder, accumulate: true });
  const [own, other] =
    squaredError < left ? [Math.sqrt(squaredError / left), 0] : [1, Math.sqrt(squaredError / left - 1)];
  const rows = residual.slice();
  // Another element of the remainder is as good as a random one.
  const shift = (rowCount >> 1) * columns + (columns >> 1);
  for (let i = 0, j = shift; i < rows.length; i++, j = j + 1 === rows.length ? 0 : j + 1)
    rows[i]! -= own * remainder[i]! + other * remainder[j]!;
  return rows;
}

/**
 * Sampled rows of a residual, and what lossy terms leave of them, as models of these terms say: the terms themselves
 * are not coded.
 */
import type { FloatDtype } from '../../formats/dtype.js';
import type { LowRankFactors } from '../codecs/low-rank.js';
import type { Kernels } from '../kernels/kernels.js';
import type { MatrixStream } from '../linalg/matrix-stream.js';
import type { ReadablePair } from './analyse-tensor.js';
import { type SampledPlace, type SampledRows, takeSampledRows } from './sampled-rows.js';

export interface ResidualRows extends SampledRows {
  /** rowCount × columns. */
  readonly residual: Float32Array;
}

export async function takeResidualRows(readable: ReadablePair, place: SampledPlace): Promise<ResidualRows> {
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
export async function shareOfOthers(
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

/**
 * The rows without the leading components.
 * @param svd of R · diag(√columnWeights)
 */
export function subtractLeading(
  { starts, rowsEach }: SampledPlace,
  { rowCount, columns, residual }: ResidualRows,
  svd: LowRankFactors,
  { count, columnWeights }: { readonly count: number; readonly columnWeights?: Float32Array | undefined },
  kernels: Kernels,
): Float32Array {
  const strengths = new Float32Array(count * rowCount);
  for (let k = 0, at = 0; k < count; k++) {
    const strength = -svd.singularValues[k]!;
    for (const start of starts)
      for (let row = start; row < start + rowsEach; row++)
        strengths[at++] = strength * svd.u[k * svd.rows + row]!;
  }
  let b = svd.v.subarray(0, count * columns);
  if (columnWeights !== undefined) {
    b = b.map((value, i) =>
      columnWeights[i % columns]! > 0 ? value / Math.sqrt(columnWeights[i % columns]!) : 0,
    );
  }
  const remainder = residual.slice();
  const shape = { transposeA: true, m: rowCount, n: columns, k: count };
  kernels.gemm({ ...shape, a: strengths, b, c: remainder, accumulate: true });
  return remainder;
}

/** ‖R‖² less what the leading components hold of it. */
export function energyLeft(energy: number, { singularValues }: LowRankFactors, count: number): number {
  const kept = singularValues.subarray(0, count).reduce((sum, sigma) => sum + sigma * sigma, 0);
  return Math.max(0, energy - kept);
}

/**
 * The error of terms that leave a remainder, or as much of it as of so many times its energy: what quantisers add is noise of
 * the same distribution, and where the error is less, further components take as much off every element.
 * @param times error over energy of the remainder
 */
export function errorOf(remainder: Float32Array, columns: number, times: number): Float32Array {
  const [own, other] = times < 1 ? [Math.sqrt(times), 0] : [1, Math.sqrt(times - 1)];
  const error = new Float32Array(remainder.length);
  // Another element of the remainder is as good as a random one.
  const shift = ((remainder.length / columns) >> 1) * columns + (columns >> 1);
  for (let i = 0, j = shift; i < error.length; i++, j = j + 1 === error.length ? 0 : j + 1)
    error[i] = own * remainder[i]! + other * remainder[j]!;
  return error;
}

/** R̂ of the rows, from R and what it errs by. */
export function approximationOf({ residual }: ResidualRows, error: Float32Array): Float32Array {
  return residual.map((value, i) => value - error[i]!);
}

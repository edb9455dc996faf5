/** Whether two checkpoints look like base and fine-tune at all, from a sample of rows. */
import type { Checkpoint } from '../../formats/checkpoint.js';
import { DTYPES, type FloatDtype } from '../../formats/dtype.js';
import { CheckpointMismatchError } from '../../formats/errors.js';
import { distanceOf, UNRELATED_DISTANCE } from '../sketch/distance.js';
import type { Pairing, TensorPair } from './pair-tensors.js';
import { blockRows, type Runtime } from './runtime.js';

/** Tensors that are looked at, the largest first, and elements of each: some MB of reading in all. */
const SAMPLED_TENSORS = 8;
const SAMPLED_ELEMENTS = 1 << 16;

/** ‖R‖² / (‖W_ft‖² + ‖W_base‖²) over a sample of the matrices; 0 when there is none. */
export async function sampleRelativeResidual(
  pairing: Pairing,
  base: Checkpoint,
  fineTuned: Checkpoint,
  runtime: Runtime,
): Promise<number> {
  const matrices = pairing.pairs.filter((pair) => pair.kind === 'matrix');
  const largest = [...matrices]
    .sort((x, y) => y.fineTuned.byteLength - x.fineTuned.byteLength)
    .slice(0, SAMPLED_TENSORS);
  let residual = 0;
  let weights = 0;
  for (const pair of largest) {
    const sample = await samplePair(pair, base, fineTuned, runtime);
    if (!Number.isFinite(sample.residual + sample.weights)) continue; // Coded exactly anyway.
    residual += sample.residual;
    weights += sample.weights;
  }
  return distanceOf(residual, weights, 0);
}

async function samplePair(
  pair: TensorPair,
  base: Checkpoint,
  fineTuned: Checkpoint,
  { kernels }: Runtime,
): Promise<{ residual: number; weights: number }> {
  const rows = Math.min(
    pair.commonRows,
    blockRows(pair.columns),
    Math.max(1, Math.floor(SAMPLED_ELEMENTS / pair.columns)),
  );
  const elements = rows * pair.columns;
  const read = async (checkpoint: Checkpoint, name: string, dtype: FloatDtype): Promise<Uint8Array> =>
    checkpoint.read(name, 0, (elements * DTYPES[dtype].bits) / 8);
  const dtypes = [pair.fineTuned.dtype, pair.base!.dtype] as [FloatDtype, FloatDtype];
  const bytes = await Promise.all([
    read(fineTuned, pair.fineTuned.name, dtypes[0]),
    read(base, pair.base!.name, dtypes[1]),
  ]);
  const values = new Float32Array(elements);
  let weights = 0;
  for (const side of [0, 1] as const) {
    kernels.toFloat32(dtypes[side], bytes[side], values);
    weights += kernels.statistics(values).sumOfSquares;
  }
  kernels.subtract(dtypes[0], bytes[0], dtypes[1], bytes[1], values);
  return { residual: kernels.statistics(values).sumOfSquares, weights };
}

/** @throws CheckpointMismatchError when the two look unrelated. */
export function assertRelated(relativeResidual: number, base: Checkpoint, fineTuned: Checkpoint): void {
  if (relativeResidual <= UNRELATED_DISTANCE) return;
  throw new CheckpointMismatchError(
    `${base.location} does not look like the base of ${fineTuned.location}: names and shapes match, but the weights are ` +
      `unrelated (‖fine-tuned − base‖² is ${relativeResidual.toFixed(2)} of ‖fine-tuned‖² + ‖base‖²; fine-tunes stay well under ` +
      `${UNRELATED_DISTANCE}). Give the right base, or --force to encode anyway.`,
    { expected: `a relative residual of at most ${UNRELATED_DISTANCE}`, found: relativeResidual.toFixed(2) },
  );
}

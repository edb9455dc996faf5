/** One model pair on its way to an archive and back, and what tests expect of its tensors. */
import { expect } from 'vitest';
import type { Dtype, FloatDtype } from '../../formats/dtype.js';
import type { TensorCase } from '../../src/index.js';
import { normalFloats, randomBytes } from '../kernels/samples.js';
import {
  floatTensor,
  matrixPair,
  modelPair,
  type RoundTrip,
  readHeaders,
  roundTrip,
  valuesOf,
} from './models.js';
import type { TensorToWrite } from './safetensors-bytes.js';
import { withTempFolder } from './temp-folder.js';

/** A matrix pair that every model here holds, so that base and fine-tune are clearly related. */
export const anchor = matrixPair('anchor', [48, 40], 900);

/** A tensor on both sides, or on one. */
export interface Pair {
  readonly base?: TensorToWrite;
  readonly fineTuned?: TensorToWrite;
}

/** Encodes and decodes the pairs and the anchor; the decoded headers are the fine-tune's in any case. */
export async function withRoundTrip(
  pairs: readonly Pair[],
  use: (trip: RoundTrip) => void | Promise<void>,
  options: Parameters<typeof roundTrip>[2] = { budget: { kind: 'rank', rank: 2 } },
): Promise<void> {
  await withTempFolder(async (folder) => {
    const models = modelPair([...pairs, anchor]);
    const trip = await roundTrip(folder, models, options);
    expect(await readHeaders(trip.output)).toEqual(await readHeaders(trip.fineTuned));
    await use(trip);
  });
}

/** The tensor comes out with the very bytes it had, as the case it is. */
export function expectExact(trip: RoundTrip, tensor: TensorToWrite, tensorCase: TensorCase): void {
  expect(trip.tensors.get(tensor.name)).toEqual(tensor.data);
  expect(trip.encoded.get(tensor.name)).toMatchObject({ case: tensorCase, relativeError: 0 });
  expect(trip.inspected.get(tensor.name)).toMatchObject({ case: tensorCase, relativeError: 0 });
}

/** The tensor lost what the report states, measured here; the archive alone tells the same. */
export function expectLossy(trip: RoundTrip, { base, fineTuned }: Pair, tensorCase: TensorCase): void {
  const { name } = fineTuned!;
  const report = trip.encoded.get(name)!;
  expect(report.case).toBe(tensorCase);
  expect(trip.inspected.get(name)).toEqual(report);
  const decoded = valuesOf({ ...fineTuned!, data: trip.tensors.get(name)! });
  const original = valuesOf(fineTuned!);
  const basis = valuesOf(base!);
  let [error, residual] = [0, 0];
  for (const [i, value] of original.entries()) {
    error += (value - decoded[i]!) ** 2;
    residual += i < basis.length ? (value - basis[i]!) ** 2 : 0;
  }
  expect(Math.sqrt(error / residual) / report.relativeError).toBeCloseTo(1, 4);
  expect(report.relativeError).toBeGreaterThan(0);
  expect(report.relativeError).toBeLessThan(0.9);
}

/** The same tensor on both sides. */
export const identical = (tensor: TensorToWrite): Pair => ({ base: tensor, fineTuned: tensor });
/** A tensor of any bytes. */
export const random = (
  name: string,
  dtype: Dtype,
  shape: readonly number[],
  byteLength: number,
  seed = 1,
): TensorToWrite => ({
  name,
  dtype,
  shape,
  data: randomBytes(byteLength, seed),
});
/** A tensor of normal values. */
export const normal = (
  name: string,
  dtype: FloatDtype,
  shape: readonly number[],
  seed: number,
): TensorToWrite =>
  floatTensor(
    name,
    dtype,
    shape,
    normalFloats(
      shape.reduce((a, b) => a * b, 1),
      seed,
    ),
  );

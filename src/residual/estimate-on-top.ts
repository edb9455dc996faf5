/** What the exact term on top of lossy ones is expected to take: a sample of the rows, coded on what these would leave. */
import type { Choice, RateDistortionChoice } from '../allocation/operating-points.js';
import { bitsOf } from '../codecs/bits-profile.js';
import { estimateExactRows } from '../codecs/estimate-exact.js';
import { expectedRelativeError } from '../codecs/scalar-quantizer.js';
import type { Kernels } from '../kernels/kernels.js';
import { estimateResidual, FIRST_RANK, type ResidualToEncode } from '../rate-distortion/encode-residual.js';
import type { ReadablePair } from './analyse-tensor.js';
import {
  approximationOf,
  energyLeft,
  errorOf,
  type ResidualRows,
  shareOfOthers,
  subtractLeading,
  takeResidualRows,
} from './sampled-residual.js';
import { type SampledPlace, sampledInput, sampledPlace } from './sampled-rows.js';

/**
 * Bytes of the term that refineTensor makes on top of a choice.
 * @param productByteLength payload of the product that the residual was recognised as, where it was
 */
export async function estimateOnTop(
  readable: ReadablePair,
  residual: ResidualToEncode,
  choice: Choice,
  productByteLength: number | undefined,
): Promise<number> {
  if (choice.kind === 'exact') return 0;
  const { commonRows, columns } = readable.pair;
  const { kernels } = readable.runtime;
  const place = sampledPlace(0, commonRows, columns);
  const rows = await takeResidualRows(readable, place);
  const sample: Sample = { place, rows, residual, kernels };
  const error = await errorRows(sample, choice, productByteLength);
  const input = sampledInput(readable, place, rows, approximationOf(rows, error));
  const otherShare = await shareOfOthers(place, rows, residual.stream, kernels);
  return estimateExactRows({ ...input, otherShare });
}

interface Sample {
  readonly place: SampledPlace;
  readonly rows: ResidualRows;
  readonly residual: ResidualToEncode;
  readonly kernels: Kernels;
}

/** R − R̂ in the sampled rows. */
async function errorRows(
  sample: Sample,
  choice: Exclude<Choice, { readonly kind: 'exact' }>,
  productByteLength: number | undefined,
): Promise<Float32Array> {
  const { residual: values, columns } = sample.rows;
  switch (choice.kind) {
    case 'none':
      return values;
    case 'sign': {
      const scale = values.reduce((sum, value) => sum + Math.abs(value), 0) / values.length;
      return values.map((value) => value - (value < 0 ? -scale : scale));
    }
    case 'dense': {
      const { stream } = sample.residual;
      const squaredError = (await sample.residual.energy()) * expectedRelativeError(choice.bits);
      const step = Math.sqrt((12 * squaredError) / (stream.rows * columns));
      return values.map((value) => value - step * Math.round(value / step));
    }
    case 'low-rank': {
      // ‖σuvᵀ − σûv̂ᵀ‖² as operating points have it.
      const kept = (k: number): number => (1 - expectedRelativeError(bitsOf(choice.bits, k))) ** 2;
      return lowRankError(sample, choice.rank, (energy, singularValues) =>
        singularValues.reduce((left, sigma, k) => left - sigma * sigma * kept(k), energy),
      );
    }
    case 'rate-distortion':
      return rateDistortionError(sample, choice, productByteLength);
  }
}

/** @param squaredErrorOf ‖R − R̂‖² from ‖R‖² and the singular values of the components */
async function lowRankError(
  sample: Sample,
  rank: number,
  squaredErrorOf: (energy: number, singularValues: Float64Array) => number,
): Promise<Float32Array> {
  const { remainder, left, singularValues } = await withoutLeading(sample, rank);
  const squaredError = squaredErrorOf(await sample.residual.energy(), singularValues);
  return errorOf(
    remainder,
    sample.rows.columns,
    Math.max(0, squaredError) / Math.max(Number.MIN_VALUE, left),
  );
}

async function rateDistortionError(
  sample: Sample,
  choice: RateDistortionChoice,
  productByteLength: number | undefined,
): Promise<Float32Array> {
  const { residual, kernels } = sample;
  const estimate = await estimateResidual(residual, choice, kernels);
  if (productByteLength !== undefined && productByteLength <= estimate.byteLength) {
    return (await withoutLeading(sample, Number.POSITIVE_INFINITY)).remainder;
  }
  if (!estimate.dense) return lowRankError(sample, estimate.rank, () => estimate.squaredError);
  const { remainder } = await withoutLeading(sample, estimate.rank);
  return denseError(remainder, sample, choice);
}

/** What the dense coder leaves. */
function denseError(
  remainder: Float32Array,
  { rows: { rowCount, columns }, residual, kernels }: Sample,
  { step, lambda, denseStates }: RateDistortionChoice,
): Float32Array {
  const { columnWeights } = residual;
  const codes = new Int16Array(remainder.length);
  const encoder = kernels.createMatrixEncoder({ columns, states: denseStates });
  try {
    const request = { values: remainder, factor: 1 / step, rows: rowCount, lambda, codes };
    encoder.encodeRows(columnWeights === undefined ? request : { ...request, columnWeights });
    encoder.endChunk();
  } finally {
    encoder.free();
  }
  const { inner, codeEnergy } = kernels.codeSums(remainder, codes);
  const scale = codeEnergy === 0 ? 0 : inner / codeEnergy;
  return remainder.map((value, i) => value - scale * codes[i]!);
}

/** The rows without the leading components that are known, and ‖R‖² without them. */
async function withoutLeading(
  { place, rows, residual, kernels }: Sample,
  rank: number,
): Promise<{
  readonly remainder: Float32Array;
  readonly left: number;
  readonly singularValues: Float64Array;
}> {
  if (rank === 0) {
    const energy = await residual.energy();
    return { remainder: rows.residual, left: energy, singularValues: new Float64Array(0) };
  }
  const svd = await residual.factors(Math.min(rank, FIRST_RANK));
  const count = Math.min(rank, svd.singularValues.length);
  const { columnWeights } = residual;
  return {
    remainder: subtractLeading(place, rows, svd, { count, columnWeights }, kernels),
    left: energyLeft(await residual.energy(), svd, count),
    singularValues: svd.singularValues.subarray(0, count),
  };
}

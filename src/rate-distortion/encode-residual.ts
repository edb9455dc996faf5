/**
 * Rate–distortion-optimal coding of one residual: minimises ‖R − R̂‖² + λ·bits over {nothing, low-rank,
 * dense, low-rank + dense}, with one step (and so one λ) for the whole model. The number of components
 * falls out: those above water. The cost of the bulk is measured on a sample of its rows.
 */

import { extrapolateSpectrum } from '../allocation/extrapolate-spectrum.js';
import type { EncodedTerm } from '../codecs/codec.js';
import type { TrellisStates } from '../codecs/coded-low-rank.js';
import { prepareRowProduct } from '../codecs/integer-product.js';
import type { LowRankFactors } from '../codecs/low-rank.js';
import { rowsPerBlock } from '../codecs/row-blocks.js';
import type { Kernels } from '../kernels/kernels.js';
import type { GemmEngine } from '../linalg/gemm-engine.js';
import type { MatrixStream } from '../linalg/matrix-stream.js';
import { DenseEncoder } from './dense-encoder.js';
import { type EncodedComponents, encodeComponents } from './encode-components.js';
import type { FactorEncoding } from './encode-factors.js';
import { gaussianCost } from './gaussian-cost.js';
import {
  bestPlan,
  type PlanOptions,
  planResidual,
  pricePlan,
  type ResidualPlan,
  type ResidualSpectrum,
} from './plan-residual.js';
import { measureSample, type ResidualSample, subtractComponents } from './residual-sample.js';

export interface ResidualEncoding extends FactorEncoding {
  /** Trellis states for the dense part. */
  readonly denseStates: TrellisStates;
}

export interface ResidualToEncode {
  readonly stream: MatrixStream;
  /** ‖R · diag(√columnWeights)‖². */
  energy(): Promise<number>;
  /** The leading components of R · diag(√columnWeights): at least `rank`, or all there are. */
  factors(rank: number): Promise<LowRankFactors>;
  /** The leading singular values of the same: at least `rank`, or all there are. */
  singularValues(rank: number): Promise<Float64Array>;
  sample(): Promise<ResidualSample>;
  /** Weight of the squared error in a column, mean 1; default 1. */
  readonly columnWeights?: Float32Array | undefined;
}

/** What a residual is coded as, and what that costs. */
export interface EncodedResidual {
  readonly terms: readonly EncodedTerm[];
  /** ‖R − R̂‖² + λ·bits, in squared weight units. */
  readonly cost: number;
}

/** Components to begin with: enough to see how the spectrum falls. */
export const FIRST_RANK = 32;
/** Plans within this factor of the model's best are coded for real, where that is done at all. */
const MODEL_MARGIN = 1.15;
/** Up to this size every candidate is coded for real; above, the model decides between them. */
const EXHAUSTIVE_ELEMENTS = 1 << 20;
/** Bits cost a little less in planning than in coding: more components, each refitted, measured 0.5 % better. */
export const PLAN_LAMBDA = 0.8;

export async function encodeResidual(
  residual: ResidualToEncode,
  encoding: ResidualEncoding,
  kernels: Kernels,
  engine: GemmEngine,
): Promise<EncodedResidual> {
  const plans = await planCandidates(residual, encoding, kernels);
  let best: EncodedResidual = { terms: [], cost: await residual.energy() };
  for (const plan of plans) {
    const candidate = await encodePlan(residual, plan, encoding, kernels, engine);
    if (candidate !== undefined && candidate.cost < best.cost) best = candidate;
  }
  return best;
}

/** What encodeResidual would arrive at, without coding. */
export interface ResidualEstimate {
  readonly byteLength: number;
  /** ‖R − R̂‖² (weighted). */
  readonly squaredError: number;
  readonly rank: number;
  readonly dense: boolean;
}

/** What trellis-coded factors take of the bits of scalar ones at equal error; measured on a real fine-tune. */
const TRELLIS_SHARE = 0.93;

/** Predicts from the leading components, their continuation, and the sample of rows. */
export async function estimateResidual(
  residual: ResidualToEncode,
  encoding: ResidualEncoding,
  kernels: Kernels,
): Promise<ResidualEstimate> {
  const spectrum = await knownSpectrum(residual, FIRST_RANK);
  const { bulk } = await measureBulk(residual, spectrum, encoding, kernels);
  const { rank, dense } = bestPlan(spectrum, { ...planOptions(encoding), ...bulk });
  const { step, lambda, factorStates } = encoding;
  const { bits, factorBits, squaredError } = pricePlan(spectrum, { rank, dense }, { step, lambda, ...bulk });
  const trellis = factorStates > 1 ? 1 - TRELLIS_SHARE : 0;
  return { byteLength: Math.ceil((bits - trellis * factorBits) / 8), squaredError, rank, dense };
}

interface Plan extends Pick<ResidualPlan, 'rank' | 'dense'> {
  /** Bits per entry of the dense part, about. */
  readonly denseBits: number;
}

/** Plans worth coding for real, the most promising first. */
async function planCandidates(
  residual: ResidualToEncode,
  encoding: ResidualEncoding,
  kernels: Kernels,
): Promise<Plan[]> {
  const { rows, columns } = residual.stream;
  const most = Math.min(rows, columns);
  const margin = rows * columns > EXHAUSTIVE_ELEMENTS ? 1 : MODEL_MARGIN;
  let spectrum = await knownSpectrum(residual, FIRST_RANK);
  const { bulk, bits } = await measureBulk(residual, spectrum, encoding, kernels);
  for (;;) {
    const { withDense, alone } = planResidual(spectrum, { ...planOptions(encoding), ...bulk });
    const lowest = Math.min(withDense.cost, alone.cost);
    const promising = [alone, withDense].filter((plan) => plan.cost <= margin * lowest);
    const wanted = Math.max(...promising.map((plan) => plan.rank));
    if (wanted > spectrum.known && !spectrum.isComplete) {
      // The continuation of the spectrum said how far; a little more, so that this seldom repeats.
      spectrum = await knownSpectrum(residual, Math.min(most, Math.ceil(1.1 * wanted) + 4));
      continue;
    }
    const denseOnly = { rank: 0, dense: true };
    const triesDenseOnly = margin > 1 && withDense.rank > 0 && promising.includes(withDense);
    const plans = triesDenseOnly ? [...promising, denseOnly] : promising;
    return plans
      .filter(({ rank, dense }) => rank > 0 || dense)
      .map(({ rank, dense }) => ({ rank, dense, denseBits: bits }));
  }
}

function planOptions({ step, lambda }: ResidualEncoding): Pick<PlanOptions, 'step' | 'lambda'> {
  return { step, lambda: PLAN_LAMBDA * lambda };
}

interface PlannedSpectrum extends ResidualSpectrum {
  /** Singular values that are no continuation. */
  readonly known: number;
  /** Whether these are all. */
  readonly isComplete: boolean;
}

/** Continued spectra by the known values, which plans at many steps start from. */
const continued = new WeakMap<Float64Array, PlannedSpectrum>();

/** At least `asked` singular values where there are so many, and their continuation. */
async function knownSpectrum(residual: ResidualToEncode, asked: number): Promise<PlannedSpectrum> {
  const { rows, columns } = residual.stream;
  const most = Math.min(rows, columns);
  const known = await residual.singularValues(Math.min(most, asked));
  const cached = continued.get(known);
  if (cached !== undefined) return cached;
  const energy = await residual.energy();
  const isComplete = known.length < Math.min(most, asked) || known.length === most;
  const singularValues = isComplete ? known : extrapolateSpectrum(known, energy, most);
  const spectrum = { rows, columns, energy, singularValues, known: known.length, isComplete };
  continued.set(known, spectrum);
  return spectrum;
}

interface MeasuredBulk {
  readonly bulk: Pick<PlanOptions, 'bulkRatio' | 'bulkRateRatio'>;
  /** Bits per entry. */
  readonly bits: number;
}

/** Real over modelled cost of coding densely what the components above water leave: heavy tails and uneven rows cost less. */
async function measureBulk(
  residual: ResidualToEncode,
  spectrum: PlannedSpectrum,
  encoding: ResidualEncoding,
  kernels: Kernels,
): Promise<MeasuredBulk> {
  const { columnWeights } = residual;
  const rank = planResidual(spectrum, planOptions(encoding)).withDense.rank;
  const sample = subtractComponents(await residual.sample(), rank, kernels);
  const { bits, squaredError, energy } = measureSample(sample, { ...encoding, columnWeights }, kernels);
  const { lambda, step } = encoding;
  const model = gaussianCost(lambda);
  const deviation = Math.sqrt(energy) / step;
  const modelledCost = model.cost(deviation) * step ** 2;
  const modelledRate = model.rate(deviation);
  if (!(modelledCost > 0 && modelledRate > 0)) return { bulk: {}, bits };
  const bulkRatio = Math.min(1, (squaredError + lambda * step ** 2 * bits) / modelledCost);
  return { bulk: { bulkRatio, bulkRateRatio: bits / modelledRate }, bits };
}

/** The low-rank part alone, with what it leaves. */
export interface LowRankPart {
  readonly term: EncodedTerm;
  /** ‖R − R̂‖² (weighted). */
  readonly squaredError: number;
}

/** The components above water at a step, and nothing else; undefined when there are none. */
export async function encodeLowRankPart(
  residual: ResidualToEncode,
  encoding: ResidualEncoding,
  kernels: Kernels,
  engine: GemmEngine,
): Promise<LowRankPart | undefined> {
  const { rows, columns } = residual.stream;
  const most = Math.min(rows, columns);
  const energy = await residual.energy();
  const options = { step: encoding.step, lambda: PLAN_LAMBDA * encoding.lambda };
  for (let asked = Math.min(most, FIRST_RANK); ; asked = Math.min(most, 2 * asked)) {
    const svd = await residual.factors(asked);
    const { alone } = planResidual({ rows, columns, energy, singularValues: svd.singularValues }, options);
    const known = svd.singularValues.length;
    // Fewer than asked for are all there are.
    if (alone.rank === known && known >= asked && known < most) continue;
    if (alone.rank === 0) return undefined;
    const { stream, columnWeights } = residual;
    const source = { stream, energy, svd, rank: alone.rank, columnWeights };
    const part = await encodeComponents(source, encoding, kernels, engine);
    if (part === undefined) return undefined;
    const drop = part.term.chunks.reduce((sum, chunk) => sum + chunk.squaredErrorDrop, 0);
    return { term: part.term, squaredError: Math.max(0, energy - drop) };
  }
}

async function encodePlan(
  residual: ResidualToEncode,
  plan: Plan,
  encoding: ResidualEncoding,
  kernels: Kernels,
  engine: GemmEngine,
): Promise<EncodedResidual | undefined> {
  const { stream, columnWeights } = residual;
  let lowRank: EncodedComponents | undefined;
  if (plan.rank > 0) {
    const svd = await residual.factors(plan.rank);
    const rank = Math.min(plan.rank, svd.singularValues.length);
    const source = { stream, energy: await residual.energy(), svd, rank, columnWeights };
    lowRank = await encodeComponents(source, encoding, kernels, engine);
    if (lowRank === undefined && !plan.dense) return undefined;
  }
  const remainder = await encodeRemainder(residual, lowRank, plan, encoding, kernels);
  const terms = [lowRank?.term, remainder.term].filter((term) => term !== undefined);
  const bits = 8 * ((lowRank?.byteLength ?? 0) + remainder.byteLength);
  return { terms, cost: remainder.squaredError + encoding.lambda * encoding.step ** 2 * bits };
}

interface EncodedRemainder {
  /** Undefined when it is all zeros, or not asked for. */
  readonly term: EncodedTerm | undefined;
  readonly byteLength: number;
  /** ‖R − R̂‖² (weighted) with the low-rank part and this. */
  readonly squaredError: number;
}

/** Subtracts what the low-rank part decodes to, and codes what is left. */
async function encodeRemainder(
  { stream, columnWeights }: ResidualToEncode,
  lowRank: EncodedComponents | undefined,
  { dense: isCoded, denseBits }: Plan,
  encoding: ResidualEncoding,
  kernels: Kernels,
): Promise<EncodedRemainder> {
  const { rows, columns } = stream;
  const blockRows = rowsPerBlock(columns);
  const product = lowRank && prepareRowProduct(lowRank.factors, columns, -lowRank.scale, kernels);
  const dense = new DenseEncoder({ rows, columns, bits: denseBits }, encoding, kernels, columnWeights);
  const chunks: { bytes: Uint8Array; squaredErrorDrop: number }[] = [];
  const codes = new Int16Array(blockRows * columns);
  const remainder = new Float32Array(blockRows * columns);
  let dropBefore = 0;
  try {
    for await (const { start, matrix } of stream.blocks()) {
      for (let first = 0; first < matrix.rows; ) {
        const row = start + first;
        const count = Math.min(matrix.rows - first, blockRows - (row % blockRows));
        const values = remainder.subarray(0, count * columns);
        values.set(matrix.data.subarray(first * columns, (first + count) * columns));
        product?.accumulate(row, count, values);
        if (isCoded) dense.encodeRows(values, count, codes.subarray(0, values.length));
        else dense.countRows(values);
        if (isCoded && ((row + count) % blockRows === 0 || row + count === rows)) {
          const drop = dense.energy - dense.squaredErrorAt(encoding.step / 2);
          chunks.push({
            bytes: dense.endChunk(),
            squaredErrorDrop: Math.max(drop - dropBefore, Number.MIN_VALUE),
          });
          dropBefore = drop;
        }
        first += count;
      }
    }
  } finally {
    product?.free();
    dense.free();
  }
  const scale = dense.bestScale();
  if (scale === 0) return { term: undefined, byteLength: 0, squaredError: dense.energy };
  return {
    term: dense.term(chunks, scale, blockRows),
    byteLength: chunks.reduce((sum, chunk) => sum + chunk.bytes.byteLength, 0),
    squaredError: dense.squaredErrorAt(scale),
  };
}

/**
 * Rate–distortion-optimal coding of one residual: minimises ‖R − R̂‖² + λ·bits over {nothing, low-rank,
 * dense, low-rank + dense}, with one step (and so one λ) for the whole model. The number of components
 * falls out: those above water. The cost of the bulk is measured on a sample of its rows.
 */

import type { EncodedTerm } from '../codecs/codec.js';
import { codedBlockRows, codedDenseTerm } from '../codecs/coded-dense.js';
import type { TrellisStates } from '../codecs/coded-low-rank.js';
import { prepareRowProduct } from '../codecs/integer-product.js';
import type { LowRankFactors } from '../codecs/low-rank.js';
import type { Kernels } from '../kernels/kernels.js';
import type { GemmEngine } from '../linalg/gemm-engine.js';
import type { MatrixStream } from '../linalg/matrix-stream.js';
import { streamProducts } from '../linalg/stream-products.js';
import { type EncodedFactors, encodeFactors, type FactorEncoding } from './encode-factors.js';
import { gaussianCost } from './gaussian-cost.js';
import { planResidual, type ResidualPlan } from './plan-residual.js';

export interface ResidualEncoding extends FactorEncoding {
  /** Trellis states for the dense part. */
  readonly denseStates: TrellisStates;
}

export interface ResidualToEncode {
  /** The residual in weight units, divided by its column gains where it has some. */
  readonly stream: MatrixStream;
  /** ‖R‖² of the stream. */
  readonly energy: number;
  /** The leading components of the stream's matrix, at least `rank` of them. */
  factors(rank: number): Promise<LowRankFactors>;
  /** One a column, for weighted residuals. */
  readonly columnGains?: Uint16Array | undefined;
}

interface Candidate {
  readonly terms: EncodedTerm[];
  /** ‖R − R̂‖² + λ·bits, in squared weight units. */
  readonly cost: number;
}

/** Components to begin with; doubled while all of them lie above water. */
const FIRST_RANK = 16;
/** Up to this size every candidate is coded for real; above, the model decides between them. */
const EXHAUSTIVE_ELEMENTS = 1 << 20;
/** Bits cost a little less in planning than in coding: more components, each refitted, measured 0.5 % better. */
const PLAN_LAMBDA = 0.8;
/** Rows that the cost of the bulk is measured on. */
const SAMPLE_ROWS = 48;

export async function encodeResidual(
  residual: ResidualToEncode,
  encoding: ResidualEncoding,
  kernels: Kernels,
  engine: GemmEngine,
): Promise<EncodedTerm[]> {
  const plans = await planCandidates(residual, encoding, kernels);
  let best: Candidate = { terms: [], cost: residual.energy };
  for (const plan of plans) {
    const candidate = await encodePlan(residual, plan, encoding, kernels, engine);
    if (candidate !== undefined && candidate.cost < best.cost) best = candidate;
  }
  return best.terms;
}

type Plan = Pick<ResidualPlan, 'rank' | 'dense'>;

/** Plans worth coding for real, the most promising first. */
async function planCandidates(
  residual: ResidualToEncode,
  encoding: ResidualEncoding,
  kernels: Kernels,
): Promise<Plan[]> {
  const { rows, columns } = residual.stream;
  const bulkRatio = await measureBulkRatio(residual, encoding, kernels);
  const options = { step: encoding.step, lambda: PLAN_LAMBDA * encoding.lambda, bulkRatio };
  const most = Math.min(rows, columns);
  for (let known = Math.min(most, FIRST_RANK); ; known = Math.min(most, 2 * known)) {
    const { singularValues } = await residual.factors(known);
    const spectrum = {
      rows,
      columns,
      energy: residual.energy,
      singularValues: singularValues.subarray(0, known),
    };
    const { withDense, alone } = planResidual(spectrum, options);
    const best = alone.cost < withDense.cost ? alone : withDense;
    // The winner may want more components than are known; the other one is not followed.
    const isComplete = singularValues.length < known || known === most;
    if (best.rank === known && !isComplete) continue;
    if (rows * columns > EXHAUSTIVE_ELEMENTS) return [best];
    const denseOnly = { rank: 0, dense: true };
    const plans: Plan[] = [withDense, alone, ...(withDense.rank > 0 ? [denseOnly] : [])];
    return plans.filter((plan) => plan.rank > 0 || plan.dense);
  }
}

/** Real over modelled cost of dense coding, on rows spread over the residual: heavy tails and uneven rows cost less. */
async function measureBulkRatio(
  residual: ResidualToEncode,
  encoding: ResidualEncoding,
  kernels: Kernels,
): Promise<number> {
  const { rows, columns } = residual.stream;
  const stride = Math.max(1, Math.floor(rows / SAMPLE_ROWS));
  const sample = new Float32Array(Math.ceil(rows / stride) * columns);
  let filled = 0;
  for await (const { start, matrix } of residual.stream.blocks()) {
    for (let row = (stride - (start % stride)) % stride; row < matrix.rows; row += stride) {
      sample.set(matrix.data.subarray(row * columns, (row + 1) * columns), filled * columns);
      filled++;
    }
  }
  const values = sample.subarray(0, filled * columns);
  const { squaredDistortion, byteLength, energy } = encodeSample(values, filled, columns, encoding, kernels);
  const modelled = values.length * gaussianCost(encoding.lambda).cost(Math.sqrt(energy / values.length));
  return modelled === 0 ? 1 : Math.min(1, (squaredDistortion + encoding.lambda * 8 * byteLength) / modelled);
}

function encodeSample(
  values: Float32Array,
  rows: number,
  columns: number,
  { step, lambda, denseStates: states }: ResidualEncoding,
  kernels: Kernels,
): { squaredDistortion: number; byteLength: number; energy: number } {
  const scaled = values.map((value) => value / step);
  const codes = new Int16Array(values.length);
  const encoder = kernels.createMatrixEncoder({ columns, states });
  encoder.encodeRows(scaled, rows, lambda, codes);
  const { byteLength } = encoder.endChunk();
  encoder.free();
  let squaredDistortion = 0;
  let energy = 0;
  for (let i = 0; i < scaled.length; i++) {
    squaredDistortion += (scaled[i] - codes[i] * 0.5) ** 2;
    energy += scaled[i] ** 2;
  }
  return { squaredDistortion, byteLength, energy };
}

async function encodePlan(
  residual: ResidualToEncode,
  plan: Plan,
  encoding: ResidualEncoding,
  kernels: Kernels,
  engine: GemmEngine,
): Promise<Candidate | undefined> {
  const { stream, columnGains } = residual;
  let lowRank: EncodedFactors | undefined;
  if (plan.rank > 0) {
    const svd = await residual.factors(plan.rank);
    const rank = Math.min(plan.rank, svd.singularValues.length);
    lowRank = await encodeFactors(
      svd,
      rank,
      streamProducts(stream, { engine }),
      encoding,
      kernels,
      engine,
      columnGains,
    );
    if (lowRank === undefined && !plan.dense) return undefined;
  }
  const remainder = await encodeRemainder(residual, lowRank, plan.dense, encoding, kernels);
  const bits = 8 * ((lowRank?.byteLength ?? 0) + remainder.byteLength);
  const terms = [
    ...(lowRank === undefined ? [] : [lowRank.term]),
    ...(remainder.term === undefined ? [] : [remainder.term]),
  ];
  return { terms, cost: remainder.squaredError + encoding.lambda * encoding.step ** 2 * bits };
}

interface EncodedRemainder {
  /** Undefined when it is all zeros, or not asked for. */
  readonly term: EncodedTerm | undefined;
  readonly byteLength: number;
  /** ‖R − R̂‖² with the low-rank part and this. */
  readonly squaredError: number;
}

/** Subtracts what the low-rank part decodes to, and codes what is left. */
async function encodeRemainder(
  residual: ResidualToEncode,
  lowRank: EncodedFactors | undefined,
  dense: boolean,
  { step, lambda, denseStates: states }: ResidualEncoding,
  kernels: Kernels,
): Promise<EncodedRemainder> {
  const { stream, columnGains } = residual;
  const { rows, columns } = stream;
  const blockRows = codedBlockRows(columns);
  // The stream is in units of the column gains, the product is not.
  const product = lowRank && prepareRowProduct(lowRank.factors, columns, lowRank.scale, kernels);
  const encoder = dense ? kernels.createMatrixEncoder({ columns, states }) : undefined;
  const chunks: { bytes: Uint8Array; squaredErrorDrop: number }[] = [];
  const codes = new Int16Array(blockRows * columns);
  let energy = 0;
  let innerProduct = 0;
  let codeEnergy = 0;
  let blockDrop = 0;
  try {
    for await (const { start, matrix } of stream.blocks()) {
      for (let first = 0; first < matrix.rows; ) {
        const row = start + first;
        const count = Math.min(matrix.rows - first, blockRows - (row % blockRows));
        const values = matrix.data.slice(first * columns, (first + count) * columns);
        subtractProduct(product, row, count, columns, values, columnGains);
        for (let i = 0; i < values.length; i++) energy += values[i] * values[i];
        if (encoder !== undefined) {
          const target = codes.subarray(0, values.length);
          encoder.encodeRows(
            values.map((value) => value / step),
            count,
            lambda,
            target,
          );
          for (let i = 0; i < values.length; i++) {
            const code = target[i];
            if (code === 0) continue;
            innerProduct += values[i] * code;
            codeEnergy += code * code;
            blockDrop += values[i] ** 2 - (values[i] - code * 0.5 * step) ** 2;
          }
          if ((row + count) % blockRows === 0 || row + count === rows) {
            chunks.push({
              bytes: encoder.endChunk(),
              squaredErrorDrop: Math.max(blockDrop, Number.MIN_VALUE),
            });
            blockDrop = 0;
          }
        }
        first += count;
      }
    }
  } finally {
    product?.free();
    encoder?.free();
  }
  if (codeEnergy === 0) return { term: undefined, byteLength: 0, squaredError: energy };
  // The scale that fits the codes best: reconstruction points move towards the centroids of their cells.
  const scale = Math.fround(innerProduct / codeEnergy);
  return {
    term: codedDenseTerm(chunks, scale, states, blockRows, columnGains),
    byteLength: chunks.reduce((sum, chunk) => sum + chunk.bytes.byteLength, 0),
    squaredError: energy - 2 * scale * innerProduct + scale * scale * codeEnergy,
  };
}

function subtractProduct(
  product: ReturnType<typeof prepareRowProduct> | undefined,
  row: number,
  count: number,
  columns: number,
  values: Float32Array,
  columnGains: Uint16Array | undefined,
): void {
  if (product === undefined) return;
  const reconstruction = new Float32Array(values.length);
  product.accumulate(row, count, reconstruction);
  for (let i = 0; i < values.length; i++) {
    values[i] -= columnGains === undefined ? reconstruction[i] : reconstruction[i] / columnGains[i % columns];
  }
}

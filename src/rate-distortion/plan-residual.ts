/**
 * How many components of a residual lie above water at a step, and what that costs: the model of
 * Gaussian components that both the encoder's plans and diff's estimates are made of.
 */
import { gaussianCost } from './gaussian-cost.js';

export interface ResidualSpectrum {
  readonly rows: number;
  readonly columns: number;
  /** ‖R‖². */
  readonly energy: number;
  /** Leading singular values, descending; components beyond them are not considered. */
  readonly singularValues: Float64Array;
  /** Whether its low-rank part may share a basis with others; default false. Plans do not depend on it. */
  readonly sharesBasis?: boolean;
}

export interface ResidualPlan {
  /** Components of the low-rank part. */
  readonly rank: number;
  /** Whether the rest is coded densely, or left out. */
  readonly dense: boolean;
  /** Modelled ‖R − R̂‖² / s² + λ·bits. */
  readonly cost: number;
  /** Modelled bits. */
  readonly bits: number;
  /** Modelled ‖R − R̂‖². */
  readonly squaredError: number;
}

export interface PlanOptions {
  /** Quantiser step in weight units. */
  readonly step: number;
  /** Cost of a bit in squared steps. */
  readonly lambda: number;
  /** Real over modelled cost of dense coding, at most 1; default 1. */
  readonly bulkRatio?: number;
  /** Likewise of its bits alone; default: bulkRatio. */
  readonly bulkRateRatio?: number;
}

/** Steps of making a basis, its reflections, that are taken for one residual: about a tenth of a second. */
const LARGEST_BASIS_WORK = 2 ** 24;
/** A basis of less than this share of rows and columns saves under 2 % of the codes. */
const SMALLEST_BASIS_SHARE = 1 / 64;

/** Whether components are coded over an orthonormal basis: where that saves something, and takes no time to speak of. */
export function usesSubspace(
  { rows, columns }: Pick<ResidualSpectrum, 'rows' | 'columns'>,
  rank: number,
): boolean {
  const dimension = Math.min(rows, columns);
  return rank >= SMALLEST_BASIS_SHARE * (rows + columns) && rank * rank * dimension <= LARGEST_BASIS_WORK;
}

/** Codes of component k of so many on either side, with the length of the side. */
function componentSides(
  size: Pick<ResidualSpectrum, 'rows' | 'columns'>,
  k: number,
  rank: number,
): readonly (readonly [codes: number, length: number])[] {
  const shorter = Math.min(size.rows, size.columns);
  const longer = Math.max(size.rows, size.columns);
  // What orthogonality says of a basis vector takes no codes.
  const spanned = usesSubspace(size, rank) ? k : 0;
  return [
    [shorter - spanned, shorter],
    [longer, longer],
  ];
}

/**
 * The cheapest plans with and without a dense part. Component k has `rows` coefficients of deviation
 * σ_k / √rows and `columns` of σ_k / √columns, in the units in which one step serves all, or k fewer on the shorter
 * side; what is left spreads evenly over the entries.
 */
export function planResidual(
  { rows, columns, energy, singularValues }: ResidualSpectrum,
  { step, lambda, bulkRatio = 1, bulkRateRatio = bulkRatio }: PlanOptions,
): { readonly withDense: ResidualPlan; readonly alone: ResidualPlan } {
  const model = gaussianCost(lambda);
  const elements = rows * columns;
  const squaredStep = step ** 2;
  let cost = 0;
  let bits = 0;
  let left = energy / squaredStep;
  const alonePlan = (rank: number): ResidualPlan => ({
    rank,
    dense: false,
    cost: cost + left,
    bits,
    squaredError: (cost - lambda * bits + left) * squaredStep,
  });
  const densePlan = (rank: number): ResidualPlan => {
    const deviation = Math.sqrt(left / elements);
    const bulkCost = elements * model.cost(deviation) * bulkRatio;
    // A bulk that is cheaper left out is coded as zeros, for next to nothing.
    if (bulkCost >= left) return { ...alonePlan(rank), dense: true };
    const bulkBits = elements * model.rate(deviation) * bulkRateRatio;
    const squaredError = (cost - lambda * bits + bulkCost - lambda * bulkBits) * squaredStep;
    return {
      rank,
      dense: true,
      cost: cost + bulkCost,
      bits: bits + bulkBits,
      squaredError,
    };
  };
  let alone = alonePlan(0);
  let withDense = densePlan(0);
  for (const [k, sigma] of singularValues.entries()) {
    for (const [codes, length] of componentSides({ rows, columns }, k, k + 1)) {
      const deviation = sigma / Math.sqrt(length) / step;
      cost += codes * model.cost(deviation);
      bits += codes * model.rate(deviation);
    }
    left = Math.max(0, left - sigma ** 2 / squaredStep);
    const candidate = alonePlan(k + 1);
    if (candidate.cost < alone.cost) alone = candidate;
    const denseCandidate = densePlan(k + 1);
    if (denseCandidate.cost < withDense.cost) withDense = denseCandidate;
  }
  return { withDense, alone };
}

/** What a given plan comes to at these options: the first `rank` components, and the rest dense or left out. */
export function pricePlan(
  spectrum: ResidualSpectrum,
  { rank, dense }: Pick<ResidualPlan, 'rank' | 'dense'>,
  { step, lambda, bulkRatio = 1, bulkRateRatio = bulkRatio }: PlanOptions,
): Pick<ResidualPlan, 'bits' | 'squaredError'> & {
  /** Those of the low-rank part, of all bits. */
  readonly factorBits: number;
} {
  const { rows, columns, energy, singularValues } = spectrum;
  const model = gaussianCost(lambda);
  const elements = rows * columns;
  let factorBits = 0;
  let error = 0;
  let left = energy / step ** 2;
  for (const [k, sigma] of singularValues.subarray(0, rank).entries()) {
    for (const [codes, length] of componentSides(spectrum, k, rank)) {
      const deviation = sigma / Math.sqrt(length) / step;
      const bits = codes * model.rate(deviation);
      factorBits += bits;
      error += codes * model.cost(deviation) - lambda * bits;
    }
    left = Math.max(0, left - sigma ** 2 / step ** 2);
  }
  if (!dense) return { bits: factorBits, factorBits, squaredError: (error + left) * step ** 2 };
  const deviation = Math.sqrt(left / elements);
  const bulkBits = elements * model.rate(deviation) * bulkRateRatio;
  const bulkError = elements * model.cost(deviation) * bulkRatio - lambda * bulkBits;
  return {
    bits: factorBits + bulkBits,
    factorBits,
    squaredError: (error + Math.max(0, bulkError)) * step ** 2,
  };
}

/** The cheaper of the two; without a dense part where that would be all zeros. */
export function bestPlan(spectrum: ResidualSpectrum, options: PlanOptions): ResidualPlan {
  const { withDense, alone } = planResidual(spectrum, options);
  return alone.cost <= withDense.cost ? alone : withDense;
}

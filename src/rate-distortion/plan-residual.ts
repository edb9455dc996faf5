/**
 * How many components of a residual lie above water at a step, and what that costs: the model of
 * Gaussian components that both the encoder's plans and diff's estimates are made of.
 */
import { type GaussianCost, gaussianCost } from './gaussian-cost.js';

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

/** What the first components of a residual take, and what they leave; in squared steps. */
class ComponentSums {
  /** D + λ·bits. */
  cost = 0;
  bits = 0;
  left: number;
  readonly #spectrum: ResidualSpectrum;
  readonly #step: number;
  readonly #model: GaussianCost;

  constructor(spectrum: ResidualSpectrum, { step, lambda }: PlanOptions) {
    this.left = spectrum.energy / step ** 2;
    this.#spectrum = spectrum;
    this.#step = step;
    this.#model = gaussianCost(lambda);
  }

  /**
   * Component k: `rows` coefficients of deviation σ_k / √rows and `columns` of σ_k / √columns, in the units in which
   * one step serves all, or k fewer on the shorter side.
   * @param rank of so many
   */
  add(k: number, rank: number): void {
    const sigma = this.#spectrum.singularValues[k]!;
    for (const [codes, length] of componentSides(this.#spectrum, k, rank)) {
      const deviation = sigma / Math.sqrt(length) / this.#step;
      this.cost += codes * this.#model.cost(deviation);
      this.bits += codes * this.#model.rate(deviation);
    }
    this.left = Math.max(0, this.left - sigma ** 2 / this.#step ** 2);
  }

  /** D of the components alone. */
  get error(): number {
    return this.cost - this.#model.lambda * this.bits;
  }
}

/** What coding the rest takes that spreads evenly over the entries: `left` squared steps in all. */
function bulkCost(
  { rows, columns }: ResidualSpectrum,
  left: number,
  { lambda, bulkRatio = 1, bulkRateRatio = bulkRatio }: PlanOptions,
): { readonly cost: number; readonly bits: number } {
  const model = gaussianCost(lambda);
  const elements = rows * columns;
  const deviation = Math.sqrt(left / elements);
  return {
    cost: elements * model.cost(deviation) * bulkRatio,
    bits: elements * model.rate(deviation) * bulkRateRatio,
  };
}

/** The cheapest plans with and without a dense part. */
export function planResidual(
  spectrum: ResidualSpectrum,
  options: PlanOptions,
): { readonly withDense: ResidualPlan; readonly alone: ResidualPlan } {
  const squaredStep = options.step ** 2;
  const sums = new ComponentSums(spectrum, options);
  const alonePlan = (rank: number): ResidualPlan => ({
    rank,
    dense: false,
    cost: sums.cost + sums.left,
    bits: sums.bits,
    squaredError: (sums.error + sums.left) * squaredStep,
  });
  const densePlan = (rank: number): ResidualPlan => {
    const bulk = bulkCost(spectrum, sums.left, options);
    // A bulk that is cheaper left out is coded as zeros, for next to nothing.
    if (bulk.cost >= sums.left) return { ...alonePlan(rank), dense: true };
    return {
      rank,
      dense: true,
      cost: sums.cost + bulk.cost,
      bits: sums.bits + bulk.bits,
      squaredError: (sums.error + bulk.cost - options.lambda * bulk.bits) * squaredStep,
    };
  };
  let alone = alonePlan(0);
  let withDense = densePlan(0);
  for (const k of spectrum.singularValues.keys()) {
    sums.add(k, k + 1);
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
  options: PlanOptions,
): Pick<ResidualPlan, 'bits' | 'squaredError'> & {
  /** Those of the low-rank part, of all bits. */
  readonly factorBits: number;
} {
  const squaredStep = options.step ** 2;
  const sums = new ComponentSums(spectrum, options);
  for (let k = 0; k < Math.min(rank, spectrum.singularValues.length); k++) sums.add(k, rank);
  const { bits: factorBits, error, left } = sums;
  if (!dense) return { bits: factorBits, factorBits, squaredError: (error + left) * squaredStep };
  const bulk = bulkCost(spectrum, left, options);
  const bulkError = Math.max(0, bulk.cost - options.lambda * bulk.bits);
  return { bits: factorBits + bulk.bits, factorBits, squaredError: (error + bulkError) * squaredStep };
}

/** The cheaper of the two; without a dense part where that would be all zeros. */
export function bestPlan(spectrum: ResidualSpectrum, options: PlanOptions): ResidualPlan {
  const { withDense, alone } = planResidual(spectrum, options);
  return alone.cost <= withDense.cost ? alone : withDense;
}

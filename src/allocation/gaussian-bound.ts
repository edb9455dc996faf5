/**
 * The least number of bits at which any coder can reach an error, for Gaussian data with the
 * residual's spectrum: what the quality statement measures archives against (docs/guide/quality.md).
 *
 * Model: p spikes Σ σ_k u_k v_kᵀ in random directions, on a bulk of independent Gaussian entries.
 * - A spike has m + n − 2p free directions (those of u_k and v_k outside the span of the spikes), its energy σ_k²:
 *   the rate for error D_k is at least (m + n − 2p)/2 · log2(σ_k² / D_k), as each of u_k and v_k, the other
 *   one given, is a point on a sphere, of which a cap of squared radius D_k / σ_k² covers no more.
 * - The bulk has (m − p)(n − p) entries of equal variance: ½·log2(variance / D) each, exact for such data.
 * - What rounding to the fine-tune's own dtype adds is no information: the decoder rounds as well.
 * The total error is spread by reverse water-filling (Cover and Thomas, 10.3.3). Every step errs to the
 * low side, so a coder can only get below by structure that a spectrum does not show: rows of
 * different spread, heavy tails, sparsity.
 */

export interface SpectrumModel {
  readonly rows: number;
  readonly columns: number;
  /** ‖R‖². */
  readonly energy: number;
  /** Leading singular values, descending; may be fewer than min(rows, columns). */
  readonly singularValues: ArrayLike<number>;
  /** Expected ‖·‖² of what rounding to the fine-tune's dtype adds to R; default 0. */
  readonly roundingEnergy?: number;
}

/** Share over the noise edge that a singular value must have to be no part of the bulk, in the limit. */
const EDGE_MARGIN = 1.01;
/** The largest singular value of a finite bulk scatters around its edge by about n^(−2/3), relative and squared. */
const EDGE_SCATTER = 2;

/**
 * The largest singular value of an m × n matrix of independent entries of variance 1, squared: the
 * edge (√m + √n)² of Marchenko and Pastur, with room for the scatter of a finite matrix.
 */
export function noiseEdge(rows: number, columns: number): number {
  const scatter = EDGE_SCATTER * Math.min(rows, columns) ** (-2 / 3);
  return (Math.sqrt(rows) + Math.sqrt(columns)) ** 2 * (EDGE_MARGIN + scatter);
}

/** Spikes are looked for in this share of the spectrum: of the few smallest values every one seems to stand out. */
const LARGEST_SPIKE_SHARE = 0.75;

/**
 * How many leading components stand out of what an even spread of the remaining energy explains:
 * the largest p whose σ_p is over the noise edge of the rest.
 */
export function spikeCount({ rows, columns, energy, singularValues }: SpectrumModel): number {
  let remaining = energy;
  let spikes = 0;
  const known = Math.min(singularValues.length, Math.floor(LARGEST_SPIKE_SHARE * Math.min(rows, columns)));
  for (let k = 0; k < known; k++) {
    const squared = singularValues[k]! ** 2;
    remaining = Math.max(0, remaining - squared);
    const [m, n] = [rows - k - 1, columns - k - 1];
    if (squared > (remaining / (m * n)) * noiseEdge(m, n)) spikes = k + 1;
  }
  return spikes;
}

/** Independent Gaussian components that share an energy evenly. */
interface Component {
  readonly freedom: number;
  readonly energy: number;
}

/**
 * Bits per weight below which no coder gets, for Gaussian data of this spectrum.
 * @param squaredError ‖R − R̂‖², over 0
 */
export function gaussianBits(model: SpectrumModel, squaredError: number): number {
  const { rows, columns, energy, singularValues, roundingEnergy = 0 } = model;
  const spikes = spikeCount(model);
  const freedom = rows + columns - 2 * spikes;
  const components: Component[] = [];
  let bulk = energy;
  for (let k = 0; k < spikes; k++) {
    const squared = singularValues[k]! ** 2;
    components.push({ freedom, energy: squared });
    bulk -= squared;
  }
  components.push({
    freedom: (rows - spikes) * (columns - spikes),
    energy: Math.max(0, bulk - roundingEnergy),
  });
  return waterFilling(components, squaredError) / (rows * columns);
}

/** Bits for Σ errors = squaredError, where each component errs by the same per degree of freedom or is dropped. */
function waterFilling(components: readonly Component[], squaredError: number): number {
  const variance = ({ energy, freedom }: Component): number => (freedom > 0 ? energy / freedom : 0);
  const ordered = components
    .filter((component) => variance(component) > 0)
    .sort((x, y) => variance(y) - variance(x));
  // Drop the weakest until the level that the others reach lies under all of them.
  let left = squaredError;
  let freedom = ordered.reduce((sum, component) => sum + component.freedom, 0);
  for (let kept = ordered.length; kept > 0; kept--) {
    const weakest = ordered[kept - 1]!;
    const level = left / freedom;
    if (level <= variance(weakest)) {
      return ordered
        .slice(0, kept)
        .reduce((sum, part) => sum + (part.freedom / 2) * Math.log2(variance(part) / level), 0);
    }
    left -= weakest.energy;
    freedom -= weakest.freedom;
  }
  return 0;
}

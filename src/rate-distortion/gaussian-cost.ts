/**
 * What an entropy-coded scalar quantiser costs on a Gaussian source, as a function of the source's
 * spread: the model that rate–distortion planning uses before real bytes are known.
 *
 * Unit step; a level k costs the ideal −log2 p_k bits; thresholds minimise D + λ·R, so that zero is
 * wider than the other cells (RDOQ). J = D + λ·R per sample, in squared steps.
 */

export interface GaussianCost {
  /** Cost of a bit, in squared steps. */
  readonly lambda: number;
  /**
   * D + λ·R of one sample of a Gaussian with this standard deviation, in steps: 0 for 0, Infinity for Infinity.
   * @throws RangeError for NaN and for less than 0
   */
  cost(deviation: number): number;
  /** Bits per sample, likewise: 0 for whatever is not worth a bit, Infinity for Infinity. */
  rate(deviation: number): number;
}

/** Grid of log2(deviation): below it everything is zero, above it (2.8) the high-rate formulas hold to 0.1 %. */
const GRID_START = -4;
const GRID_END = 1.5;
const GRID_STEP = 0.125;
/** Levels on one side that are told apart: more than 7 of the largest deviation. */
const LEVELS = 24;
/** Rounds of alternating between thresholds and code lengths; converged to 1e-4 of J. */
const ROUNDS = 16;
/** Samples of the half-normal density, to 7 deviations. */
const SAMPLES = 1500;

const cache = new Map<number, GaussianCost>();

/** The cost model for one λ over 0; made once. */
export function gaussianCost(lambda: number): GaussianCost {
  let cost = cache.get(lambda);
  if (cost === undefined) {
    cost = makeCost(lambda);
    cache.set(lambda, cost);
  }
  return cost;
}

function makeCost(lambda: number): GaussianCost {
  const count = Math.round((GRID_END - GRID_START) / GRID_STEP) + 1;
  const points = Array.from({ length: count }, (_, i) => optimize(2 ** (GRID_START + i * GRID_STEP), lambda));
  const interpolate = (deviation: number, pick: (point: Point) => number): number => {
    const position = (Math.log2(deviation) - GRID_START) / GRID_STEP;
    const index = Math.min(count - 2, Math.floor(position));
    const fraction = position - index;
    return pick(points[index]) * (1 - fraction) + pick(points[index + 1]) * fraction;
  };
  const highRate = (deviation: number): Point => {
    // The deviation by itself: its square leaves the range of float64 long before it does.
    const rate = 0.5 * Math.log2(2 * Math.PI * Math.E) + Math.log2(deviation);
    return { rate, distortion: 1 / 12 };
  };
  return {
    lambda,
    cost(deviation) {
      assertDeviation(deviation);
      const squared = deviation * deviation;
      if (deviation < 2 ** GRID_START) return squared;
      if (deviation >= 2 ** GRID_END) {
        const { rate, distortion } = highRate(deviation);
        return distortion + lambda * rate;
      }
      return Math.min(
        squared,
        interpolate(deviation, ({ rate, distortion }) => distortion + lambda * rate),
      );
    },
    rate(deviation) {
      assertDeviation(deviation);
      if (deviation < 2 ** GRID_START) return 0;
      return deviation >= 2 ** GRID_END
        ? highRate(deviation).rate
        : interpolate(deviation, ({ rate }) => rate);
    },
  };
}

/** NaN is what a step of 0 makes of a residual of 0: the caller has nothing to quantise, and must not ask. */
function assertDeviation(deviation: number): void {
  if (!(deviation >= 0)) throw new RangeError(`expected a deviation of 0 steps or more, got ${deviation}`);
}

interface Point {
  /** Bits per sample. */
  readonly rate: number;
  /** Squared steps per sample. */
  readonly distortion: number;
}

/** Alternates between thresholds for given code lengths and code lengths for given thresholds. */
function optimize(deviation: number, lambda: number): Point {
  const width = (7 * deviation) / SAMPLES;
  const weights = new Float64Array(SAMPLES);
  let total = 0;
  for (let i = 0; i < SAMPLES; i++) {
    const value = ((i + 0.5) * width) / deviation;
    weights[i] = Math.exp(-0.5 * value * value);
    total += weights[i];
  }
  const thresholds = Float64Array.from({ length: LEVELS }, (_, k) => k + 0.6);
  let point: Point = { rate: 0, distortion: deviation * deviation };
  for (let round = 0; round < ROUNDS; round++) {
    const mass = new Float64Array(LEVELS + 1);
    let distortion = 0;
    let level = 0;
    for (let i = 0; i < SAMPLES; i++) {
      const value = (i + 0.5) * width;
      while (level < LEVELS && value >= thresholds[level]) level++;
      const weight = weights[i] / total;
      mass[level] += weight;
      distortion += weight * (value - level) ** 2;
    }
    // A sign bit for every level but zero.
    const bits = mass.map((p, k) => -Math.log2(p + 1e-13) + (k > 0 ? 1 : 0));
    // What keeps the logarithm finite makes the code length of a certain level a little less than 0.
    const rate = Math.max(
      0,
      mass.reduce((sum, p, k) => sum + p * bits[k], 0),
    );
    point = { rate, distortion };
    for (let k = 1; k <= LEVELS; k++) {
      const best = (2 * k - 1 + lambda * Math.min(bits[k] - bits[k - 1], 40)) / 2;
      thresholds[k - 1] = Math.max(k > 1 ? thresholds[k - 2] : 0, (thresholds[k - 1] + best) / 2);
    }
  }
  return point;
}

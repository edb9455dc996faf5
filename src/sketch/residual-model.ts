/**
 * What it takes to code a value given a prediction, estimated from a few of them: a mixture of "does not differ" and a
 * difference of unknown spread, of which the value's own cell has some probability. That is what the coders of
 * exact values and of quantised residuals come to once they have adapted.
 */

/** One sample: the cell of the difference that its code stands for, [low, high], and whether it is that of no difference. */
export interface Cell {
  readonly low: number;
  readonly high: number;
  readonly isZero: boolean;
}

/** How differences are spread over the values of one tensor. */
export interface ResidualModel {
  /** Share of values that do not differ beyond what the spread explains, in [0, 1]. */
  readonly unchanged: number;
  /** Scale of the differences of the others. */
  readonly scale: number;
  /** Mean code length of the cells in bits. */
  readonly bits: number;
}

/**
 * Octaves of the scales that are tried first, relative to the root mean square of the differences, which outliers make
 * much larger than the scale of most. Then half a step on either side of the best, twice: to half an octave.
 */
const FIRST_OCTAVES = [-8, -6, -4, -2, 0, 2] as const;
const FINER_STEPS = [1, 0.5] as const;

/** What a value takes at most: outliers are escaped. */
export const ESCAPED_BITS = 40;
/** No cell is taken to be rarer. */
const LEAST_MASS = 2 ** -ESCAPED_BITS;

/** Steps of expectation–maximisation: the share has settled to a percent by then. */
const SHARE_STEPS = 8;

/** Cumulative distributions below 0, of scale 1; both are symmetric. Residuals lie between them in their tails. */
const TAILS = [
  (x: number) => 0.5 * Math.exp(x), // Laplace
  (x: number) => 1 / (1 + Math.exp(-1.7 * x)), // logistic, which is within 0.01 of a Gaussian
] as const;

/** The model under which the cells have the shortest code. @param cells at least one */
export function fitResidual(cells: readonly Cell[]): ResidualModel {
  const squares = cells.reduce(
    (sum, { low, high }) => sum + ((low + high) / 2) ** 2 + (high - low) ** 2 / 12,
    0,
  );
  const spread = Math.sqrt(squares / cells.length);
  let best: ResidualModel = { unchanged: 1, scale: 0, bits: Number.POSITIVE_INFINITY };
  for (const tail of TAILS) {
    const fitAt = (octave: number) => {
      const scale = spread * 2 ** octave;
      const masses = cells.map((cell) => Math.max(LEAST_MASS, massOf(cell, scale, tail)));
      return { octave, fitted: { scale, ...fitUnchanged(cells, masses) } };
    };
    let fits = FIRST_OCTAVES.map(fitAt);
    for (const step of FINER_STEPS) {
      const nearest = shortest(fits);
      fits = [nearest, fitAt(nearest.octave - step), fitAt(nearest.octave + step)];
    }
    const { fitted } = shortest(fits);
    if (fitted.bits < best.bits) best = fitted;
  }
  return best;
}

function shortest<Fit extends { readonly fitted: ResidualModel }>(fits: readonly Fit[]): Fit {
  return fits.reduce((best, fit) => (fit.fitted.bits < best.fitted.bits ? fit : best));
}

function massOf({ low, high }: Cell, scale: number, tail: (x: number) => number): number {
  if (scale === 0) return low <= 0 && high >= 0 ? 1 : 0;
  // Above 0 from the other side, where differences of small numbers keep their digits.
  if (low >= 0) return tail(-low / scale) - tail(-high / scale);
  if (high <= 0) return tail(high / scale) - tail(low / scale);
  return 1 - tail(low / scale) - tail(-high / scale);
}

/** The share of unchanged values that fits best beside a spread, without and with. */
function fitUnchanged(
  cells: readonly Cell[],
  masses: readonly number[],
): Pick<ResidualModel, 'unchanged' | 'bits'> {
  let unchanged = 0.5;
  for (let step = 0; step < SHARE_STEPS; step++) {
    let expected = 0;
    cells.forEach(({ isZero }, i) => {
      if (isZero) expected += unchanged / (unchanged + (1 - unchanged) * masses[i]!);
    });
    unchanged = expected / cells.length;
  }
  // As if one of the values had come out either way by half: a sample of equal values does not prove that all are.
  unchanged = Math.min(unchanged, 1 - 0.5 / (cells.length + 1));
  const lengths = [0, unchanged].map((share) => ({
    unchanged: share,
    bits: codeLength(cells, masses, share),
  }));
  return lengths[0]!.bits <= lengths[1]!.bits ? lengths[0]! : lengths[1]!;
}

/** Mean −log2 of the cells' probabilities. */
function codeLength(cells: readonly Cell[], masses: readonly number[], unchanged: number): number {
  const bits = cells.reduce(
    (sum, { isZero }, i) => sum - Math.log2((isZero ? unchanged : 0) + (1 - unchanged) * masses[i]!),
    0,
  );
  return bits / cells.length;
}

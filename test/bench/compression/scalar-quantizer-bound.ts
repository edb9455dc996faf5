/**
 * The ideal entropy-coded scalar quantiser of a Gaussian source: no quantiser that looks at one value at a
 * time, with an entropy coder that loses nothing, gets below its curve. Designed for each slope as by Chou,
 * Lookabaugh and Gray (1989): thresholds where error + λ·bits of neighbouring levels are equal, levels at
 * the centroids between them.
 */
import type { CurvePoint } from './curve.js';

/** Cells of the grid that integrals are sums over, and its half width in standard deviations. */
const CELLS = 2000;
const HALF_WIDTH = 6;
const ROUNDS = 150;

const CENTRES = Float64Array.from({ length: CELLS }, (_, i) => HALF_WIDTH * ((2 * i + 1) / CELLS - 1));
const MASSES = CENTRES.map((x) => Math.exp((-x * x) / 2));
const TOTAL = MASSES.reduce((sum, mass) => sum + mass, 0);

interface Level {
  readonly value: number;
  readonly bits: number;
}

/** The optimum for error + slope · bits, of variance 1. */
export function idealScalarQuantizer(slope: number): CurvePoint {
  // At high rates levels are √(6·slope / ln 2) apart; more of them than needed do no harm, they die out.
  const spacing = Math.max(0.1, Math.sqrt((6 * slope) / Math.LN2)) * 0.9;
  const reach = Math.ceil(5 / spacing);
  let levels: Level[] = Array.from({ length: 2 * reach + 1 }, (_, i) => ({
    value: (i - reach) * spacing,
    bits: 4,
  }));
  let point: CurvePoint = { bitsPerWeight: 0, squaredError: 1 };
  for (let round = 0; round < ROUNDS; round++) [levels, point] = refine(levels, slope);
  return point;
}

/** One round of Lloyd's algorithm with a price on bits. */
function refine(levels: readonly Level[], slope: number): [Level[], CurvePoint] {
  const mass = new Float64Array(levels.length);
  const moment = new Float64Array(levels.length);
  const energy = new Float64Array(levels.length);
  let best = 0;
  for (let i = 0; i < CELLS; i++) {
    const x = CENTRES[i]!;
    const cost = ({ value, bits }: Level): number => (x - value) ** 2 + slope * bits;
    // Levels ascend, and so do the cells that choose them.
    for (let next = best + 1; next < levels.length; next++) {
      if (cost(levels[next]!) < cost(levels[best]!)) best = next;
    }
    const share = MASSES[i]! / TOTAL;
    mass[best]! += share;
    moment[best]! += share * x;
    energy[best]! += share * x * x;
  }
  const refined: Level[] = [];
  let bitsPerWeight = 0;
  let squaredError = 0;
  mass.forEach((share, i) => {
    if (share === 0) return;
    const bits = -Math.log2(share);
    refined.push({ value: moment[i]! / share, bits });
    bitsPerWeight += share * bits;
    squaredError += energy[i]! - moment[i]! ** 2 / share;
  });
  return [refined, { bitsPerWeight, squaredError }];
}

/** Bits per weight of the ideal scalar quantiser at an error between 0.01 and 0.95 of the variance. */
export function idealScalarBits(squaredError: number): number {
  if (!(squaredError >= 0.01 && squaredError <= 0.95)) {
    throw new RangeError(`expected a squared error in [0.01, 0.95], got ${squaredError}`);
  }
  // The error grows with the slope.
  let [low, high] = [1e-4, 2];
  for (let i = 0; i < 30; i++) {
    const middle = Math.sqrt(low * high);
    if (idealScalarQuantizer(middle).squaredError < squaredError) low = middle;
    else high = middle;
  }
  return idealScalarQuantizer(low).bitsPerWeight;
}

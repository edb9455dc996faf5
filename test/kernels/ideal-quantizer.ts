/**
 * The ideal entropy-coded scalar quantiser of a standard normal source: uniform thresholds with a dead zone,
 * centroids, and the entropy of its levels. Integrals over a fine grid; good to about 1e-5 bit.
 */

const SPACING = 1 / 2048;
const END = 9;
const POINTS = END / SPACING;

// Mass and first moment of the density over [0, i · SPACING).
const mass = new Float64Array(POINTS + 1);
const moment = new Float64Array(POINTS + 1);
for (let i = 0; i < POINTS; i++) {
  const x = (i + 0.5) * SPACING;
  const weight = (Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI)) * SPACING;
  mass[i + 1] = mass[i] + weight;
  moment[i + 1] = moment[i] + weight * x;
}

function until(sums: Float64Array, x: number): number {
  const at = Math.min(x / SPACING, POINTS - 1e-9);
  const i = Math.floor(at);
  return sums[i] + (sums[i + 1] - sums[i]) * (at - i);
}

function performance({ step, rounding }: { step: number; rounding: number }): {
  bits: number;
  distortion: number;
} {
  const entropy = (p: number) => (p > 0 ? -p * Math.log2(p) : 0);
  let threshold = step * (1 - rounding);
  let bits = entropy(2 * until(mass, threshold));
  let distortion = 1;
  for (; threshold < END; threshold += step) {
    const p = until(mass, threshold + step) - until(mass, threshold);
    if (p < 1e-12) break;
    bits += 2 * entropy(p);
    distortion -= (2 * (until(moment, threshold + step) - until(moment, threshold)) ** 2) / p;
  }
  return { bits, distortion };
}

/** Least bits per sample of the ideal quantiser at a squared error between 0.001 and 0.95. */
export function idealBits(distortion: number): number {
  let best = Number.POSITIVE_INFINITY;
  for (let rounding = 0; rounding <= 0.5; rounding += 0.02) {
    let low = 0.05;
    let high = 12;
    for (let i = 0; i < 40; i++) {
      const step = (low + high) / 2;
      if (performance({ step, rounding }).distortion > distortion) high = step;
      else low = step;
    }
    best = Math.min(best, performance({ step: low, rounding }).bits);
  }
  return best;
}

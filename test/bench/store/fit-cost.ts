/** The constants of src/store/decode-cost.ts, from what was measured. */
import type { DecodeTime } from './measure-checkouts.js';

export interface FittedCost {
  /** Milliseconds of processor time for a million coded bytes. */
  readonly msPerMegabyte: number;
  /** Of one step of one element, and of one element of the result, in coded bytes. */
  readonly stepBytesPerElement: number;
  readonly outputBytesPerElement: number;
  /** Largest deviation from what was measured, relative. */
  readonly worst: number;
}

/**
 * Least squares of time = rate · (bytes + step · stepped elements + output · elements), over relative deviations, with
 * no constant under 0. Undefined with fewer points than constants.
 */
export function fitCost(points: readonly DecodeTime[], threads: number): FittedCost | undefined {
  const rows = points.map(({ cost, processorMs }) => ({
    terms: [cost.chainByteLength, cost.steppedElementCount, cost.elementCount],
    ms: processorMs.get(threads)!,
  }));
  if (rows.length < 3) return undefined;
  let best: Fit | undefined;
  for (const used of [[0], [0, 1], [0, 2], [0, 1, 2]]) {
    const fit = fitOf(rows, used);
    if (fit.rates.every((rate) => rate >= 0) && (best === undefined || fit.error < best.error)) best = fit;
  }
  if (best === undefined) return undefined;
  const [perByte, perStep, perOutput] = best.rates as [number, number, number];
  return {
    msPerMegabyte: perByte * 1e6,
    stepBytesPerElement: perStep / perByte,
    outputBytesPerElement: perOutput / perByte,
    worst: Math.max(...deviationsOf(rows, best.rates)),
  };
}

interface Fit {
  /** Milliseconds for each of a row's terms. */
  readonly rates: readonly number[];
  readonly error: number;
}

function fitOf(rows: readonly Row[], used: readonly number[]): Fit {
  const found = solve(rows, used);
  const rates = [0, 1, 2].map((term) => (used.includes(term) ? found[used.indexOf(term)]! : 0));
  return { rates, error: deviationsOf(rows, rates).reduce((sum, deviation) => sum + deviation ** 2, 0) };
}

/** Relative, of what the rates give from what was measured. */
function deviationsOf(rows: readonly Row[], rates: readonly number[]): number[] {
  return rows.map(({ terms, ms }) => {
    const expected = terms.reduce((sum, term, i) => sum + term * rates[i]!, 0);
    return Math.abs(expected / ms - 1);
  });
}

interface Row {
  readonly terms: readonly number[];
  readonly ms: number;
}

/** Normal equations, by Gaussian elimination. */
function solve(rows: readonly Row[], used: readonly number[]): number[] {
  const n = used.length;
  // Scaled, so that the equations are well-conditioned.
  const scales = used.map((term) => Math.max(...rows.map(({ terms }) => terms[term]!)));
  const matrix = Array.from({ length: n }, () => new Float64Array(n + 1));
  for (const { terms, ms } of rows) {
    const x = used.map((term, i) => terms[term]! / scales[i]! / ms);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) matrix[i]![j]! += x[i]! * x[j]!;
      matrix[i]![n]! += x[i]!;
    }
  }
  for (let i = 0; i < n; i++) {
    const pivot = matrix[i]![i]!;
    for (let k = i + 1; k < n; k++) {
      const factor = matrix[k]![i]! / pivot;
      for (let j = i; j <= n; j++) matrix[k]![j]! -= factor * matrix[i]![j]!;
    }
  }
  const found = new Array<number>(n).fill(0);
  for (let i = n - 1; i >= 0; i--) {
    let rest = matrix[i]![n]!;
    for (let j = i + 1; j < n; j++) rest -= matrix[i]![j]! * found[j]!;
    found[i] = rest / matrix[i]![i]!;
  }
  return found.map((value, i) => value / scales[i]!);
}

/** Matrices of known spectrum, and the distance of a truncated SVD from the best one. */
import type { GemmEngine } from '../../src/linalg/gemm-engine.js';
import type { Matrix } from '../../src/linalg/matrix.js';
import { orthonormalize } from '../../src/linalg/orthonormalize.js';
import { sketchMatrix } from '../../src/linalg/sketch.js';
import type { TruncatedSvd } from '../../src/linalg/svd-result.js';

/** Name, and the i-th of n singular values. */
export const spectra: [string, (i: number, n: number) => number][] = [
  ['power law 1/√i', (i) => (i + 1) ** -0.5],
  ['power law 1/i', (i) => 1 / (i + 1)],
  ['power law 1/i²', (i) => (i + 1) ** -2],
  ['geometric', (i) => 0.9 ** i],
  ['linear', (i, n) => 1 - i / n],
  ['square root, then nothing', (i, n) => Math.sqrt(Math.max(0, 1 - (2 * i) / n))],
  ['flat', () => 1],
  ['staircase', (i) => 2 ** -Math.floor(i / 10)],
  ['low rank and noise', (i) => (i < 12 ? 1 : 1e-3)],
  ['one spike over a linear bulk', (i, n) => (i === 0 ? 100 : 1 - i / n)],
  ['one spike so high that float32 hides the bulk’s decrease', (i, n) => (i === 0 ? 1e4 : 1 - i / n)],
];

/** rows × columns with the given singular values (at most the shorter side) and random vectors. */
export async function matrixWithSpectrum(
  engine: GemmEngine,
  rows: number,
  columns: number,
  singularValues: readonly number[],
  seed = 1,
): Promise<Matrix> {
  const rank = singularValues.length;
  const { q: left } = await orthonormalize(sketchMatrix(rows, rank, seed), { engine });
  const { q: right } = await orthonormalize(sketchMatrix(columns, rank, seed + 1), { engine });
  for (let i = 0; i < left.data.length; i++) left.data[i] *= singularValues[i % rank];
  return engine.multiply(left, right, { transposeB: true });
}

/** ‖R − R_r‖² for r = 1 … rank, directly from the entries, in float64. */
export function squaredErrors(matrix: Matrix, svd: TruncatedSvd): number[] {
  const { rows, columns } = matrix;
  const rest = Float64Array.from(matrix.data);
  const errors: number[] = [];
  for (let component = 0; component < svd.rank; component++) {
    let sum = 0;
    for (let i = 0; i < rows; i++) {
      const factor = svd.singularValues[component] * svd.u[component * rows + i];
      for (let j = 0; j < columns; j++) {
        rest[i * columns + j] -= factor * svd.v[component * columns + j];
        sum += rest[i * columns + j] ** 2;
      }
    }
    errors.push(sum);
  }
  return errors;
}

/**
 * The largest of ‖R − R_r‖ / (Eckart–Young optimum) − 1 over r ≤ rank. Optima below `floor` · ‖R‖ are
 * rounding noise of float32 products; there ‖R − R_r‖ itself counts against the floor.
 */
export function worstExcess(
  matrix: Matrix,
  svd: TruncatedSvd,
  singularValues: ArrayLike<number>,
  floor = 1e-5,
): number {
  const squares = Array.from(singularValues, (value) => value ** 2).sort((a, b) => b - a);
  const energy = squares.reduce((sum, value) => sum + value, 0);
  const tails = new Float64Array(squares.length + 1);
  for (let i = squares.length - 1; i >= 0; i--) tails[i] = tails[i + 1] + squares[i];
  let worst = 0;
  squaredErrors(matrix, svd).forEach((error, index) => {
    const optimum = Math.max(tails[Math.min(index + 1, squares.length)], floor ** 2 * energy);
    if (optimum > 0) worst = Math.max(worst, Math.sqrt(error / optimum) - 1);
  });
  return worst;
}

/** max |Q Qᵀ − I| over the rows of a count × length matrix, in float64. */
export function deviationOfRows(vectors: Float32Array, count: number, length: number): number {
  let worst = 0;
  for (let i = 0; i < count; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let p = 0; p < length; p++) sum += vectors[i * length + p] * vectors[j * length + p];
      worst = Math.max(worst, Math.abs(sum - (i === j ? 1 : 0)));
    }
  }
  return worst;
}

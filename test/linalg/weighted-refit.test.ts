import { expect, test } from 'vitest';
import { openGemmEngine } from '../../src/linalg/gemm-engine.js';
import { createMatrix, type Matrix, rowRange } from '../../src/linalg/matrix.js';
import { type MatrixStream, streamMatrix } from '../../src/linalg/matrix-stream.js';
import { balancedFactors, productSvd } from '../../src/linalg/product-svd.js';
import { randomizedSvd } from '../../src/linalg/randomized-svd.js';
import { streamProducts } from '../../src/linalg/stream-products.js';
import { type WeightedBlock, weightedRefit } from '../../src/linalg/weighted-refit.js';
import { solveOtherSide } from '../../src/rate-distortion/component-matrix.js';
import { gaussian } from '../helpers/random.js';
import { plainGemm } from './plain-gemm.js';
import { matrixWithSpectrum } from './spectra.js';

const { engine } = await openGemmEngine({ fallback: plainGemm, preferred: 'wasm' });

function random(rows: number, columns: number, seed: number): Matrix {
  const next = gaussian(seed);
  return createMatrix(rows, columns, Float32Array.from({ length: rows * columns }, next));
}

async function* weightedBlocks(
  residual: Matrix,
  weights: Matrix,
  step: number,
): AsyncIterable<WeightedBlock> {
  for (let start = 0; start < residual.rows; start += step) {
    const end = Math.min(start + step, residual.rows);
    yield { start, residual: rowRange(residual, start, end), weights: rowRange(weights, start, end) };
  }
}

function squaredDistance(x: Matrix, y: Matrix, weights?: Matrix): number {
  return x.data.reduce((sum, value, i) => sum + (value - y.data[i]!) ** 2 * (weights?.data[i] ?? 1), 0);
}

const product = (a: Matrix, b: Matrix): Promise<Matrix> => engine.multiply(a, b, { transposeB: true });

test('with entries of different noise, weights find the product where the plain SVD averages', async () => {
  const [rows, columns, rank] = [120, 90, 3];
  const exact = await product(random(rows, rank, 1), random(columns, rank, 2));
  const noise = random(rows, columns, 3);
  const next = gaussian(4);
  // A fifth of the entries is known a hundred times better.
  const spreads = noise.data.map(() => (Math.abs(next()) > 1.28 ? 0.01 : 1));
  const residual = createMatrix(
    rows,
    columns,
    exact.data.map((value, i) => value + spreads[i]! * noise.data[i]!),
  );
  const weights = createMatrix(
    rows,
    columns,
    spreads.map((spread) => (0.01 / spread) ** 2),
  );
  const svd = await randomizedSvd(streamMatrix(residual), { rank, engine });
  const { a, b } = balancedFactors(svd, rank);
  const before = squaredDistance(await product(a, b), exact);
  for (let i = 0; i < 6; i++) await weightedRefit(weightedBlocks(residual, weights, 32), a, b, { engine });
  expect(squaredDistance(await product(a, b), exact)).toBeLessThan(before / 100);
});

test('equal weights leave a truncated SVD where it is: it is the optimum', async () => {
  const residual = await matrixWithSpectrum(engine, 60, 40, [9, 7, 5, 1, 0.5]);
  const weights = createMatrix(60, 40, new Float32Array(2400).fill(1));
  const { a, b } = balancedFactors(await randomizedSvd(streamMatrix(residual), { rank: 3, engine }), 3);
  const before = await product(a, b);
  await weightedRefit(weightedBlocks(residual, weights, 60), a, b, { engine });
  expect(squaredDistance(await product(a, b), before)).toBeLessThan(1e-6);
});

test('no iteration raises the weighted error', async () => {
  const residual = random(50, 70, 8);
  const weights = createMatrix(
    50,
    70,
    random(50, 70, 9).data.map((value) => Math.min(1, value ** 2)),
  );
  const { a, b } = balancedFactors(await randomizedSvd(streamMatrix(residual), { rank: 4, engine }), 4);
  let error = squaredDistance(await product(a, b), residual, weights);
  for (let i = 0; i < 4; i++) {
    await weightedRefit(weightedBlocks(residual, weights, 17), a, b, { engine });
    const next = squaredDistance(await product(a, b), residual, weights);
    expect(next).toBeLessThanOrEqual(error * (1 + 1e-5));
    error = next;
  }
});

test('a row without weights keeps its factor', async () => {
  const residual = random(10, 12, 1);
  const weights = createMatrix(10, 12, new Float32Array(120).fill(1).fill(0, 36, 48)); // row 3
  const a = random(10, 2, 2);
  const b = random(12, 2, 3);
  const row = a.data.slice(6, 8);
  await weightedRefit(weightedBlocks(residual, weights, 4), a, b, { engine });
  expect(a.data.slice(6, 8)).toEqual(row);
  expect(b.data.every(Number.isFinite)).toBe(true);
});

test('the SVD of a product has orthonormal sides and gives the product', async () => {
  const a = random(50, 4, 1);
  const b = random(30, 4, 2);
  const svd = await productSvd(a, b, { engine });
  expect(svd.rank).toBe(4);
  expect([...svd.singularValues]).toEqual([...svd.singularValues].sort((x, y) => y - x));
  const factors = balancedFactors(svd, 4);
  const exact = await product(a, b);
  expect(squaredDistance(await product(factors.a, factors.b), exact)).toBeLessThan(1e-9 * svd.energy);
});

test('dependent columns give fewer components', async () => {
  const a = random(50, 2, 1);
  const doubled = createMatrix(
    50,
    4,
    Float32Array.from({ length: 200 }, (_, i) => a.data[2 * (i >> 2) + (i & 1)]!),
  );
  expect((await productSvd(doubled, random(30, 4, 2), { engine })).rank).toBe(2);
});

/** The best B for an A, n × k: what the encoder solves, without the norms it puts on the components. */
async function refitOther(residual: MatrixStream, a: Matrix): Promise<Matrix> {
  const projected = await streamProducts(residual, { engine }).backward(a);
  const { scaled, norms } = await solveOtherSide(a, projected, engine);
  const length = projected.rows;
  const b = createMatrix(length, a.columns);
  for (const [k, norm] of norms.entries()) {
    const divisor = norm === 0 ? 1 : norm;
    for (let j = 0; j < length; j++) b.data[j * a.columns + k] = scaled[k * length + j]! / divisor;
  }
  return b;
}

test('refitting B to a rounded A takes off what the rounding cost', async () => {
  const residual = await matrixWithSpectrum(engine, 200, 150, [20, 15, 10, 8, 3, 2, 1]);
  const { a, b } = balancedFactors(await randomizedSvd(streamMatrix(residual), { rank: 4, engine }), 4);
  const rounded = createMatrix(
    200,
    4,
    a.data.map((value) => Math.round(value * 4) / 4),
  );
  const refitted = await refitOther(streamMatrix(residual, { rowBlock: 64 }), rounded);
  const before = squaredDistance(await product(rounded, b), residual);
  const after = squaredDistance(await product(rounded, refitted), residual);
  expect(after).toBeLessThan(before);
  // At the optimum the remainder is orthogonal to the columns of A.
  const approximation = await product(rounded, refitted);
  const remainder = createMatrix(
    200,
    150,
    residual.data.map((value, i) => value - approximation.data[i]!),
  );
  const projection = await engine.multiply(remainder, rounded, { transposeA: true });
  expect(Math.max(...projection.data.map(Math.abs))).toBeLessThan(1e-3);
});

test('columns of A that are 0 or repeated get a B that is finite', async () => {
  const residual = random(40, 30, 5);
  const a = random(40, 3, 6);
  for (let i = 0; i < 40; i++) {
    a.data[3 * i + 1] = 0;
    a.data[3 * i + 2] = a.data[3 * i]!;
  }
  const refitted = await refitOther(streamMatrix(residual), a);
  expect(refitted.data.every(Number.isFinite)).toBe(true);
  for (let j = 0; j < 30; j++) expect(refitted.data[3 * j + 1]).toBe(0);
});

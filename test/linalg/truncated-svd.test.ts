import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { exactSvd } from '../../src/linalg/exact-svd.js';
import { openGemmEngine } from '../../src/linalg/gemm-engine.js';
import { createMatrix, type Matrix, squaredNorm } from '../../src/linalg/matrix.js';
import { streamMatrix } from '../../src/linalg/matrix-stream.js';
import { randomizedSvd } from '../../src/linalg/randomized-svd.js';
import { sketchMatrix } from '../../src/linalg/sketch.js';
import type { TruncatedSvd } from '../../src/linalg/svd-result.js';
import { prefersExact, truncatedSvd } from '../../src/linalg/truncated-svd.js';
import { plainGemm } from './plain-gemm.js';
import { deviationOfRows, matrixWithSpectrum, spectra, worstExcess } from './spectra.js';

const { engine } = await openGemmEngine({ fallback: plainGemm, preferred: 'onnxruntime' });
const kernelEngine = (await openGemmEngine({ fallback: plainGemm, preferred: 'wasm' })).engine;
afterAll(() => engine.close());

function expectOrthonormal(svd: TruncatedSvd): void {
  expect(svd.singularValues.length).toBe(svd.rank);
  expect(deviationOfRows(svd.u, svd.rank, svd.rows)).toBeLessThan(1e-5);
  expect(deviationOfRows(svd.v, svd.rank, svd.columns)).toBeLessThan(1e-5);
  for (let i = 1; i < svd.rank; i++)
    expect(svd.singularValues[i]).toBeLessThanOrEqual(svd.singularValues[i - 1] * (1 + 1e-6));
}

describe.each([
  [150, 150],
  [400, 120],
  [120, 400],
])('randomised SVD of %i × %i', (rows, columns) => {
  const shortSide = Math.min(rows, columns);

  test.each(spectra)('is within 2 %% of Eckart–Young at every rank: %s', async (_name, value) => {
    const sigmas = Array.from({ length: shortSide }, (_, i) => value(i, shortSide)).filter(
      (sigma) => sigma > 0,
    );
    const matrix = await matrixWithSpectrum(engine, rows, columns, sigmas);
    for (const rank of [3, 15, 40, 75, 100]) {
      const svd = await randomizedSvd(streamMatrix(matrix), { rank, engine });
      expectOrthonormal(svd);
      expect(worstExcess(matrix, svd, sigmas)).toBeLessThan(0.02);
    }
  });

  test('is within 2 % on a Gaussian matrix, whose spectrum has no gap', async () => {
    const matrix = sketchMatrix(rows, columns, 77);
    const { singularValues } = await exactSvd(streamMatrix(matrix), { engine });
    for (const rank of [3, 15, 40, 75]) {
      const svd = await randomizedSvd(streamMatrix(matrix), { rank, engine });
      expect(worstExcess(matrix, svd, singularValues)).toBeLessThan(0.02);
    }
  });

  test('finds no more components than an exactly low-rank matrix has', async () => {
    const matrix = await matrixWithSpectrum(engine, rows, columns, [5, 4, 3, 2, 1]);
    const svd = await randomizedSvd(streamMatrix(matrix), { rank: 40, engine });
    expect([...svd.singularValues.subarray(0, 5)].map((sigma) => Math.round(sigma * 1e4))).toEqual([
      5e4, 4e4, 3e4, 2e4, 1e4,
    ]);
    expect(worstExcess(matrix, svd, [5, 4, 3, 2, 1])).toBeLessThan(0.02);
    expect(svd.rank).toBeLessThan(10);
    expectOrthonormal(svd);
  });
});

describe('exact SVD', () => {
  test.each(spectra)('meets Eckart–Young at every rank: %s', async (_name, value) => {
    for (const [rows, columns] of [
      [60, 60],
      [90, 40],
      [40, 90],
    ]) {
      const sigmas = Array.from({ length: Math.min(rows, columns) }, (_, i) => value(i, 40)).filter(
        (sigma) => sigma > 0,
      );
      const matrix = await matrixWithSpectrum(engine, rows, columns, sigmas);
      const svd = await exactSvd(streamMatrix(matrix, { rowBlock: 7 }), { engine });
      expectOrthonormal(svd);
      expect(worstExcess(matrix, svd, sigmas)).toBeLessThan(0.002);
    }
  });

  test('singular values down to 10⁻⁵ of the first one are right to a per cent', async () => {
    const sigmas = Array.from({ length: 26 }, (_, i) => 10 ** (-i / 5));
    const svd = await exactSvd(streamMatrix(await matrixWithSpectrum(engine, 80, 50, sigmas)), { engine });
    sigmas.forEach((sigma, i) => {
      expect(Math.abs(svd.singularValues[i] / sigma - 1)).toBeLessThan(0.01);
    });
  });
});

describe('truncated SVD', () => {
  test('any shape, rank and block height: orthonormal, within 2 %, energy exact', async () => {
    const side = fc.integer({ min: 1, max: 90 });
    await fc.assert(
      fc.asyncProperty(
        side,
        side,
        fc.integer({ min: 1, max: 90 }),
        side,
        fc.nat(),
        async (rows, columns, maxRank, rowBlock, seed) => {
          const matrix = sketchMatrix(rows, columns, seed);
          const svd = await truncatedSvd(streamMatrix(matrix, { rowBlock }), { maxRank, engine });
          expect(svd.rank).toBe(Math.min(rows, columns, maxRank));
          expectOrthonormal(svd);
          expect(Math.abs(svd.energy / squaredNorm(matrix) - 1)).toBeLessThan(1e-14);
          const { singularValues } = await exactSvd(streamMatrix(matrix), { engine });
          expect(worstExcess(matrix, svd, singularValues)).toBeLessThan(0.02);
        },
      ),
      { numRuns: 60 },
    );
  });

  test.each([
    [1, 1],
    [1, 50],
    [50, 1],
    [2, 2],
    [1, 3000],
  ])('rank one of a %i × %i matrix', async (rows, columns) => {
    const matrix = await matrixWithSpectrum(engine, rows, columns, [3]);
    for (const algorithm of [exactSvd, randomizedSvd]) {
      const svd = await algorithm(streamMatrix(matrix), { rank: 1, engine });
      expect(svd.singularValues[0]).toBeCloseTo(3, 5);
      expect(worstExcess(matrix, svd, [3])).toBeLessThan(0.02);
    }
  });

  test('a zero matrix, a matrix without entries and rank 0 have no components', async () => {
    for (const matrix of [createMatrix(100, 90), createMatrix(0, 5), createMatrix(5, 0)]) {
      for (const algorithm of [exactSvd, randomizedSvd]) {
        const svd = await algorithm(streamMatrix(matrix), { rank: 5, engine });
        expect([svd.rank, svd.energy, svd.u.length, svd.v.length]).toEqual([0, 0, 0, 0]);
      }
    }
    const matrix = sketchMatrix(20, 10, 1);
    const svd = await truncatedSvd(streamMatrix(matrix), { maxRank: 0, engine });
    expect([svd.rank, svd.energy]).toEqual([0, squaredNorm(matrix)]);
    const randomized = await randomizedSvd(streamMatrix(matrix), { rank: 0, engine });
    expect([randomized.rank, randomized.energy]).toEqual([0, squaredNorm(matrix)]);
  });

  test('very small and very large residuals keep their relative accuracy', async () => {
    for (const scale of [1e-20, 1e15]) {
      const sigmas = Array.from({ length: 100 }, (_, i) => scale / (i + 1));
      const matrix = await matrixWithSpectrum(engine, 120, 100, sigmas);
      const svd = await randomizedSvd(streamMatrix(matrix), { rank: 20, engine });
      expect(svd.rank).toBe(20);
      expect(worstExcess(matrix, svd, sigmas)).toBeLessThan(0.02);
    }
  });

  test('the largest entry of each left vector is positive', async () => {
    const matrix = sketchMatrix(80, 70, 5);
    for (const svd of [
      await exactSvd(streamMatrix(matrix), { rank: 9, engine }),
      await randomizedSvd(streamMatrix(matrix), { rank: 9, engine }),
    ]) {
      for (let i = 0; i < 9; i++) {
        const vector = svd.u.subarray(i * 80, (i + 1) * 80);
        const largest = vector.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
        expect(largest).toBeGreaterThan(0);
      }
    }
  });

  test('equal input gives equal bits; another seed gives the same spectrum to a per cent', async () => {
    const matrix = await matrixWithSpectrum(
      engine,
      200,
      150,
      Array.from({ length: 150 }, (_, i) => 1 / (i + 1)),
    );
    const run = (seed: number) =>
      truncatedSvd(streamMatrix(matrix, { rowBlock: 64 }), { maxRank: 20, seed, engine });
    const first = await run(1);
    expect(first.method).toBe('randomized');
    expect(await run(1)).toEqual(first);
    const other = await run(2);
    expect(other.u).not.toEqual(first.u);
    other.singularValues.forEach((sigma, i) => {
      expect(Math.abs(sigma / first.singularValues[i] - 1)).toBeLessThan(0.01);
    });
  });

  test('both engines find the same components', async () => {
    const sigmas = Array.from({ length: 70 }, (_, i) => 0.8 ** i);
    const matrix = await matrixWithSpectrum(engine, 130, 70, sigmas);
    const [first, second] = await Promise.all(
      [engine, kernelEngine].map((one) => randomizedSvd(streamMatrix(matrix), { rank: 10, engine: one })),
    );
    for (let i = 0; i < 10; i++)
      expect(Math.abs(first.singularValues[i] / second.singularValues[i] - 1)).toBeLessThan(1e-5);
    first.u.forEach((value, i) => {
      expect(Math.abs(value - second.u[i])).toBeLessThan(1e-4);
    });
  });

  test('small matrices and ranks near the full one go the exact way', () => {
    expect([
      prefersExact(64, 1),
      prefersExact(256, 30),
      prefersExact(256, 200),
      prefersExact(4096, 128),
    ]).toEqual([true, false, true, false]);
  });

  test('NaN and infinity in the matrix are refused', async () => {
    for (const bad of [Number.NaN, Number.NEGATIVE_INFINITY]) {
      const matrix: Matrix = sketchMatrix(100, 90, 1);
      matrix.data[500] = bad;
      for (const algorithm of [exactSvd, randomizedSvd]) {
        await expect(algorithm(streamMatrix(matrix), { rank: 5, engine })).rejects.toThrow(
          /100 × 90 matrix of finite values/,
        );
      }
    }
  });

  test('bad ranks are a RangeError', async () => {
    const stream = streamMatrix(sketchMatrix(10, 10, 1));
    for (const maxRank of [-1, 1.5, Number.NaN]) {
      await expect(truncatedSvd(stream, { maxRank, engine })).rejects.toThrow(RangeError);
    }
  });

  test('an abort in the middle of a pass ends it at the next block, with the reason', async () => {
    const abort = new AbortController();
    const matrix = sketchMatrix(100, 90, 1);
    let blocks = 0;
    const source = streamMatrix(matrix, { rowBlock: 10 });
    const stream = {
      ...source,
      async *blocks() {
        for await (const block of source.blocks()) {
          if (++blocks === 13) abort.abort(new Error('enough'));
          yield block;
        }
      },
    };
    await expect(randomizedSvd(stream, { rank: 5, engine, signal: abort.signal })).rejects.toThrow('enough');
    expect(blocks).toBe(13);
  });
});

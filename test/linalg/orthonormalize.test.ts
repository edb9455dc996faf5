import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { openGemmEngine } from '../../src/linalg/gemm-engine.js';
import { createMatrix, type Matrix, squaredNorm, transpose } from '../../src/linalg/matrix.js';
import { orthonormalize } from '../../src/linalg/orthonormalize.js';
import { sketchMatrix } from '../../src/linalg/sketch.js';
import { plainGemm } from './plain-gemm.js';
import { deviationOfRows, matrixWithSpectrum } from './spectra.js';

const { engine } = await openGemmEngine({ fallback: plainGemm, preferred: 'onnxruntime' });
afterAll(() => engine.close());

const deviation = (q: Matrix) => deviationOfRows(transpose(q).data, q.columns, q.rows);

/** ‖A − QQᵀA‖ / ‖A‖. */
async function outsideOf(q: Matrix, a: Matrix): Promise<number> {
  const inside = await engine.multiply(q, await engine.multiply(q, a, { transposeA: true }));
  const rest = createMatrix(
    a.rows,
    a.columns,
    a.data.map((value, i) => value - inside.data[i]),
  );
  return Math.sqrt(squaredNorm(rest) / squaredNorm(a));
}

/** Replaces column j of a. */
function setColumn(a: Matrix, j: number, value: (row: number) => number): void {
  for (let i = 0; i < a.rows; i++) a.data[i * a.columns + j] = value(i);
}

describe('orthonormalize', () => {
  test('columns of random matrices become orthonormal and span the same space', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 1, max: 40 }),
        fc.nat(),
        async (m, k, seed) => {
          const a = sketchMatrix(m, k, seed);
          const { q, kept } = await orthonormalize(a, { engine });
          expect(q.columns).toBe(kept.length);
          expect(q.columns).toBeLessThanOrEqual(Math.min(m, k));
          expect(deviation(q)).toBeLessThan(1e-6);
          expect(await outsideOf(q, a)).toBeLessThan(1e-5);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('a condition number of 10⁶ costs further passes, not orthogonality', async () => {
    const a = await matrixWithSpectrum(
      engine,
      500,
      30,
      Array.from({ length: 30 }, (_, i) => 10 ** (-6 * (i / 29))),
    );
    const { q } = await orthonormalize(a, { engine });
    expect(deviation(q)).toBeLessThan(1e-6);
    expect(await outsideOf(q, a)).toBeLessThan(1e-6);
  });

  test('zero, repeated and nearly repeated columns are dropped, and the others are named in order', async () => {
    const a = sketchMatrix(100, 6, 3);
    const original = a.data.slice();
    setColumn(a, 0, () => 0);
    setColumn(a, 3, (row) => original[row * 6 + 1] * 2);
    setColumn(a, 4, (row) => original[row * 6 + 1] + 1e-7 * original[row * 6 + 5]);
    const { q, kept } = await orthonormalize(a, { engine });
    expect([...kept]).toEqual([1, 2, 5]);
    expect(deviation(q)).toBeLessThan(1e-6);
  });

  test('columns of very different length count alike', async () => {
    const a = sketchMatrix(80, 4, 8);
    [1e-20, 1e20, 1, 1e-12].forEach((scale, j) => {
      const column = Array.from({ length: 80 }, (_, i) => a.data[i * 4 + j]);
      setColumn(a, j, (row) => column[row] * scale);
    });
    const { q, kept } = await orthonormalize(a, { engine });
    expect([...kept]).toEqual([0, 1, 2, 3]);
    expect(deviation(q)).toBeLessThan(1e-6);
  });

  test('a rank-deficient sketch keeps as many columns as its rank', async () => {
    const a = await engine.multiply(sketchMatrix(300, 5, 1), sketchMatrix(5, 20, 2));
    const { q } = await orthonormalize(a, { engine });
    expect(q.columns).toBeGreaterThanOrEqual(5);
    expect(deviation(q)).toBeLessThan(1e-6);
    expect(await outsideOf(q, a)).toBeLessThan(1e-6);
  });

  test('a zero matrix and a matrix without columns have an empty basis', async () => {
    expect((await orthonormalize(createMatrix(10, 3), { engine })).q).toMatchObject({ rows: 10, columns: 0 });
    expect((await orthonormalize(createMatrix(10, 0), { engine })).q).toMatchObject({ rows: 10, columns: 0 });
  });

  test('one pass makes columns well conditioned, and does not change its input', async () => {
    const a = await matrixWithSpectrum(
      engine,
      200,
      10,
      Array.from({ length: 10 }, (_, i) => 10 ** -(i / 3)),
    );
    const before = a.data.slice();
    const { q } = await orthonormalize(a, { engine, effort: 'once' });
    expect(deviation(q)).toBeLessThan(0.1);
    expect(a.data).toEqual(before);
  });

  test('NaN and infinity are refused', async () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const a = sketchMatrix(10, 3, 1);
      a.data[4] = bad;
      await expect(orthonormalize(a, { engine })).rejects.toThrow(/finite columns/);
    }
  });

  test('an aborted signal stops it with the reason', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(orthonormalize(sketchMatrix(10, 3, 1), { engine, signal })).rejects.toThrow('enough');
  });
});

import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { openGemmEngine } from '../../src/linalg/gemm-engine.js';
import { type GrownSvd, growSvd, RegrowableSvd } from '../../src/linalg/growing-svd.js';
import { createMatrix, type Matrix, squaredNorm } from '../../src/linalg/matrix.js';
import { type MatrixStream, streamMatrix } from '../../src/linalg/matrix-stream.js';
import { defaultOversample, randomizedSvd } from '../../src/linalg/randomized-svd.js';
import { sketchMatrix } from '../../src/linalg/sketch.js';
import { plainGemm } from './plain-gemm.js';
import { deviationOfRows, matrixWithSpectrum, spectra, worstExcess } from './spectra.js';

const { engine } = await openGemmEngine({ fallback: plainGemm, preferred: 'onnxruntime' });
afterAll(() => engine.close());

/** Asks for the ranks one after the other. */
async function grow(stream: MatrixStream, ranks: readonly number[]): Promise<GrownSvd> {
  let grown: GrownSvd | undefined;
  for (const rank of ranks) grown = await growSvd(stream, grown, { rank, engine });
  return grown!;
}

/** Counts the passes over a matrix, and the columns that it is multiplied with. */
function counted(matrix: Matrix): {
  stream: MatrixStream;
  passes: number;
  columns: number;
  engine: typeof engine;
} {
  const source = streamMatrix(matrix);
  const count = {
    stream: { ...source, blocks },
    passes: 0,
    columns: 0,
    engine: {
      ...engine,
      multiply(...[a, b, options]: Parameters<typeof engine.multiply>) {
        if (a.data.buffer === matrix.data.buffer) count.columns += b.columns;
        return engine.multiply(a, b, options);
      },
    },
  };
  function blocks() {
    count.passes++;
    return source.blocks();
  }
  return count;
}

describe.each([
  [150, 150],
  [400, 120],
  [120, 400],
])('an SVD of %i × %i that grows', (rows, columns) => {
  const shortSide = Math.min(rows, columns);

  test.each(spectra)(
    'is within 2 %% of Eckart–Young at every rank after every block: %s',
    async (_name, value) => {
      const sigmas = Array.from({ length: shortSide }, (_, i) => value(i, shortSide)).filter(
        (sigma) => sigma > 0,
      );
      const matrix = await matrixWithSpectrum(engine, rows, columns, sigmas);
      for (const ranks of [
        [3, 15, 40, 75],
        [32, 64],
        [5, 70],
      ]) {
        let grown: GrownSvd | undefined;
        for (const rank of ranks) {
          grown = await growSvd(streamMatrix(matrix, { rowBlock: 70 }), grown, { rank, engine });
          const { svd, isComplete } = grown;
          if (!isComplete) expect(svd.rank).toBeGreaterThanOrEqual(rank);
          expect(worstExcess(matrix, svd, sigmas)).toBeLessThan(0.02);
          expect(deviationOfRows(svd.u, svd.rank, rows)).toBeLessThan(1e-5);
          expect(deviationOfRows(svd.v, svd.rank, columns)).toBeLessThan(1e-5);
          expect([...svd.singularValues]).toEqual([...svd.singularValues].sort((a, b) => b - a));
        }
      }
    },
  );

  test('has the singular values of one from scratch', async () => {
    const sigmas = Array.from({ length: shortSide }, (_, i) => (i + 1) ** -0.7);
    const stream = streamMatrix(await matrixWithSpectrum(engine, rows, columns, sigmas));
    const { svd } = await grow(stream, [12, 20, 60]);
    const scratch = await randomizedSvd(stream, { rank: 60, engine });
    expect(svd.energy).toBe(scratch.energy);
    scratch.singularValues.forEach((sigma, i) => {
      expect(Math.abs(svd.singularValues[i] / sigma - 1)).toBeLessThan(0.02);
    });
  });
});

describe('a growing SVD', () => {
  test('multiplies the matrix with the new columns only, in no more passes than one block needs', async () => {
    const sigmas = Array.from({ length: 300 }, (_, i) => (i + 1) ** -0.5);
    const matrix = await matrixWithSpectrum(engine, 400, 300, sigmas);
    const scratch = counted(matrix);
    await randomizedSvd(scratch.stream, { rank: 64, engine: scratch.engine });
    const first = counted(matrix);
    const half = await growSvd(first.stream, undefined, { rank: 32, engine: first.engine });
    const second = counted(matrix);
    const whole = await growSvd(second.stream, half, { rank: 64, engine: second.engine });
    expect(whole.svd.rank).toBe(64);
    expect(first.columns).toBe(first.passes * (32 + 10));
    expect(second.columns).toBe(second.passes * (64 + defaultOversample(64) - 42));
    expect(second.passes).toBeLessThanOrEqual(scratch.passes + 2);
    expect(first.columns + second.columns).toBeLessThan(1.25 * scratch.columns);
  });

  test('what is known costs no pass', async () => {
    const count = counted(sketchMatrix(200, 150, 3));
    const grown = await growSvd(count.stream, undefined, { rank: 40, engine });
    const { passes } = count;
    for (const rank of [0, 5, 40]) expect(await growSvd(count.stream, grown, { rank, engine })).toBe(grown);
    expect(count.passes).toBe(passes);
  });

  test('equal requests give equal bits, and other requests others', async () => {
    const stream = streamMatrix(sketchMatrix(200, 150, 3), { rowBlock: 64 });
    const grown = await grow(stream, [10, 30, 60]);
    expect(await grow(stream, [10, 30, 60])).toEqual(grown);
    expect((await grow(stream, [30, 60])).svd.u).not.toEqual(grown.svd.u);
  });

  test('a zero matrix, a matrix without entries and rank 0 have no components', async () => {
    for (const matrix of [createMatrix(100, 90), createMatrix(0, 5), createMatrix(5, 0)]) {
      const { svd, isComplete } = await grow(streamMatrix(matrix), [5, 20]);
      expect([svd.rank, svd.energy, svd.u.length, svd.v.length, isComplete]).toEqual([0, 0, 0, 0, true]);
    }
    const matrix = sketchMatrix(100, 90, 1);
    const none = await grow(streamMatrix(matrix), [0]);
    expect([none.svd.rank, none.svd.energy, none.isComplete]).toEqual([0, squaredNorm(matrix), false]);
    expect((await grow(streamMatrix(matrix), [0, 8])).svd.rank).toBe(8);
  });

  test.each([[[2, 30]], [[4, 30]], [[5, 6, 30]], [[30, 60]]])(
    'of a matrix of rank 5 ends there, asked for %j',
    async (ranks) => {
      const sigmas = [5, 4, 3, 2, 1];
      for (const [rows, columns] of [
        [200, 120],
        [120, 200],
      ]) {
        const matrix = await matrixWithSpectrum(engine, rows, columns, sigmas);
        const { svd, isComplete } = await grow(streamMatrix(matrix, { rowBlock: 33 }), ranks);
        expect(isComplete).toBe(true);
        expect(svd.rank).toBeLessThan(10);
        expect([...svd.singularValues.subarray(0, 5)].map((sigma) => Math.round(sigma * 1e4))).toEqual(
          sigmas.map((sigma) => sigma * 1e4),
        );
      }
    },
  );

  test('goes the exact way at ranks near the full one, and is complete then', async () => {
    const matrix = sketchMatrix(200, 100, 7);
    const { svd, isComplete } = await grow(streamMatrix(matrix), [10, 70]);
    expect([svd.method, svd.rank, isComplete]).toEqual(['exact', 100, true]);
  });

  test('NaN and infinity, bad ranks and an abort are refused', async () => {
    const matrix = sketchMatrix(100, 90, 1);
    const stream = streamMatrix(matrix);
    for (const rank of [-1, 1.5])
      await expect(growSvd(stream, undefined, { rank, engine })).rejects.toThrow(RangeError);
    const grown = await grow(stream, [5]);
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(growSvd(stream, grown, { rank: 20, engine, signal })).rejects.toThrow('enough');
    matrix.data[500] = Number.NaN;
    await expect(grow(stream, [5])).rejects.toThrow(/100 × 90 matrix of finite values/);
  });
});

describe('a growing SVD whose factors are dropped', () => {
  test('has the same bits as one that kept them, whenever they are dropped', async () => {
    const matrix = sketchMatrix(130, 110, 9);
    const request = fc.record({ rank: fc.integer({ min: 1, max: 90 }), isDropped: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 5 }), async (requests) => {
        const kept = new RegrowableSvd(streamMatrix(matrix));
        const dropped = new RegrowableSvd(streamMatrix(matrix, { rowBlock: 130 }));
        for (const { rank, isDropped } of requests) {
          if (isDropped) dropped.drop();
          const [one, other] = [
            await kept.factors(rank, { engine }),
            await dropped.factors(rank, { engine }),
          ];
          expect(other).toEqual(one);
          expect(dropped.singularValues).toEqual(one.singularValues);
          expect(dropped.suffices(rank)).toBe(true);
        }
      }),
      { numRuns: 25 },
    );
  });

  test('keeps its singular values, and holds no bytes', async () => {
    const count = counted(sketchMatrix(130, 110, 9));
    const svd = new RegrowableSvd(count.stream);
    expect([svd.singularValues, svd.byteLength, svd.suffices(1)]).toEqual([undefined, 0, false]);
    const { singularValues } = await svd.factors(20, { engine });
    expect(svd.byteLength).toBe(4 * 30 * (130 + 110));
    svd.drop();
    const { passes } = count;
    expect([svd.byteLength, svd.suffices(20), svd.suffices(21)]).toEqual([0, true, false]);
    expect(svd.singularValues).toBe(singularValues);
    expect(count.passes).toBe(passes);
    await svd.factors(20, { engine });
    expect(svd.singularValues).toBe(singularValues);
  });
});

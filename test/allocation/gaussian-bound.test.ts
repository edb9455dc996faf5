import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { gaussianBits, noiseEdge, spikeCount } from '../../src/allocation/gaussian-bound.js';
import { exactSvd } from '../../src/linalg/exact-svd.js';
import { openGemmEngine } from '../../src/linalg/gemm-engine.js';
import { createMatrix } from '../../src/linalg/matrix.js';
import { streamMatrix } from '../../src/linalg/matrix-stream.js';
import { normalFloats } from '../kernels/samples.js';
import { plainGemm } from '../linalg/plain-gemm.js';

const { engine } = await openGemmEngine({ fallback: plainGemm, preferred: 'wasm' });

/** Singular values and energy of spikes of the given strength on a bulk of independent entries. */
async function spectrum(
  rows: number,
  columns: number,
  spikes: readonly number[],
  spread: number,
  seed: number,
) {
  const data = normalFloats(rows * columns, seed, spread);
  for (const [k, strength] of spikes.entries()) {
    const u = normalFloats(rows, seed + 2 * k + 1, 1 / Math.sqrt(rows));
    const v = normalFloats(columns, seed + 2 * k + 2, 1 / Math.sqrt(columns));
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) data[i * columns + j]! += strength * u[i]! * v[j]!;
  }
  const { singularValues, energy } = await exactSvd(streamMatrix(createMatrix(rows, columns, data)), {
    engine,
  });
  return { rows, columns, singularValues, energy };
}

describe('spikes', () => {
  test.each([
    [64, 64],
    [120, 120],
    [300, 80],
    [60, 400],
  ])('a %d × %d matrix of independent entries has none', async (rows, columns) => {
    for (const seed of [1, 2, 3]) expect(spikeCount(await spectrum(rows, columns, [], 1, seed))).toBe(0);
  });

  test('components over the noise edge are counted, weaker ones belong to the bulk', async () => {
    const edge = Math.sqrt(noiseEdge(200, 150));
    const strengths = [4 * edge, 3 * edge, 2 * edge, 0.3 * edge];
    expect(spikeCount(await spectrum(200, 150, strengths, 1, 5))).toBe(3);
  });

  test('without a bulk all known components are spikes', () => {
    const model = { rows: 50, columns: 40, singularValues: [3, 2, 1], energy: 14 };
    expect(spikeCount(model)).toBe(3);
  });
});

describe('the bound', () => {
  test('of independent entries is half the logarithm of signal to noise', async () => {
    const model = await spectrum(120, 100, [], 0.3, 9);
    for (const share of [0.9, 0.5, 0.1, 0.01]) {
      expect(gaussianBits(model, share * model.energy)).toBeCloseTo(0.5 * Math.log2(1 / share), 10);
    }
  });

  test('is 0 when nothing has to be kept', () => {
    const model = { rows: 50, columns: 40, singularValues: [3, 2, 1], energy: 100 };
    expect(gaussianBits(model, 100)).toBe(0);
    expect(gaussianBits(model, 150)).toBe(0);
  });

  test('rounding to the own dtype costs no bits', () => {
    // One component on nothing but rounding noise, coded until only a tenth of the noise is wrong.
    const model = { rows: 1000, columns: 1000, singularValues: [10], energy: 101, roundingEnergy: 1 };
    const bits = gaussianBits(model, 0.1) * 1e6;
    expect(bits).toBeCloseTo((1998 / 2) * Math.log2(100 / 0.1), 6);
  });

  test('never exceeds the one of independent entries of the same energy', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.01, max: 10, noNaN: true }), { maxLength: 30 }),
        fc.double({ min: 0, max: 50, noNaN: true }),
        fc.double({ min: 1e-6, max: 1, noNaN: true }),
        (values, bulk, share) => {
          const singularValues = values.sort((x, y) => y - x);
          const energy = singularValues.reduce((sum, sigma) => sum + sigma ** 2, bulk);
          if (energy === 0) return;
          const model = { rows: 60, columns: 40, singularValues, energy };
          const bits = gaussianBits(model, share * energy);
          expect(bits).toBeGreaterThanOrEqual(0);
          expect(bits).toBeLessThanOrEqual(0.5 * Math.log2(1 / share) + 1e-9);
        },
      ),
    );
  });

  test('no ideal coder of factors and remainder gets below it', () => {
    // Factors: m + n coefficients a component at b bits each, x = 2^(−2b) of either side lost; remainder at its own limit.
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.5, max: 30, noNaN: true }), { minLength: 1, maxLength: 20 }),
        fc.double({ min: 0, max: 12, noNaN: true }),
        fc.double({ min: 1e-3, max: 1, noNaN: true }),
        fc.nat(20),
        (values, bits, bulkShare, kept) => {
          const [rows, columns] = [90, 70];
          const singularValues = values.sort((x, y) => y - x);
          const bulk = rows * columns * 0.01;
          const energy = singularValues.reduce((sum, sigma) => sum + sigma ** 2, bulk);
          const lost = 2 ** (-2 * bits);
          let rate = -0.5 * rows * columns * Math.log2(bulkShare);
          let squaredError = bulk * bulkShare;
          for (const [k, sigma] of singularValues.entries()) {
            const coded = k < kept;
            if (coded) rate += (rows + columns) * bits;
            squaredError += sigma ** 2 * (coded ? 2 * lost - lost ** 2 : 1);
          }
          const bound =
            gaussianBits({ rows, columns, singularValues, energy }, squaredError) * rows * columns;
          expect(bound).toBeLessThanOrEqual(rate + 1e-6);
        },
      ),
    );
  });
});

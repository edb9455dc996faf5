import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bestPlan, planResidual } from '../../src/rate-distortion/plan-residual.js';

const LAMBDA = 0.1;

function spectrum(rows: number, columns: number, spikes: readonly number[], bulkEnergy: number) {
  const singularValues = Float64Array.from(spikes);
  const energy = spikes.reduce((sum, sigma) => sum + sigma ** 2, 0) + bulkEnergy;
  return { rows, columns, energy, singularValues };
}

describe('planResidual', () => {
  test('keeps strong components and leaves a weak bulk out', () => {
    const plan = bestPlan(spectrum(512, 512, [100, 80, 60], 1), { step: 0.5, lambda: LAMBDA });
    expect(plan.rank).toBe(3);
  });

  test('codes a strong bulk densely instead of as factors, which take up to twice the coefficients', () => {
    // A flat spectrum: every singular value about the same, the bulk far above the step.
    const flat = Array.from({ length: 256 }, () => 32);
    const plan = bestPlan(spectrum(256, 256, flat, 0), { step: 0.5, lambda: LAMBDA });
    expect(plan).toMatchObject({ rank: 0, dense: true });
  });

  test('keeps nothing of a residual far under the step', () => {
    const plan = bestPlan(spectrum(64, 64, [0.5, 0.4], 0.1), { step: 10, lambda: LAMBDA });
    expect(plan.rank).toBe(0);
    expect(plan.bits).toBe(0);
  });

  test('what a residual costs grows with the step, and its error never passes its energy', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.1, max: 50, noNaN: true }), { minLength: 1, maxLength: 40 }),
        fc.double({ min: 0, max: 5000, noNaN: true }),
        fc.double({ min: 0.02, max: 2, noNaN: true }),
        (values, bulk, step) => {
          const residual = spectrum(
            96,
            64,
            [...values].sort((x, y) => y - x),
            bulk,
          );
          const fine = bestPlan(residual, { step, lambda: LAMBDA });
          const coarse = bestPlan(residual, { step: step * 1.5, lambda: LAMBDA });
          expect(coarse.cost * 1.5 ** 2).toBeGreaterThanOrEqual(fine.cost * 0.999);
          expect(coarse.squaredError).toBeLessThanOrEqual(residual.energy * 1.001 + 1e-9);
        },
      ),
      { numRuns: 100 },
    );
  });

  test('a bulk that costs less than a Gaussian one draws bytes from the factors', () => {
    const residual = spectrum(256, 256, [40, 30, 20, 18, 16], 3000);
    const gaussian = planResidual(residual, { step: 0.3, lambda: LAMBDA }).withDense;
    const heavyTailed = planResidual(residual, { step: 0.3, lambda: LAMBDA, bulkRatio: 0.4 }).withDense;
    expect(heavyTailed.rank).toBeLessThanOrEqual(gaussian.rank);
    expect(heavyTailed.cost).toBeLessThan(gaussian.cost);
  });
});

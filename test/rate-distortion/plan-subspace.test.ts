import { describe, expect, it } from 'vitest';
import { planResidual } from '../../src/rate-distortion/plan-residual.js';
import { planSubspace } from '../../src/rate-distortion/plan-subspace.js';

const options = { step: 0.5, lambda: 0.1 };
const falling = Float64Array.from({ length: 96 }, (_, k) => 60 / (1 + k / 8));
const energy = falling.reduce((sum, sigma) => sum + sigma ** 2, 0);

describe('planSubspace', () => {
  it('keeps strong components and leaves a weak bulk out', () => {
    const singularValues = Float64Array.of(100, 80, 60, 0.5, 0.4);
    const plan = planSubspace({ dimension: 512, length: 512, energy: 20_001, singularValues }, options);
    expect(plan.rank).toBe(3);
    const none = planSubspace(
      { dimension: 64, length: 64, energy: 1, singularValues: Float64Array.of(0.5) },
      { step: 10, lambda: 0.1 },
    );
    expect(none).toEqual({ rank: 0, cost: 0.01, bits: 0, squaredError: 1 });
  });

  it('costs less than two free factors of the same spectrum', () => {
    const shared = planSubspace({ dimension: 96, length: 96, energy, singularValues: falling }, options);
    const { alone } = planResidual({ rows: 96, columns: 96, energy, singularValues: falling }, options);
    expect(shared.cost).toBeLessThan(alone.cost);
    expect(shared.rank).toBeGreaterThanOrEqual(alone.rank);
  });

  it('never takes more components than the space has', () => {
    const plan = planSubspace({ dimension: 20, length: 96, energy, singularValues: falling }, options);
    expect(plan.rank).toBeLessThanOrEqual(20);
  });
});

import { describe, expect, test } from 'vitest';
import { gaussianCost } from '../../src/rate-distortion/gaussian-cost.js';

const LAMBDA = 0.1;
const model = gaussianCost(LAMBDA);

describe('the cost of an entropy-coded quantiser on a Gaussian', () => {
  test('is never below the rate–distortion function', () => {
    for (let deviation = 0.1; deviation < 30; deviation *= 1.3) {
      const distortion = model.cost(deviation) - LAMBDA * model.rate(deviation);
      const bound = Math.max(0, 0.5 * Math.log2(deviation ** 2 / distortion));
      expect(model.rate(deviation)).toBeGreaterThanOrEqual(bound - 1e-3);
    }
  });

  test('is a quarter bit above it at high rate: 1.53 dB', () => {
    const deviation = 16;
    const distortion = model.cost(deviation) - LAMBDA * model.rate(deviation);
    expect(distortion).toBeCloseTo(1 / 12, 3);
    expect(model.rate(deviation) - 0.5 * Math.log2(deviation ** 2 / distortion)).toBeCloseTo(0.2546, 2);
  });

  test('is the energy itself where nothing is worth a bit', () => {
    expect(model.cost(0.05)).toBe(0.05 ** 2);
    expect(model.rate(0.05)).toBe(0);
  });

  test('grows with the deviation without jumps', () => {
    let last = model.cost(0.05);
    for (let deviation = 0.051; deviation < 40; deviation *= 1.02) {
      const cost = model.cost(deviation);
      expect(cost).toBeGreaterThanOrEqual(last);
      expect(cost).toBeLessThan(last * 1.1 + 1e-3);
      last = cost;
    }
  });
});

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

  test('goes on beyond its table on both ends: nothing costs nothing, infinity costs infinitely much', () => {
    for (const nothing of [0, Number.MIN_VALUE, 2 ** -4 * (1 - Number.EPSILON / 2)]) {
      expect([model.cost(nothing), model.rate(nothing)]).toEqual([nothing ** 2, 0]);
    }
    expect(model.rate(2 ** -4)).toBeGreaterThanOrEqual(0);
    expect(model.rate(2 ** -4)).toBeLessThan(1e-9);
    // The last of the table beside the first of the formula: within a percent.
    for (const of of [model.cost, model.rate]) {
      expect(of(2 ** 1.5 * (1 - Number.EPSILON)) / of(2 ** 1.5)).toBeCloseTo(1, 2);
    }
    // A bit an octave, also where the square of the deviation is no number.
    expect(model.rate(Number.MAX_VALUE) - model.rate(2 ** 24)).toBeCloseTo(1000, 6);
    const infinity = Number.POSITIVE_INFINITY;
    expect([model.cost(infinity), model.rate(infinity)]).toEqual([infinity, infinity]);
  });

  test('has none of NaN, as a step of 0 gives for a residual of 0', () => {
    for (const bad of [Number.NaN, -1]) {
      expect(() => model.cost(bad)).toThrow(RangeError);
      expect(() => model.rate(bad)).toThrow(RangeError);
    }
  });
});

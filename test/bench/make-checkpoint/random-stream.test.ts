import { describe, expect, test } from 'vitest';
import { RandomStream } from './random-stream.js';

const COUNT = 2 ** 20;

function normals(count: number, ...key: [number, number, number]): Float32Array {
  const values = new Float32Array(count);
  new RandomStream().start(...key).fillNormal(values, 0, count);
  return values;
}

function mean(values: Float32Array, of: (x: number) => number): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += of(values[i]!);
  return sum / values.length;
}

/** Standard errors between the share of values that satisfy a condition and its probability. */
function deviations(values: Float32Array, probability: number, condition: (x: number) => boolean): number {
  const share = mean(values, (x) => (condition(x) ? 1 : 0));
  return Math.abs(share - probability) / Math.sqrt((probability * (1 - probability)) / values.length);
}

describe('normal deviates', () => {
  const values = normals(COUNT, 1, 2, 3);

  test('moments up to the sixth are those of a Gaussian', () => {
    for (const [power, expected] of [
      [1, 0],
      [2, 1],
      [3, 0],
      [4, 3],
      [6, 15],
    ] as const) {
      const spread = [1, 1, 3, 15, 105, 945, 10_395][power]!; // E x^2p bounds the variance of x^p
      const error = Math.abs(mean(values, (x) => x ** power) - expected);
      expect(error).toBeLessThan(4.5 * Math.sqrt(spread / COUNT));
    }
  });

  test.each([
    // Two-sided, Φ; 3.654 is where the ziggurat's tail begins.
    [0.5, 0.617_075_1],
    [1, 0.317_310_5],
    [2, 0.045_500_26],
    [3, 0.002_699_796],
    [3.654_152_9, 2.580_4e-4],
    [4.5, 6.795_3e-6],
  ])('|x| > %d as often as for a Gaussian, on both sides', (bound, probability) => {
    expect(deviations(values, probability / 2, (x) => x > bound)).toBeLessThan(4.5);
    expect(deviations(values, probability / 2, (x) => x < -bound)).toBeLessThan(4.5);
  });

  test('a filled array holds what single calls give, wherever it is cut', () => {
    const stream = new RandomStream().start(1, 2, 3);
    expect(values.slice(0, 5000)).toEqual(Float32Array.from({ length: 5000 }, () => stream.normal()));
    const cut = new Float32Array(5000);
    const other = new RandomStream().start(1, 2, 3);
    other.fillNormal(cut, 0, 1234);
    other.fillNormal(cut, 1234, 5000);
    expect(cut).toEqual(values.slice(0, 5000));
  });

  test('neighbouring values, and streams of neighbouring keys, do not correlate', () => {
    const correlation = (other: Float32Array) => {
      let sum = 0;
      for (let i = 0; i < other.length; i++) sum += values[i]! * other[i]!;
      return Math.abs(sum) / Math.sqrt(other.length);
    };
    expect(correlation(values.subarray(1))).toBeLessThan(4.5);
    expect(correlation(normals(COUNT, 2, 2, 3))).toBeLessThan(4.5);
    expect(correlation(normals(COUNT, 1, 3, 3))).toBeLessThan(4.5);
    expect(correlation(normals(COUNT, 1, 2, 4))).toBeLessThan(4.5);
  });

  test('first values over ascending keys are Gaussian too', () => {
    const stream = new RandomStream();
    const first = Float32Array.from({ length: 2 ** 16 }, (_, row) => stream.start(7, 0, row).normal());
    expect(Math.abs(mean(first, (x) => x))).toBeLessThan(4.5 / 2 ** 8);
    expect(Math.abs(mean(first, (x) => x * x) - 1)).toBeLessThan((4.5 * Math.SQRT2) / 2 ** 8);
  });
});

test('uniform numbers lie inside (0, 1), half of them in its lower half', () => {
  const stream = new RandomStream().start(0, 0, 0);
  const values = Float32Array.from({ length: 2 ** 16 }, () => stream.uniform());
  expect(deviations(values, 0.5, (x) => x < 0.5)).toBeLessThan(4.5);
  expect(Math.min(...values.subarray(0, 1000))).toBeGreaterThan(0);
});

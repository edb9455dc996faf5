/** Operating points and their lower convex hull. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  lowerHull,
  lowRankPoints,
  type OperatingPoint,
  otherPoints,
  slope,
} from '../../src/allocation/operating-points.js';
import { denseByteLength } from '../../src/codecs/dense.js';
import { encodeLowRank } from '../../src/codecs/low-rank.js';
import { normalFloats, wasm } from '../kernels/samples.js';
import { anyTensor, tensorOf } from './tensors.js';

const point = (byteLength: number, squaredError: number): OperatingPoint => ({
  byteLength,
  squaredError,
  choice: { kind: 'none' },
});
const anyPoints = fc.array(
  fc.tuple(fc.nat(1000), fc.double({ min: 0, max: 1000, noNaN: true })).map(([b, e]) => point(b, e)),
  { minLength: 1, maxLength: 20 },
);

describe('lowRankPoints', () => {
  it('rank r costs the very bytes that the codec writes', () => {
    for (const bits of [2, 3, 8, 11, 16]) {
      const points = lowRankPoints(tensorOf(13, 7, [4, 3, 2, 1]), bits);
      expect(points.map(({ choice }) => choice)).toEqual([
        { kind: 'none' },
        ...[1, 2, 3, 4].map((rank) => ({ kind: 'low-rank', rank, bits })),
      ]);
      const factors = {
        rows: 13,
        columns: 7,
        singularValues: Float64Array.of(4, 3, 2, 1),
        u: normalFloats(4 * 13, 1),
        v: normalFloats(4 * 7, 2),
      };
      for (const [rank, { byteLength }] of points.entries()) {
        const chunks = rank === 0 ? [] : encodeLowRank(factors, rank, bits, wasm).chunks;
        expect(byteLength).toBe(chunks.reduce((sum, { bytes }) => sum + bytes.byteLength, 0));
      }
    }
  });

  it('the error falls from the energy to what quantisation leaves, never below 0', () => {
    fc.assert(
      fc.property(anyTensor, fc.integer({ min: 2, max: 16 }), (tensor, bits) => {
        const errors = lowRankPoints(tensor, bits).map(({ squaredError }) => squaredError);
        expect(errors[0]).toBe(tensor.energy);
        for (let i = 1; i < errors.length; i++) expect(errors[i]).toBeLessThan(errors[i - 1]!);
        expect(errors.at(-1)).toBeGreaterThanOrEqual(0);
        expect(errors.at(-1)! / tensor.energy).toBeLessThan(bits === 16 ? 1e-6 : 0.3);
      }),
    );
  });
});

describe('otherPoints', () => {
  it('are dense coding at its true size, and exact coding without error', () => {
    const points = otherPoints(tensorOf(30, 20, [1]));
    for (const { choice, byteLength } of points) {
      if (choice.kind === 'dense') expect(byteLength).toBe(denseByteLength(30, 20, choice.bits));
    }
    expect(points.at(-1)).toEqual({ byteLength: 1200, squaredError: 0, choice: { kind: 'exact' } });
  });
});

describe('lowerHull', () => {
  it('keeps the cheapest point and one with the least error', () => {
    fc.assert(
      fc.property(anyPoints, (points) => {
        const hull = lowerHull(points);
        const bytes = points.map(({ byteLength }) => byteLength);
        const errors = points.map(({ squaredError }) => squaredError);
        expect(hull[0]!.byteLength).toBe(Math.min(...bytes));
        expect(hull.at(-1)!.squaredError).toBe(Math.min(...errors));
        for (const kept of hull) expect(points).toContain(kept);
      }),
    );
  });

  it('the error taken off per byte falls along it', () => {
    fc.assert(
      fc.property(anyPoints, (points) => {
        const hull = lowerHull(points);
        for (let i = 1; i < hull.length; i++) {
          expect(hull[i]!.byteLength).toBeGreaterThan(hull[i - 1]!.byteLength);
          expect(hull[i]!.squaredError).toBeLessThan(hull[i - 1]!.squaredError);
          if (i >= 2) expect(slope(hull[i - 1]!, hull[i]!)).toBeLessThan(slope(hull[i - 2]!, hull[i - 1]!));
        }
      }),
    );
  });

  it('no point lies below it', () => {
    fc.assert(
      fc.property(anyPoints, (points) => {
        const hull = lowerHull(points);
        for (const { byteLength, squaredError } of points) {
          const right = hull.findIndex((corner) => corner.byteLength >= byteLength);
          const last = hull.at(-1)!;
          let bound = last.squaredError;
          if (right === 0) bound = hull[0]!.squaredError;
          else if (right > 0) {
            const [from, to] = [hull[right - 1]!, hull[right]!];
            bound = from.squaredError - slope(from, to) * (byteLength - from.byteLength);
          }
          expect(squaredError).toBeGreaterThanOrEqual(bound - 1e-9 * hull[0]!.squaredError - 1e-300);
        }
      }),
    );
  });

  it('does not depend on the order of the points', () => {
    fc.assert(
      fc.property(anyPoints, (points) => {
        const seen = lowerHull(points).map(({ byteLength, squaredError }) => [byteLength, squaredError]);
        const turned = lowerHull([...points].reverse());
        expect(turned.map(({ byteLength, squaredError }) => [byteLength, squaredError])).toEqual(seen);
      }),
    );
  });
});

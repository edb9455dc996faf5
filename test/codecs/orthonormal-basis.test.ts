/** Orthonormal vectors from codes: against plain linear algebra. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { OrthonormalBasis } from '../../src/codecs/orthonormal-basis.js';
import { normalFloats, scalar } from '../kernels/samples.js';

const dot = (x: ArrayLike<number>, y: ArrayLike<number>): number =>
  Array.from(x).reduce((sum, value, i) => sum + value * y[i]!, 0);

function randomCodes(dimension: number, seed: number): Int16Array {
  return Int16Array.from(normalFloats(dimension, seed, 3), Math.round).map((code) => code || 1);
}

it('any codes give orthonormal vectors, up to a whole basis', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.nat(), (dimension, seed) => {
      const basis = new OrthonormalBasis(dimension, scalar);
      const vectors = Array.from(
        { length: dimension },
        (_, k) => basis.add(randomCodes(dimension, seed + k))!,
      );
      for (const [k, vector] of vectors.entries()) {
        expect(dot(vector, vector)).toBeCloseTo(1, 12);
        for (const other of vectors.slice(0, k)) expect(dot(vector, other)).toBeCloseTo(0, 12);
      }
    }),
  );
});

it('a vector orthogonal to those before it comes back from its reflected coordinates', () => {
  const dimension = 30;
  const basis = new OrthonormalBasis(dimension, scalar);
  const before = Array.from({ length: 12 }, (_, k) => basis.add(randomCodes(dimension, 100 + k))!);
  const wanted = Float64Array.from(normalFloats(dimension, 7));
  for (const vector of before) {
    const overlap = dot(vector, wanted);
    for (const i of wanted.keys()) wanted[i]! -= overlap * vector[i]!;
  }
  const coordinates = wanted.slice();
  basis.reflect(coordinates);
  // What lies in the span of the vectors so far has nowhere to be.
  for (const value of coordinates.subarray(0, 12)) expect(value).toBeCloseTo(0, 12);
  const codes = Int16Array.from(coordinates, (value) => Math.round(value * 8000));
  const norm = Math.sqrt(dot(wanted, wanted));
  expect(dot(basis.add(codes)!, wanted) / norm).toBeGreaterThan(1 - 1e-6);
});

it('codes before the rank do not count, and all others zero are no vector', () => {
  const basis = new OrthonormalBasis(3, scalar);
  expect([...basis.add(Int16Array.of(0, 5, 0))!]).toEqual([0, 1, 0]);
  expect(basis.add(Int16Array.of(9, 0, 0))).toBeUndefined();
  expect(basis.rank).toBe(1);
});

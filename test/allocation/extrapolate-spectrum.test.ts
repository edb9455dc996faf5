import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { extrapolateSpectrum } from '../../src/allocation/extrapolate-spectrum.js';

const energyOf = (values: Float64Array) => values.reduce((sum, value) => sum + value * value, 0);

/** Continues the first `known` values of a spectrum. */
function continued(spectrum: Float64Array, known: number): Float64Array {
  return extrapolateSpectrum(spectrum.slice(0, known), energyOf(spectrum), spectrum.length);
}

describe('extrapolateSpectrum', () => {
  test('keeps what is known, adds up to the energy, and never rises', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.01, max: 10, noNaN: true }), { minLength: 2, maxLength: 40 }),
        fc.nat(39),
        (values, cut) => {
          const spectrum = Float64Array.from(values).sort().reverse();
          const known = Math.min(cut, spectrum.length);
          const result = continued(spectrum, known);
          expect(result.slice(0, known)).toEqual(spectrum.slice(0, known));
          expect(energyOf(result) / energyOf(spectrum)).toBeCloseTo(1, 5);
          const tail = result.subarray(known);
          expect([...tail]).toEqual([...tail].sort((x, y) => y - x));
        },
      ),
    );
  });

  test('a flat spectrum goes on flat', () => {
    const result = continued(new Float64Array(100).fill(2), 10);
    expect(result).toHaveLength(100);
    for (const value of result) expect(value).toBeCloseTo(2, 6);
  });

  test('without known values the energy is spread evenly', () => {
    expect([...extrapolateSpectrum(new Float64Array(0), 16, 4)]).toEqual([2, 2, 2, 2]);
  });

  test('where the known values hold all of the energy but for rounding, there is no tail', () => {
    const known = Float64Array.of(3, 1);
    expect(extrapolateSpectrum(known, 10 * (1 + 1e-7), 50)).toBe(known);
    expect(extrapolateSpectrum(known, 9.9, 50)).toBe(known);
  });

  test.each([
    ['a power law', (i: number) => (i + 1) ** -0.7],
    ['a linear fall', (i: number) => 1 - (i + 0.5) / 256],
    ['an exponential fall', (i: number) => Math.exp(-i / 60)],
  ])('%s: the error left at every rank is predicted within a twentieth of the whole', (_, value) => {
    const spectrum = Float64Array.from({ length: 256 }, (_, i) => value(i));
    const result = continued(spectrum, 64);
    let [truth, predicted] = [energyOf(spectrum), energyOf(result)];
    for (let rank = 0; rank < 256; rank++) {
      expect(Math.abs(truth - predicted) / energyOf(spectrum)).toBeLessThan(0.05);
      truth -= spectrum[rank]! ** 2;
      predicted -= result[rank]! ** 2;
    }
  });
});

/** Steps of the scalar quantiser: no worse than the published optimum, and total on odd inputs. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bestStep, codeRange, expectedRelativeError } from '../../src/codecs/scalar-quantizer.js';
import { normalFloats } from '../kernels/samples.js';

const WIDTHS = Array.from({ length: 15 }, (_, i) => i + 2);

function quantize(values: Float32Array, step: number, bits: number): number[] {
  const { minimum, maximum } = codeRange(bits);
  return Array.from(values, (x) => step * Math.min(maximum, Math.max(minimum, Math.round(x / step))));
}

describe('codeRange', () => {
  it('is two´s complement, without −32,768, which int16 products cannot take', () => {
    expect(codeRange(2)).toEqual({ minimum: -2, maximum: 1 });
    expect(codeRange(8)).toEqual({ minimum: -128, maximum: 127 });
    expect(codeRange(16)).toEqual({ minimum: -32767, maximum: 32767 });
  });
});

describe('bestStep', () => {
  for (const bits of WIDTHS) {
    it(`${bits} bits: the error of Gaussian values is about the published one`, () => {
      const values = normalFloats(20_000, bits, 3);
      const step = bestStep(values, bits);
      const decoded = quantize(values, step, bits);
      const error = values.reduce((sum, x, i) => sum + (x - decoded[i]!) ** 2, 0);
      const energy = values.reduce((sum, x) => sum + x * x, 0);
      expect(error / energy).toBeLessThan(1.3 * expectedRelativeError(bits));
    });
  }

  it('no value of the range is off by more than half a step', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...WIDTHS),
        fc.array(fc.float({ noNaN: true, noDefaultInfinity: true, min: -1000, max: 1000 }), { minLength: 1 }),
        (bits, list) => {
          const values = Float32Array.from(list);
          const step = bestStep(values, bits);
          if (step === 0) return expect(values.every((x) => x === 0)).toBe(true);
          const { minimum, maximum } = codeRange(bits);
          const decoded = quantize(values, step, bits);
          for (const [i, x] of values.entries()) {
            const inRange = x >= (minimum - 0.5) * step && x <= (maximum + 0.5) * step;
            if (inRange) expect(Math.abs(x - decoded[i]!)).toBeLessThanOrEqual(step * (0.5 + 1e-6));
          }
        },
      ),
    );
  });

  it('from 9 bits on covers every value', () => {
    const values = Float32Array.of(0.001, -7, 3);
    for (const bits of WIDTHS.filter((width) => width >= 9)) {
      expect(bestStep(values, bits) * (codeRange(bits).maximum + 0.5)).toBeCloseTo(7, 10);
    }
  });

  it('is 0 for zeros and for nothing', () => {
    expect(bestStep(new Float32Array(5), 4)).toBe(0);
    expect(bestStep(new Float32Array(0), 4)).toBe(0);
  });

  it('does not depend on the sign of all values together at odd levels, nor on their order', () => {
    const values = normalFloats(500, 3);
    expect(bestStep(Float32Array.from([...values].reverse()), 5)).toBeCloseTo(bestStep(values, 5), 12);
  });
});

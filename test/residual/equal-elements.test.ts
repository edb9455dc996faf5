import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { countEqualElements } from '../../src/residual/equal-elements.js';

const WIDTHS = [4, 6, 8, 16, 32, 64] as const;

/** Element by element, over bits; 6-bit elements in groups of four. */
function reference(x: Uint8Array, y: Uint8Array, bits: number): number {
  const bitsOf = (bytes: Uint8Array) => [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const unit = bits === 6 ? 24 : bits;
  const [xBits, yBits] = [bitsOf(x), bitsOf(y)];
  let count = 0;
  for (let start = 0; start < xBits.length; start += unit) {
    if (xBits.slice(start, start + unit) === yBits.slice(start, start + unit)) count += unit / bits;
  }
  return count;
}

describe('countEqualElements', () => {
  test.each(WIDTHS)('%i bits: counts as a comparison of every element does, at any alignment', (bits) => {
    const unit = bits === 6 ? 3 : Math.ceil(bits / 8);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(255), fc.boolean()), { maxLength: 60 }),
        fc.nat(7),
        fc.nat(7),
        (pairs, xOffset, yOffset) => {
          const used = pairs.slice(0, pairs.length - (pairs.length % unit));
          const x = new Uint8Array(xOffset + used.length).subarray(xOffset);
          const y = new Uint8Array(yOffset + used.length).subarray(yOffset);
          for (const [i, [value, equal]] of used.entries()) {
            x[i] = value;
            y[i] = equal ? value : value ^ 0x80;
          }
          expect(countEqualElements(x, y, bits)).toBe(reference(x, y, bits));
        },
      ),
    );
  });

  test('nought of either sign is not equal: bits decide, and NaN equals itself', () => {
    const x = new Uint8Array(Float32Array.of(0, Number.NaN, 1).buffer);
    const y = new Uint8Array(Float32Array.of(-0, Number.NaN, 1).buffer);
    expect(countEqualElements(x, y, 32)).toBe(2);
  });

  test('no elements: none equal', () =>
    expect(countEqualElements(new Uint8Array(0), new Uint8Array(0), 16)).toBe(0));

  test('lengths that differ and unknown widths are refused', () => {
    expect(() => countEqualElements(new Uint8Array(2), new Uint8Array(4), 16)).toThrow(RangeError);
    expect(() => countEqualElements(new Uint8Array(2), new Uint8Array(2), 12)).toThrow(RangeError);
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesOf, PATHS, randomIntegers, scalar, wasm } from './samples.js';

const KERNELS = { wasm, scalar };

describe('scaleComponents', () => {
  test('wasm and scalar give the same rows and the same largest product, at any place in a row', () => {
    fc.assert(
      fc.property(
        fc.nat(40),
        fc.nat(20),
        fc.nat(3),
        fc.nat(3),
        fc.boolean(),
        fc.nat(),
        (length, count, first, rest, isWide, seed) => {
          const stride = first + count + rest || 1;
          const codes = Int16Array.from(randomIntegers(count * length, seed, 32_767));
          const gains = Uint16Array.from(randomIntegers(count, seed + 1, 3), (gain) => Math.abs(gain));
          const runs = [wasm, scalar].map((kernels) => {
            const out = isWide ? new Int32Array(length * stride) : new Int16Array(length * stride);
            out.fill(7);
            const largest = kernels.scaleComponents({ codes, gains, length, out, stride, first });
            return { largest, bytes: bytesOf(out) };
          });
          expect(runs[0]!.largest).toBe(runs[1]!.largest);
          expect(runs[0]!.bytes.equals(runs[1]!.bytes)).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('sizes over a block', () => {
    const [length, count] = [70_001, 9];
    const codes = Int16Array.from(randomIntegers(count * length, 1, 32_000));
    const gains = Uint16Array.from({ length: count }, (_, k) => k);
    const outputs = [wasm, scalar].map((kernels) => {
      const out = new Int16Array(length * count);
      kernels.scaleComponents({ codes, gains, length, out, stride: count, first: 0 });
      return bytesOf(out);
    });
    expect(outputs[0]!.equals(outputs[1]!)).toBe(true);
  });

  test.each(PATHS)('the largest product is told before it wraps, %s', (path) => {
    const out = new Int16Array(2);
    const request = { length: 2, out, stride: 1, first: 0 };
    const codes = Int16Array.of(-32_768, 2);
    const largest = KERNELS[path].scaleComponents({ ...request, codes, gains: Uint16Array.of(65_535) });
    expect(largest).toBe(32_768 * 65_535);
    expect([...out]).toEqual([-32_768, -2]);
    expect(() =>
      KERNELS[path].scaleComponents({ ...request, codes, gains: Uint16Array.of(1), first: 1 }),
    ).toThrow(RangeError);
  });
});

describe('largestSquaredNorm', () => {
  test('is exact on both paths', () => {
    fc.assert(
      fc.property(fc.nat(20), fc.integer({ min: 1, max: 40 }), fc.nat(), (rows, k, seed) => {
        const matrix = Int16Array.from(randomIntegers(rows * k, seed, 32_767));
        expect(wasm.largestSquaredNorm(matrix, k)).toBe(scalar.largestSquaredNorm(matrix, k));
      }),
    );
    const largest = new Int16Array(4096).fill(-32_767);
    for (const path of PATHS)
      expect(KERNELS[path].largestSquaredNorm(largest, 4096)).toBe(4096 * 32_767 ** 2);
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { randomBytes, scalar, wasm } from './samples.js';

const width = fc.constantFrom(1, 2, 4, 8);
const words = fc.oneof(fc.nat(70), fc.constantFrom(16_383, 16_384, 16_385, 40_000));

/** The output of both paths, which is to be the same. */
function onBoth(byteLength: number, run: (kernels: typeof wasm, out: Uint8Array) => void): Uint8Array {
  const outputs = [wasm, scalar].map((kernels) => {
    const out = new Uint8Array(byteLength);
    run(kernels, out);
    return out;
  });
  expect(Buffer.compare(outputs[0]!, outputs[1]!)).toBe(0);
  return outputs[0]!;
}

describe('byte planes', () => {
  test('join what was split, on both paths', () => {
    fc.assert(
      fc.property(width, words, fc.nat(), (wordWidth, count, seed) => {
        const bytes = randomBytes(count * wordWidth, seed);
        const planes = onBoth(bytes.byteLength, (kernels, out) => kernels.splitPlanes(bytes, wordWidth, out));
        const joined = onBoth(bytes.byteLength, (kernels, out) => kernels.joinPlanes(planes, wordWidth, out));
        expect(Buffer.compare(joined, bytes)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test('hold byte p of every word in plane p', () => {
    const planes = new Uint8Array(6);
    wasm.splitPlanes(Uint8Array.of(1, 2, 3, 4, 5, 6), 2, planes);
    expect([...planes]).toEqual([1, 3, 5, 2, 4, 6]);
  });
});

describe('combineWords', () => {
  test('wraps in its width, undoes itself, and may write over its first operand', () => {
    fc.assert(
      fc.property(width, words, fc.nat(), (wordWidth, count, seed) => {
        const [x, y] = [randomBytes(count * wordWidth, seed), randomBytes(count * wordWidth, seed + 1)];
        const difference = onBoth(x.byteLength, (kernels, out) =>
          kernels.combineWords(x, y, -1, wordWidth, out),
        );
        const sum = onBoth(x.byteLength, (kernels, out) => {
          out.set(difference);
          kernels.combineWords(out, y, 1, wordWidth, out);
        });
        expect(Buffer.compare(sum, x)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test('refuses widths and lengths that are no words', () => {
    const run = (wordWidth: number, length: number) =>
      wasm.combineWords(new Uint8Array(length), new Uint8Array(length), 1, wordWidth, new Uint8Array(length));
    expect(() => run(3, 6)).toThrow('expected 1, 2, 4 or 8, got 3');
    expect(() => run(4, 6)).toThrow('expected a multiple of 4 bytes, got 6');
  });
});

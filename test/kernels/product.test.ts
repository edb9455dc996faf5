import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_PRODUCT_K } from '../../src/kernels/kernels.js';
import { loadKernels } from '../../src/kernels/load-kernels.js';
import { bytesOf, normalFloats, PATHS, randomIntegers, scalar, wasm } from './samples.js';

const dimension = fc.oneof(fc.constantFrom(0, 1, 3, 4, 5, 12, 13), fc.nat(40));

describe('wasm and scalar give the same bytes', () => {
  test('int16 products at odd shapes, any values: sums wrap alike', () => {
    fc.assert(
      fc.property(dimension, dimension, dimension, fc.nat(), fc.nat(6), (rows, columns, k, seed, shift) => {
        const bound = [32_768, 32_767, 1000, 100, 10, 1, 0][shift];
        const a = Int16Array.from(randomIntegers(rows * k, seed, bound));
        const b = Int16Array.from(randomIntegers(columns * k, seed + 1, bound));
        const scale = normalFloats(1, seed + 2)[0];
        const start = normalFloats(rows * columns, seed + 3, 1e6);
        const outputs = [wasm, scalar].map((kernels) => {
          const out = start.slice();
          kernels.accumulateProduct({ a, b, rows, columns, k, scale, out });
          return bytesOf(out);
        });
        expect(outputs[0].equals(outputs[1])).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  test('wide products at odd shapes, int32 and float64 operands in any mix', () => {
    fc.assert(
      fc.property(dimension, dimension, dimension, fc.nat(), fc.nat(3), (rows, columns, k, seed, mix) => {
        // 40 products of 2^23 · 2^24: sums stay below 2^53.
        const left = randomIntegers(rows * k, seed, 2 ** 23);
        const right = randomIntegers(columns * k, seed + 1, 2 ** 24 - 1);
        const a = (mix & 1) === 0 ? Int32Array.from(left) : Float64Array.from(left);
        const b = (mix & 2) === 0 ? Int32Array.from(right) : Float64Array.from(right);
        const scale = normalFloats(1, seed + 2, 1e-9)[0];
        const start = normalFloats(rows * columns, seed + 3, 1e3);
        const outputs = [wasm, scalar].map((kernels) => {
          const out = start.slice();
          kernels.accumulateWideProduct({ a, b, rows, columns, k, scale, out });
          return bytesOf(out);
        });
        expect(outputs[0].equals(outputs[1])).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  test('a product in row blocks equals the product at once, with two operands in turn', () => {
    const [rows, columns, k] = [37, 300, 65];
    const a = Int16Array.from(randomIntegers(rows * k, 1, 900));
    const b = Int16Array.from(randomIntegers(columns * k, 2, 900));
    const start = normalFloats(rows * columns, 3);
    const whole = start.slice();
    scalar.accumulateProduct({ a, b, rows, columns, k, scale: 1e-6, out: whole });
    scalar.accumulateProduct({ a, b, rows, columns, k, scale: -0.25, out: whole });
    const blocks = start.slice();
    const first = wasm.prepareProduct(b, columns, k, 1e-6);
    const second = wasm.prepareProduct(b, columns, k, -0.25);
    for (const [from, to] of [
      [0, 5],
      [5, 6],
      [6, 36],
      [36, 37],
    ]) {
      const rowsOfA = a.subarray(from * k, to * k);
      const rowsOfOut = blocks.subarray(from * columns, to * columns);
      first.accumulate(rowsOfA, to - from, rowsOfOut);
      second.accumulate(rowsOfA, to - from, rowsOfOut);
    }
    expect(bytesOf(blocks).equals(bytesOf(whole))).toBe(true);
  });
});

describe.each(PATHS)('%s', (path) => {
  const kernels = loadKernels(path);

  test('±32767 sums up to the edge of int32', () => {
    // 2 · 32767² = 2^31 − 131070 is the largest sum of two such products.
    const out = new Float32Array(2);
    const a = Int16Array.of(32_767, -32_767);
    const b = Int16Array.of(32_767, -32_767, -32_767, 32_767);
    kernels.accumulateProduct({ a, b, rows: 1, columns: 2, k: 2, scale: 1, out });
    expect([...out]).toEqual([Math.fround(2 * 32_767 ** 2), -Math.fround(2 * 32_767 ** 2)]);
  });

  test('partial sums over int32 do no harm when the whole sum fits', () => {
    const k = 64;
    const a = new Int16Array(k).fill(32_767);
    const b = Int16Array.from({ length: k }, (_, i) => (i < k / 2 ? 32_767 : -32_767));
    b[k - 1] = -32_766;
    const out = new Float32Array(1);
    kernels.accumulateProduct({ a, b, rows: 1, columns: 1, k, scale: 1, out });
    expect(out[0]).toBe(32_767);
  });

  test('the sum is rounded to float32 once, then scaled, then added', () => {
    const out = Float32Array.of(0.1);
    const start = out[0];
    const sum = 2 ** 24 + 1; // a tie in float32
    kernels.accumulateProduct({
      a: Int16Array.of(4096, 1),
      b: Int16Array.of(4096, 1),
      rows: 1,
      columns: 1,
      k: 2,
      scale: 0.3,
      out,
    });
    expect(out[0]).toBe(Math.fround(start + Math.fround(Math.fround(0.3) * Math.fround(sum))));
  });

  test('a wide sum near 2^53 rounds once from the exact integer', () => {
    const a = Float64Array.of(2 ** 26 - 1, 1, 2 ** 25);
    const b = Int32Array.of(2 ** 26 - 1, 3, -(2 ** 25));
    const exact = (2n ** 26n - 1n) ** 2n + 3n - 2n ** 50n;
    const out = new Float32Array(1);
    kernels.accumulateWideProduct({ a, b, rows: 1, columns: 1, k: 3, scale: 1, out });
    expect(out[0]).toBe(Math.fround(Number(exact)));
  });

  test('k = 0 adds scale · 0', () => {
    const out = Float32Array.of(1, 2);
    kernels.accumulateProduct({
      a: new Int16Array(0),
      b: new Int16Array(0),
      rows: 1,
      columns: 2,
      k: 0,
      scale: 5,
      out,
    });
    expect([...out]).toEqual([1, 2]);
  });

  test('the prepared operand is a copy', () => {
    const b = Int16Array.of(3);
    const product = kernels.prepareProduct(b, 1, 1, 1);
    b[0] = 9;
    const out = new Float32Array(1);
    product.accumulate(Int16Array.of(2), 1, out);
    expect(out[0]).toBe(6);
  });

  test('a freed product and lengths that do not agree are refused', () => {
    const product = kernels.prepareProduct(Int16Array.of(3), 1, 1, 1);
    expect(() => product.accumulate(Int16Array.of(2, 2), 1, new Float32Array(1))).toThrow(RangeError);
    expect(() => product.accumulate(Int16Array.of(2), 1, new Float32Array(2))).toThrow(RangeError);
    product.free();
    expect(() => product.accumulate(Int16Array.of(2), 1, new Float32Array(1))).toThrow(TypeError);
    expect(() => kernels.prepareProduct(new Int16Array(5), 2, 3, 1)).toThrow(
      'b: expected a length of 6, got 5',
    );
    const tooMany = MAX_PRODUCT_K + 1;
    expect(() => kernels.prepareProduct(new Int16Array(tooMany), 1, tooMany, 1)).toThrow(
      /k: expected an integer/,
    );
  });
});

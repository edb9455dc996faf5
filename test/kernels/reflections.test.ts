/** Reflections in the arena are those of the contract, bit for bit. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Kernels } from '../../src/kernels/kernels.js';
import { wasmKernels } from '../../src/kernels/wasm/wasm-kernels.js';
import { bytesOf, normalFloats, randomIntegers, scalar, wasm } from './samples.js';

/** A vector after each of `count` reflections was added, applied in both orders. */
function run(kernels: Kernels, dimension: number, count: number, between: () => void = () => {}): Buffer {
  const reflections = kernels.createReflections(dimension);
  const x = Float64Array.from(normalFloats(dimension, 5));
  const results: Uint8Array[] = [];
  for (let k = 0; k < count; k++) {
    const w = Float64Array.from(normalFloats(dimension, 100 + k)).fill(0, 0, Math.min(k, dimension));
    reflections.add(w, dimension / 2 + k);
    expect(reflections.count).toBe(k + 1);
    reflections.apply(x, k % 3 !== 0);
    results.push(bytesOf(x.slice()));
    between();
  }
  return Buffer.concat(results);
}

test('any number in any dimension gives the bits of the scalar kernels', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 0, max: 70 }), (dimension, count) => {
      expect(run(wasm, dimension, count).equals(run(scalar, dimension, count))).toBe(true);
    }),
  );
});

test('others may use the kernels in between', () => {
  const [a, b] = [Int16Array.from(randomIntegers(64, 1, 9)), Int16Array.from(randomIntegers(64, 2, 9))];
  const between = () => {
    const out = new Float32Array(64);
    wasm.accumulateProduct({ a, b, rows: 8, columns: 8, k: 8, scale: 1, out });
    wasm.createReflections(9).apply(new Float64Array(9), true);
  };
  expect(run(wasm, 33, 20, between).equals(run(scalar, 33, 20))).toBe(true);
});

test('more than the operand region holds go through it, and vectors too long for the arena are not put there', () => {
  const small = wasmKernels({ operandByteLength: 2 * 2 ** 20 });
  expect(run(small, 50_000, 8).equals(run(scalar, 50_000, 8))).toBe(true);
  expect(run(small, 70_001, 2).equals(run(scalar, 70_001, 2))).toBe(true);
});

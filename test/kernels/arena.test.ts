import { describe, expect, test } from 'vitest';
import { FLOAT_DTYPES } from '../../formats/dtype.js';
import { elementByteLength } from '../../src/kernels/arguments.js';
import { KERNELS_WASM } from '../../src/kernels/generated/kernels-wasm.js';
import { MAX_PRODUCT_K } from '../../src/kernels/kernels.js';
import { loadKernels } from '../../src/kernels/load-kernels.js';
import { Arena, OPERAND_BYTES, SCRATCH_BYTES } from '../../src/kernels/wasm/arena.js';
import { instantiateKernels } from '../../src/kernels/wasm/module.js';
import { prepareProduct, prepareWideProduct } from '../../src/kernels/wasm/product.js';
import { wasmKernels } from '../../src/kernels/wasm/wasm-kernels.js';
import { bytesOf, normalFloats, randomBytes, randomIntegers, scalar } from './samples.js';

function int16(length: number, seed: number, bound: number): Int16Array {
  return Int16Array.from(randomIntegers(length, seed, bound));
}

describe('the arena', () => {
  test('the module needs nothing but a memory', () => {
    const module = new WebAssembly.Module(Buffer.from(KERNELS_WASM, 'base64'));
    expect(WebAssembly.Module.imports(module)).toEqual([{ module: 'env', name: 'memory', kind: 'memory' }]);
  });

  test('views are renewed when the memory grows', () => {
    const arena = new Arena(instantiateKernels);
    const before = arena.bytes;
    arena.bytes[2000] = 42;
    arena.reserve(arena.byteLength + 1);
    expect(before.byteLength).toBe(0); // detached
    expect(arena.bytes[2000]).toBe(42);
    arena.float32[100] = 1;
    arena.float64[100] = 1;
    arena.int16[100] = 1;
    expect(arena.byteLength).toBe(2 * 65_536);
  });

  test('buffers do not overlap, and more scratch than there is is refused', () => {
    const arena = new Arena(instantiateKernels);
    const [x, y] = arena.layOut(100, 200);
    expect(y).toBeGreaterThanOrEqual(x + 100 + 64);
    expect(() => arena.layOut(SCRATCH_BYTES)).toThrow(RangeError);
  });

  test('an operand larger than its region streams through, and memory stays bounded', () => {
    const arena = new Arena(instantiateKernels, 2 * 1024 * 1024);
    const [rows, columns, k] = [5, 1111, 1001];
    const a = int16(rows * k, 1, 1000);
    const b = int16(columns * k, 2, 1000); // 2.2 MB packed
    const out = new Float32Array(rows * columns);
    const expected = out.slice();
    const product = prepareProduct(arena, b, columns, k, 1e-5);
    product.accumulate(a, rows, out);
    scalar.accumulateProduct({ a, b, rows, columns, k, scale: 1e-5, out: expected });
    expect(bytesOf(out).equals(bytesOf(expected))).toBe(true);
    expect(arena.byteLength).toBeLessThanOrEqual(SCRATCH_BYTES + 2 * 1024 * 1024 + 65_536);
  });

  test('a wide operand streams through too', () => {
    const arena = new Arena(instantiateKernels, 2 * 1024 * 1024);
    const [rows, columns, k] = [3, 700, 500];
    const a = Int32Array.from(randomIntegers(rows * k, 1, 2 ** 20));
    const b = Int32Array.from(randomIntegers(columns * k, 2, 2 ** 20));
    const out = new Float32Array(rows * columns);
    const expected = out.slice();
    prepareWideProduct(arena, b, columns, k, 1e-9).accumulate(a, rows, out);
    scalar.accumulateWideProduct({ a, b, rows, columns, k, scale: 1e-9, out: expected });
    expect(bytesOf(out).equals(bytesOf(expected))).toBe(true);
  });

  test('more columns than an output block holds: a resident operand in column chunks', () => {
    const [rows, columns, k] = [9, 70_001, 3];
    const a = int16(rows * k, 1, 30_000);
    const b = int16(columns * k, 2, 100);
    const out = normalFloats(rows * columns, 3);
    const expected = out.slice();
    wasmKernels().accumulateProduct({ a, b, rows, columns, k, scale: 0.5, out });
    scalar.accumulateProduct({ a, b, rows, columns, k, scale: 0.5, out: expected });
    expect(bytesOf(out).equals(bytesOf(expected))).toBe(true);
  });

  test('the largest k fits into the scratch of both products', () => {
    const arena = new Arena(instantiateKernels);
    const k = MAX_PRODUCT_K;
    const out = new Float32Array(25);
    const expected = out.slice();
    const a = int16(5 * k, 1, 100);
    const b = int16(5 * k, 2, 100);
    prepareProduct(arena, b, 5, k, 1).accumulate(a, 5, out);
    prepareWideProduct(arena, Float64Array.from(b), 5, k, 1).accumulate(Float64Array.from(a), 5, out);
    scalar.accumulateProduct({ a, b, rows: 5, columns: 5, k, scale: 1, out: expected });
    scalar.accumulateProduct({ a, b, rows: 5, columns: 5, k, scale: 1, out: expected });
    expect(bytesOf(out).equals(bytesOf(expected))).toBe(true);
    expect(arena.byteLength).toBeLessThanOrEqual(SCRATCH_BYTES + OPERAND_BYTES + 65_536);
  });

  test('a prepared product survives whatever other kernels do in between', () => {
    const kernels = wasmKernels();
    const [rows, columns, k] = [8, 50, 20];
    const a = int16(rows * k, 1, 500);
    const b = int16(columns * k, 2, 500);
    const product = kernels.prepareProduct(b, columns, k, 0.01);
    const out = new Float32Array(rows * columns);
    const expected = out.slice();
    const square = normalFloats(300 * 300, 4);
    for (let round = 0; round < 3; round++) {
      product.accumulate(a, rows, out);
      scalar.accumulateProduct({ a, b, rows, columns, k, scale: 0.01, out: expected });
      // The first gemm grows the memory and takes the operand region.
      kernels.gemm({ m: 300, n: 300, k: 300, a: square, b: square, c: new Float32Array(300 * 300) });
      for (const dtype of FLOAT_DTYPES) {
        const bytes = randomBytes(20_000 * elementByteLength(dtype), round);
        kernels.toFloat32(dtype, bytes, new Float32Array(20_000));
        kernels.addAndRound('F64', dtype, bytes, new Float32Array(20_000), new Uint8Array(160_000));
      }
    }
    expect(bytesOf(out).equals(bytesOf(expected))).toBe(true);
  });

  test('an operand region too small for one chunk of gemm is refused', () => {
    expect(() => wasmKernels({ operandByteLength: 1024 })).toThrow('expected at least 2 MiB, got 1024');
  });
});

describe('loadKernels', () => {
  test('gives one instance a path, wasm by default', () => {
    expect(loadKernels()).toBe(loadKernels('wasm'));
    expect(loadKernels().path).toBe('wasm');
    expect(loadKernels('scalar').path).toBe('scalar');
  });
});

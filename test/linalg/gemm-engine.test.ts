import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { isEreError } from '../../formats/errors.js';
import { createDeviceEngine } from '../../src/linalg/device-engine.js';
import { openDeviceThread } from '../../src/linalg/device-thread.js';
import { type GemmEngine, openGemmEngine } from '../../src/linalg/gemm-engine.js';
import { createMatrix, type Matrix, transpose } from '../../src/linalg/matrix.js';
import { sketchMatrix } from '../../src/linalg/sketch.js';
import { plainGemm } from './plain-gemm.js';

const runtime = (await openGemmEngine({ fallback: plainGemm, preferred: 'onnxruntime' })).engine;
const kernel = (await openGemmEngine({ fallback: plainGemm, preferred: 'wasm' })).engine;
// The runtime's CPU provider in a device's thread: all of what a device does but the device.
const thread = await openDeviceThread({ device: 'cpu' });
if ('failure' in thread) throw new Error(thread.failure);
const device = createDeviceEngine({
  name: thread.name!,
  port: thread.connect()!,
  local: (await openGemmEngine({ fallback: plainGemm, preferred: 'wasm' })).engine,
  sends: () => true,
});
afterAll(async () => {
  await runtime.close();
  await device.close();
  await thread.close();
});

/** op(a) · op(b) by the definition, in float64. */
function product(a: Matrix, b: Matrix): Float64Array {
  const result = new Float64Array(a.rows * b.columns);
  for (let i = 0; i < a.rows; i++) {
    for (let j = 0; j < b.columns; j++) {
      for (let p = 0; p < a.columns; p++)
        result[i * b.columns + j] += a.data[i * a.columns + p] * b.data[p * b.columns + j];
    }
  }
  return result;
}

function largest(values: ArrayLike<number>): number {
  return Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

const engines: [string, GemmEngine][] = [
  ['onnxruntime', runtime],
  ['kernel', kernel],
  ['device', device],
];

describe.each(engines)('%s engine', (_name, engine) => {
  test('multiplies every shape and transposition to within float32 rounding', async () => {
    const size = fc.integer({ min: 1, max: 40 });
    await fc.assert(
      fc.asyncProperty(
        size,
        size,
        size,
        fc.boolean(),
        fc.boolean(),
        async (m, n, k, transposeA, transposeB) => {
          const a = sketchMatrix(m, k, 3);
          const b = sketchMatrix(k, n, 4);
          const expected = product(a, b);
          const actual = await engine.multiply(transposeA ? transpose(a) : a, transposeB ? transpose(b) : b, {
            transposeA,
            transposeB,
          });
          expect([actual.rows, actual.columns]).toEqual([m, n]);
          const scale = Math.max(1, largest(expected));
          for (let i = 0; i < expected.length; i++)
            expect(Math.abs(actual.data[i] - expected[i])).toBeLessThan(1e-5 * scale);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('writes into a view of a larger buffer and leaves the rest alone', async () => {
    const buffer = new Float32Array(12).fill(7);
    const into = createMatrix(2, 2, buffer.subarray(4, 8));
    const a = createMatrix(2, 1, Float32Array.of(1, 2));
    const b = createMatrix(1, 2, Float32Array.of(3, 4));
    expect(await engine.multiply(a, b, { into })).toBe(into);
    expect([...buffer]).toEqual([7, 7, 7, 7, 3, 4, 6, 8, 7, 7, 7, 7]);
    await engine.multiply(a, b, { into, accumulate: true });
    expect([...buffer]).toEqual([7, 7, 7, 7, 6, 8, 12, 16, 7, 7, 7, 7]);
  });

  test('an operand that is itself a view is read from its own offset', async () => {
    const a = createMatrix(1, 2, Float32Array.of(9, 9, 1, 2).subarray(2));
    const result = await engine.multiply(a, a, { transposeB: true });
    expect([...result.data]).toEqual([5]);
  });

  test('an empty inner dimension gives zeros, or leaves the sum as it is', async () => {
    const into = createMatrix(2, 3, new Float32Array(6).fill(5));
    await engine.multiply(createMatrix(2, 0), createMatrix(0, 3), { into, accumulate: true });
    expect([...into.data]).toEqual([5, 5, 5, 5, 5, 5]);
    await engine.multiply(createMatrix(2, 0), createMatrix(0, 3), { into });
    expect([...into.data]).toEqual([0, 0, 0, 0, 0, 0]);
    expect((await engine.multiply(createMatrix(0, 4), createMatrix(4, 3))).data.length).toBe(0);
  });

  test('shapes that do not fit are a RangeError that names them', async () => {
    const a = createMatrix(2, 3);
    await expect(engine.multiply(a, a)).rejects.toThrow(/2 × 3 times 2 × 3/);
    await expect(engine.multiply(a, a, { transposeA: true, into: createMatrix(2, 2) })).rejects.toThrow(
      RangeError,
    );
    await expect(engine.multiply(a, a, { transposeA: true, accumulate: true })).rejects.toThrow(TypeError);
  });

  test('the Gram matrix has float64 precision: a difference float32 sums would lose is there', async () => {
    const a = createMatrix(2, 2, Float32Array.of(1, 1, 1, 1 + 2 ** -12));
    expect([...(await engine.gram(a))]).toEqual([2, 2 + 2 ** -12, 2 + 2 ** -12, 1 + (1 + 2 ** -12) ** 2]);
  });

  test('the Gram matrix of many rows is summed over chunks', async () => {
    const rows = 2 ** 20 / 512 + 3; // just over one chunk of the runtime engine
    const gram = await engine.gram(createMatrix(rows, 512, new Float32Array(rows * 512).fill(0.5)));
    expect([gram[0], gram[511], gram[512 * 512 - 1]]).toEqual([rows / 4, rows / 4, rows / 4]);
    expect((await engine.gram(createMatrix(0, 2))).every((value) => value === 0)).toBe(true);
  });

  test('products larger than a chunk equal those of their parts', async () => {
    const a = sketchMatrix(1100, 1000, 5); // 1.1 · 10⁶ elements: two chunks of the kernel engine
    const x = sketchMatrix(1000, 2, 6);
    const y = sketchMatrix(1100, 2, 7);
    const forward = await engine.multiply(a, x);
    const backward = await engine.multiply(a, y, { transposeA: true });
    const [exactForward, exactBackward] = [product(a, x), product(transpose(a), y)];
    for (let i = 0; i < exactForward.length; i++)
      expect(Math.abs(forward.data[i] - exactForward[i])).toBeLessThan(1e-3);
    for (let i = 0; i < exactBackward.length; i++)
      expect(Math.abs(backward.data[i] - exactBackward[i])).toBeLessThan(1e-3);
  });
});

describe('openGemmEngine', () => {
  const missing = Object.assign(new Error("Cannot find package 'onnxruntime-node' imported from ere"), {
    code: 'ERR_MODULE_NOT_FOUND',
  });

  test('prefers onnxruntime-node and names its version', async () => {
    const { engine, warning } = await openGemmEngine({ fallback: plainGemm });
    expect(engine.name).toMatch(/^onnxruntime-node \d+\.\d+\.\d+/);
    expect(warning).toBeUndefined();
    await engine.close();
  });

  test('falls back with a warning when the optional package is absent', async () => {
    const { engine, warning } = await openGemmEngine({
      fallback: plainGemm,
      loadOnnxruntime: () => Promise.reject(missing),
    });
    expect(engine.name).toBe('wasm');
    expect(warning).toMatch(/not installed.*WebAssembly GEMM.*slower/);
  });

  test('a native part that does not load is told apart from an absent package', async () => {
    const failure = Object.assign(new Error('libonnxruntime.so.1: cannot open shared object file\nstack'), {
      code: 'ERR_DLOPEN_FAILED',
    });
    const { warning } = await openGemmEngine({
      fallback: plainGemm,
      loadOnnxruntime: () => Promise.reject(failure),
    });
    expect(warning).toMatch(
      /native part does not load here \(libonnxruntime.so.1: cannot open shared object file\)/,
    );
  });

  test("asking for 'onnxruntime' where it does not load is an UnsupportedError with the cause", async () => {
    const opening = openGemmEngine({
      fallback: plainGemm,
      preferred: 'onnxruntime',
      loadOnnxruntime: () => Promise.reject(missing),
    });
    const error = await opening.catch((caught: unknown) => caught);
    expect(isEreError(error, 'ERE_UNSUPPORTED')).toBe(true);
    expect((error as Error).cause).toBe(missing);
  });

  test("'wasm' takes the kernel without a warning and without loading the runtime", async () => {
    const { engine, warning } = await openGemmEngine({
      fallback: plainGemm,
      preferred: 'wasm',
      loadOnnxruntime: () => Promise.reject(new Error('must not be called')),
    });
    expect([engine.name, warning]).toEqual(['wasm', undefined]);
  });
});

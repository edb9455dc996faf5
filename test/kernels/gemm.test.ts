import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadKernels } from '../../src/kernels/load-kernels.js';
import { bytesOf, normalFloats, PATHS, scalar, wasm } from './samples.js';

const dimension = fc.oneof(fc.constantFrom(0, 1, 3, 4, 5, 12, 13), fc.nat(50));

describe('wasm and scalar give the same bytes', () => {
  test('A·B and Aᵀ·B at odd shapes, over the blocks of k', () => {
    const inner = fc.oneof(dimension, fc.constantFrom(255, 256, 257, 600, 1025));
    fc.assert(
      fc.property(
        dimension,
        dimension,
        inner,
        fc.boolean(),
        fc.boolean(),
        fc.nat(),
        (m, n, k, transposeA, accumulate, seed) => {
          const a = normalFloats(m * k, seed);
          const b = normalFloats(k * n, seed + 1);
          const start = normalFloats(m * n, seed + 2);
          const outputs = [wasm, scalar].map((kernels) => {
            const c = start.slice();
            kernels.gemm({ transposeA, accumulate, m, n, k, a, b, c });
            return bytesOf(c);
          });
          expect(outputs[0].equals(outputs[1])).toBe(true);
        },
      ),
      { numRuns: 100 },
    );
  });

  test.each([
    [300, 20, 1100],
    [20, 530, 1100],
    [270, 520, 30],
  ])('sizes over the cache blocks: %i × %i × %i', (m, n, k) => {
    for (const transposeA of [false, true]) {
      const a = normalFloats(m * k, 1);
      const b = normalFloats(k * n, 2);
      const outputs = [wasm, scalar].map((kernels) => {
        const c = new Float32Array(m * n).fill(Number.NaN);
        kernels.gemm({ transposeA, m, n, k, a, b, c });
        return bytesOf(c);
      });
      expect(outputs[0].equals(outputs[1])).toBe(true);
    }
  });
});

describe.each(PATHS)('%s', (path) => {
  const kernels = loadKernels(path);

  test('the product is that of float64 within float32 rounding', () => {
    const [m, n, k] = [17, 23, 700];
    const a = normalFloats(m * k, 5);
    const b = normalFloats(k * n, 6);
    const c = new Float32Array(m * n);
    kernels.gemm({ m, n, k, a, b, c });
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        let magnitude = 0;
        for (let p = 0; p < k; p++) {
          sum += a[i * k + p] * b[p * n + j];
          magnitude += Math.abs(a[i * k + p] * b[p * n + j]);
        }
        expect(Math.abs(c[i * n + j] - sum)).toBeLessThan(magnitude * 1e-6);
      }
    }
  });

  test('lengths that do not agree are a RangeError', () => {
    const x = new Float32Array(6);
    expect(() => kernels.gemm({ m: 2, n: 2, k: 3, a: x, b: x, c: x })).toThrow(
      'c: expected a length of 4, got 6',
    );
    expect(() => kernels.gemm({ m: -1, n: 2, k: 3, a: x, b: x, c: x })).toThrow(RangeError);
  });
});

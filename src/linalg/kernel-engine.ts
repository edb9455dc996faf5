/**
 * GEMM engine over a plain kernel function: the WebAssembly GEMM of src/kernels, used where
 * onnxruntime-node is not installed. The kernel copies its operands into WebAssembly memory, so that
 * large products are cut into pieces of bounded size here.
 */
import type { GemmEngine, GemmKernel, MultiplyOptions } from './gemm-engine.js';
import { prepareProduct } from './gemm-shapes.js';
import { gramFloat64 } from './gram.js';
import { type Matrix, rowRange, transpose } from './matrix.js';

/** Elements of `a` per kernel call: 4 MiB of float32, large against the copy of b that each call costs. */
const chunkElements = 2 ** 20;

export function createKernelEngine(options: {
  readonly name: string;
  readonly kernel: GemmKernel;
}): GemmEngine {
  const { name, kernel } = options;
  return {
    name,

    async multiply(a: Matrix, b: Matrix, multiplyOptions: MultiplyOptions = {}): Promise<Matrix> {
      const { transposeA = false, transposeB = false, accumulate = false } = multiplyOptions;
      const { into, inner } = prepareProduct(a, b, multiplyOptions);
      if (!accumulate) into.data.fill(0);
      if (into.data.length === 0 || inner === 0) return into;
      const right = transposeB ? transpose(b) : b;
      // Rows of `a` are rows of the product, or with transposeA the summation index.
      const step = Math.max(1, Math.floor(chunkElements / a.columns));
      for (let start = 0; start < a.rows; start += step) {
        const end = Math.min(start + step, a.rows);
        const left = rowRange(a, start, end).data;
        if (transposeA) {
          const partB = rowRange(right, start, end).data;
          kernel(true, into.rows, into.columns, end - start, left, partB, into.data, accumulate || start > 0);
        } else {
          const part = rowRange(into, start, end).data;
          kernel(false, end - start, into.columns, inner, left, right.data, part, accumulate);
        }
      }
      return into;
    },

    async gram(a: Matrix): Promise<Float64Array> {
      return gramFloat64(a);
    },

    async close(): Promise<void> {},
  };
}

/** The WebAssembly SIMD implementation: about 100 KB of code over a bounded arena. */

import type { Kernels, ProductRequest } from '../kernels.js';
import { createAnsEncoder } from './ans-coder.js';
import { Arena } from './arena.js';
import { CoderPool } from './coder-memory.js';
import { packCodes } from './codes.js';
import { wasmDecodeKernels } from './decode-kernels.js';
import { quantize, subtract } from './elementwise.js';
import { gemm } from './gemm.js';
import { intervalEncoder } from './interval.js';
import { createMatrixEncoder } from './matrix-coder.js';
import { instantiateKernels } from './module.js';
import { splitPlanes } from './planes.js';
import { prepareProduct, prepareWideProduct } from './product.js';
import { codeSums, squaredDistance, squaredPowers, statistics } from './reduce.js';

export interface WasmKernelOptions {
  /**
   * Bytes of linear memory for packed operands, at least 2 MiB; default 8 MiB. Operands over it stream
   * through it. With the other regions, the whole memory stays under this plus 27 MiB.
   */
  readonly operandByteLength?: number;
}

/** A new set of kernels with its own memory. Throws WebAssembly.CompileError where SIMD is missing. */
export function wasmKernels(options: WasmKernelOptions = {}): Kernels {
  const { operandByteLength } = options;
  if (operandByteLength !== undefined && !(operandByteLength >= 2 * 1024 * 1024)) {
    throw new RangeError(`operandByteLength: expected at least 2 MiB, got ${operandByteLength}`);
  }
  const arena = new Arena(instantiateKernels, operandByteLength);
  const coders = new CoderPool(instantiateKernels);
  const once = <T>(
    prepare: (
      arena: Arena,
      b: T,
      columns: number,
      k: number,
      scale: number,
    ) => {
      accumulate(a: T, rows: number, out: Float32Array): void;
      free(): void;
    },
    { a, b, rows, columns, k, scale, out }: ProductRequest<T>,
  ): void => {
    const product = prepare(arena, b, columns, k, scale);
    product.accumulate(a, rows, out);
    product.free();
  };
  return {
    path: 'wasm',
    ...wasmDecodeKernels(arena, coders),
    takeRooms: () => arena.takeRooms(),
    accumulateProduct: (request) => once(prepareProduct, request),
    accumulateWideProduct: (request) => once(prepareWideProduct, request),
    splitPlanes: (bytes, width, out) => splitPlanes(arena, bytes, width, out),
    packCodes: (codes, bits, out, bitOffset) => packCodes(arena, codes, bits, out, bitOffset),
    createMatrixEncoder: (options) => createMatrixEncoder(coders, options),
    createAnsEncoder: (columns) => createAnsEncoder(coders, columns),
    subtract: (fineDtype, fine, baseDtype, base, out) =>
      subtract(arena, fineDtype, fine, baseDtype, base, out),
    statistics: (values) => statistics(arena, values),
    squaredPowers: (dtype, bytes) => squaredPowers(arena, dtype, bytes),
    codeSums: (values, codes) => codeSums(arena, values, codes),
    squaredDistance: (dtype, x, y) => squaredDistance(arena, dtype, x, y),
    quantize: (values, inverseStep, minimum, maximum, out) =>
      quantize(arena, values, inverseStep, minimum, maximum, out),
    gemm: (request) => gemm(arena, request),
    intervalEncoder: (model) => intervalEncoder(arena, model),
  };
}

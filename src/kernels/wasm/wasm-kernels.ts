/** The WebAssembly SIMD implementation: about 100 KB of code over a bounded arena. */

import type { Kernels, ProductRequest } from '../kernels.js';
import { Arena } from './arena.js';
import { accumulateCodes, accumulateSigns, packCodes, unpackCodes } from './codes.js';
import { addAndRound, fromFloat32, quantize, subtract, toFloat32 } from './elementwise.js';
import { largestSquaredNorm, scaleComponents } from './factors.js';
import { gemm } from './gemm.js';
import { intervalDecoder, intervalEncoder } from './interval.js';
import { CoderPool, createMatrixDecoder, createMatrixEncoder } from './matrix-coder.js';
import { combineWords, joinPlanes, splitPlanes } from './planes.js';
import { prepareProduct, prepareWideProduct } from './product.js';
import { codeSums, squaredDistance, squaredPowers, statistics } from './reduce.js';
import { createReflections } from './reflections.js';

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
  const arena = new Arena(operandByteLength);
  const coders = new CoderPool();
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
    toFloat32: (dtype, bytes, out) => toFloat32(arena, dtype, bytes, out),
    fromFloat32: (dtype, values, out) => fromFloat32(arena, dtype, values, out),
    residualBlock: (count) => arena.residual(count),
    takeRooms: () => arena.takeRooms(),
    addAndRound: (dtype, baseDtype, base, residual, out) =>
      addAndRound(arena, dtype, baseDtype, base, residual, out),
    prepareProduct: (b, columns, k, scale) => prepareProduct(arena, b, columns, k, scale),
    prepareWideProduct: (b, columns, k, scale) => prepareWideProduct(arena, b, columns, k, scale),
    accumulateProduct: (request) => once(prepareProduct, request),
    accumulateWideProduct: (request) => once(prepareWideProduct, request),
    accumulateCodes: (request) => accumulateCodes(arena, request),
    accumulateSigns: (request) => accumulateSigns(arena, request),
    scaleComponents: (request) => scaleComponents(arena, request),
    largestSquaredNorm: (matrix, k) => largestSquaredNorm(arena, matrix, k),
    joinPlanes: (planes, width, out) => joinPlanes(arena, planes, width, out),
    splitPlanes: (bytes, width, out) => splitPlanes(arena, bytes, width, out),
    combineWords: (x, y, sign, width, out) => combineWords(arena, x, y, sign, width, out),
    unpackCodes: (bytes, bits, count, out, layout) => unpackCodes(arena, bytes, bits, count, out, layout),
    packCodes: (codes, bits, out, bitOffset) => packCodes(arena, codes, bits, out, bitOffset),
    createReflections: (dimension) => createReflections(arena, dimension),
    createMatrixEncoder: (options) => createMatrixEncoder(coders, options),
    createMatrixDecoder: (options) => createMatrixDecoder(coders, options),
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
    intervalDecoder: (model) => intervalDecoder(arena, model),
  };
}

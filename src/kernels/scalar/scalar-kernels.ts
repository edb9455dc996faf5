/**
 * The scalar implementation: the contract of kernels.ts in plain TypeScript. It is the oracle that the
 * WebAssembly path is tested against, and runs where WebAssembly does not.
 */
import type { Kernels, PreparedProduct, ProductRequest } from '../kernels.js';
import { accumulateCodes, packCodes, unpackCodes } from './codes.js';
import { addAndRound, fromFloat32, quantize, subtract, toFloat32 } from './elementwise.js';
import { intervalDecoder, intervalEncoder } from './interval.js';
import { createMatrixDecoder, createMatrixEncoder } from './matrix-coder.js';
import { gemm, prepareProduct, prepareWideProduct } from './product.js';
import { codeSums, squaredDistance, squaredPowers, statistics } from './reduce.js';

function once<T>(
  prepare: (b: T, columns: number, k: number, scale: number) => PreparedProduct<T>,
  { a, b, rows, columns, k, scale, out }: ProductRequest<T>,
): void {
  prepare(b, columns, k, scale).accumulate(a, rows, out);
}

/** The scalar kernels; stateless. */
export function scalarKernels(): Kernels {
  return {
    path: 'scalar',
    toFloat32,
    fromFloat32,
    addAndRound,
    prepareProduct,
    prepareWideProduct,
    accumulateProduct: (request) => once(prepareProduct, request),
    accumulateWideProduct: (request) => once(prepareWideProduct, request),
    accumulateCodes,
    unpackCodes,
    packCodes,
    createMatrixEncoder,
    createMatrixDecoder,
    subtract,
    statistics,
    squaredPowers,
    codeSums,
    squaredDistance,
    quantize,
    gemm,
    intervalEncoder,
    intervalDecoder,
  };
}

/**
 * The scalar implementation: the contract of kernels.ts in plain TypeScript. It is the oracle that the
 * WebAssembly path is tested against, and runs where WebAssembly does not.
 */
import type { Kernels, PreparedProduct, ProductRequest } from '../kernels.js';
import { MAX_RESIDUAL_BLOCK } from '../kernels.js';
import { createAnsDecoder, createAnsEncoder } from './ans-coder.js';
import { accumulateCodes, accumulateSigns, packCodes, unpackCodes } from './codes.js';
import { addAndRound, fromFloat32, quantize, subtract, toFloat32 } from './elementwise.js';
import { largestSquaredNorm, scaleComponents } from './factors.js';
import { intervalDecoder, intervalEncoder } from './interval.js';
import { createMatrixDecoder, createMatrixEncoder } from './matrix-coder.js';
import { combineWords, joinPlanes, splitPlanes } from './planes.js';
import { gemm, prepareProduct, prepareWideProduct } from './product.js';
import { codeSums, squaredDistance, squaredPowers, statistics } from './reduce.js';
import { createReflections } from './reflections.js';

function once<T>(
  prepare: (b: T, columns: number, k: number, scale: number) => PreparedProduct<T>,
  { a, b, rows, columns, k, scale, out }: ProductRequest<T>,
): void {
  prepare(b, columns, k, scale).accumulate(a, rows, out);
}

/** The scalar kernels; stateless but for the residual block. */
export function scalarKernels(): Kernels {
  const residual = new Float32Array(MAX_RESIDUAL_BLOCK);
  return {
    path: 'scalar',
    toFloat32,
    fromFloat32,
    residualBlock: (count) => {
      if (count > MAX_RESIDUAL_BLOCK)
        throw new RangeError(`expected at most ${MAX_RESIDUAL_BLOCK} residuals, got ${count}`);
      return residual.subarray(0, count);
    },
    takeRooms: () => undefined,
    addAndRound,
    prepareProduct,
    prepareWideProduct,
    accumulateProduct: (request) => once(prepareProduct, request),
    accumulateWideProduct: (request) => once(prepareWideProduct, request),
    accumulateCodes,
    accumulateSigns,
    scaleComponents,
    largestSquaredNorm,
    joinPlanes,
    splitPlanes,
    combineWords,
    unpackCodes,
    packCodes,
    createReflections,
    createMatrixEncoder,
    createMatrixDecoder,
    createAnsEncoder,
    createAnsDecoder,
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

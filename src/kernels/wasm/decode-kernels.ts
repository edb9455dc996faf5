/** The kernels that decoding calls, apart from those of encoding, so that a page need not load these. */
import type { DecodeKernels } from '../kernels.js';
import { createAnsDecoder } from './ans-coder.js';
import type { Arena } from './arena.js';
import type { CoderPool } from './coder-memory.js';
import { accumulateCodes, accumulateSigns, unpackCodes } from './codes.js';
import { addAndRound, fromFloat32, toFloat32 } from './elementwise.js';
import { largestSquaredNorm, scaleComponents } from './factors.js';
import { intervalDecoder } from './interval.js';
import { createMatrixDecoder } from './matrix-coder.js';
import { combineWords, joinPlanes } from './planes.js';
import { prepareProduct, prepareWideProduct } from './product.js';
import { createReflections } from './reflections.js';

export function wasmDecodeKernels(arena: Arena, coders: CoderPool): DecodeKernels {
  return {
    toFloat32: (dtype, bytes, out) => toFloat32(arena, dtype, bytes, out),
    fromFloat32: (dtype, values, out) => fromFloat32(arena, dtype, values, out),
    residualBlock: (count) => arena.residual(count),
    addAndRound: (dtype, baseDtype, base, residual, out) =>
      addAndRound(arena, dtype, baseDtype, base, residual, out),
    prepareProduct: (b, columns, k, scale) => prepareProduct(arena, b, columns, k, scale),
    prepareWideProduct: (b, columns, k, scale) => prepareWideProduct(arena, b, columns, k, scale),
    accumulateCodes: (request) => accumulateCodes(arena, request),
    accumulateSigns: (request) => accumulateSigns(arena, request),
    scaleComponents: (request) => scaleComponents(arena, request),
    largestSquaredNorm: (matrix, k) => largestSquaredNorm(arena, matrix, k),
    joinPlanes: (planes, width, out) => joinPlanes(arena, planes, width, out),
    combineWords: (x, y, sign, width, out) => combineWords(arena, x, y, sign, width, out),
    unpackCodes: (bytes, bits, count, out, layout) => unpackCodes(arena, bytes, bits, count, out, layout),
    createReflections: (dimension) => createReflections(arena, dimension),
    createMatrixDecoder: (options) => createMatrixDecoder(coders, options),
    createAnsDecoder: (columns) => createAnsDecoder(coders, columns),
    intervalDecoder: (model) => intervalDecoder(arena, model),
  };
}

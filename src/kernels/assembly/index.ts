/** Exports of the kernel module. It allocates nothing: every address comes from the caller's arena. */
export {
  toFloat32, fromFloat32, addBase, addAndRound, addResidualFloat64, subtractBase, subtractFloat64, quantize,
} from './elementwise';
export { codeSums, keepExponents, scaleFloats, statistics, squaredDistanceFloat32, squaredDistanceFloat64 } from './reduce';
export { beginDecoding, beginEncoding, finishEncoding } from './range-coder';
export { matrixDecodeRows, matrixEncodeRow, matrixOpenRow, matrixQuantize, matrixCodeEntries } from './matrix-coder';
export { decodeEntries1, decodeEntries4, decodeEntries8 } from './matrix-decoder';
export { ansBegin, ansDecodeRows } from './ans-decoder';
export { ansEncodeRow, ansFinish } from './ans-encoder';
export { ansReset } from './ans-model';
export { updateAverages } from './matrix-model';
export { matrixChooseScale } from './matrix-quantizer';
export { accumulateCodes16, accumulateCodes32, accumulateSigns, unpackCodes, packCodes } from './codes';
export { scaleComponents16, scaleComponents32, largestSquaredNorm16 } from './factors';
export { addWords, joinPlanes, splitPlanes, subtractWords } from './planes';
export { decodeInterval, dropBits, encodeInterval, resetInterval } from './interval';
export { decodeBF16, decodeF16, decodeF32 } from './interval-decoder';
export { intervalStateBytes } from './interval-contexts';
export {
  packTilesInt16, packPanelsInt16, packTilesWide, packPanelsWide, packTilesFloat32, packPanelsFloat32,
} from './pack';
export { applyReflections } from './reflections';
export { productInt16, productFloat64, productFloat32 } from './product';
export { productRounded } from './product-rounding';

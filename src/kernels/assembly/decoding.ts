/** Exports of the kernel module of a page: index.ts less what only encoding calls. */
export { toFloat32, fromFloat32, addBase, addAndRound, addResidualFloat64 } from './elementwise';
export { beginDecoding } from './range-coder';
export { ansBegin, ansDecodeRows } from './ans-decoder';
export { ansReset } from './ans-model';
export { matrixDecodeRows } from './matrix-coder';
export { accumulateCodes16, accumulateCodes32, accumulateSigns, unpackCodes } from './codes';
export { scaleComponents16, scaleComponents32, largestSquaredNorm16 } from './factors';
export { addWords, joinPlanes } from './planes';
export { decodeInterval, dropBits, resetInterval } from './interval';
export { decodeBF16, decodeF16, decodeF32 } from './interval-decoder';
export { intervalStateBytes } from './interval-contexts';
export { packTilesInt16, packPanelsInt16, packTilesWide, packPanelsWide } from './pack';
export { applyReflections } from './reflections';
export { productInt16, productFloat64 } from './product';
export { productRounded } from './product-rounding';

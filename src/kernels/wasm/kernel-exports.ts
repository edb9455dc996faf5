/** What the compiled kernels export. */
import type { FloatDtype } from '../../../formats/dtype.js';

/** Numbers of the float formats in assembly/float-formats.ts. */
export const FORMAT_NUMBERS: Readonly<Record<FloatDtype, number>> = {
  F64: 0,
  F32: 1,
  F16: 2,
  BF16: 3,
  F8_E4M3: 4,
  F8_E5M2: 5,
};

/** Exports of assembly/index.ts; every pointer is a byte address, every size a count of elements. */
export interface KernelExports {
  toFloat32(format: number, source: number, target: number, count: number): void;
  fromFloat32(format: number, source: number, target: number, count: number): void;
  addBase(format: number, base: number, values: number, count: number): void;
  addAndRound(format: number, base: number, values: number, target: number, count: number): void;
  addResidualFloat64(base: number, residual: number, count: number): void;
  subtractBase(format: number, fine: number, values: number, count: number): void;
  subtractFloat64(fine: number, base: number, target: number, count: number): void;
  quantize(
    values: number,
    inverseStep: number,
    low: number,
    high: number,
    target: number,
    count: number,
  ): void;
  statistics(values: number, count: number, lanes: number, state: number): void;
  keepExponents(values: number, count: number): void;
  scaleFloats(values: number, count: number, factor: number): void;
  codeSums(values: number, codes: number, count: number, inner: number, energy: number): void;
  squaredDistanceFloat32(x: number, y: number, count: number, lanes: number): void;
  squaredDistanceFloat64(x: number, y: number, count: number, lanes: number): void;
  accumulateCodes16: AccumulateCodes;
  accumulateCodes32: AccumulateCodes;
  accumulateSigns(source: number, firstBit: number, count: number, scale: number, out: number): void;
  scaleComponents16: ScaleComponents;
  scaleComponents32: ScaleComponents;
  largestSquaredNorm16(matrix: number, rows: number, k: number): number;
  joinPlanes(planes: number, words: number, width: number, target: number): void;
  splitPlanes(source: number, words: number, width: number, planes: number): void;
  addWords(width: number, x: number, y: number, byteLength: number, target: number): void;
  subtractWords(width: number, x: number, y: number, byteLength: number, target: number): void;
  unpackCodes(source: number, firstBit: number, count: number, bits: number, target: number): void;
  packCodes(source: number, count: number, bits: number, target: number, firstBit: number): number;
  beginDecoding(coder: number, start: number, end: number): void;
  beginEncoding(coder: number, start: number, end: number): void;
  /** Tables from their counts; with costs for an encoder. */
  ansReset(encodes: number): void;
  ansBegin(start: number, end: number): void;
  ansDecodeRows(averages: number, levels: number, columns: number, rows: number, out: number): void;
  ansEncodeRow(
    values: number,
    weights: number,
    averages: number,
    levels: number,
    codes: number,
    columns: number,
    lambda: number,
  ): void;
  /** The address of the first word. */
  ansFinish(start: number): number;
  matrixDecodeRows(
    states: number,
    averages: number,
    levels: number,
    columns: number,
    rows: number,
    out: number,
  ): void;
  matrixChooseScale(values: number, columns: number): number;
  matrixEncodeRow(
    states: number,
    values: number,
    weights: number,
    averages: number,
    levels: number,
    codes: number,
    columns: number,
    lambda: number,
  ): void;
  matrixOpenRow(scale: number, averages: number, levels: number, columns: number): void;
  matrixQuantize(
    states: number,
    values: number,
    weights: number,
    levels: number,
    codes: number,
    columns: number,
    lambda: number,
  ): number;
  matrixCodeEntries(states: number, levels: number, codes: number, columns: number): void;
  updateAverages(averages: number, codes: number, columns: number): void;
  /** Bytes of arithmetic code, −1 where the payload did not fit. */
  finishEncoding(coder: number): number;
  packTilesInt16(source: number, rows: number, k: number, target: number): void;
  packPanelsInt16(source: number, columns: number, k: number, target: number): void;
  packTilesWide(source: number, rows: number, k: number, target: number, integers: number): void;
  packPanelsWide(source: number, columns: number, k: number, target: number, integers: number): void;
  packTilesFloat32(
    source: number,
    rowStride: number,
    kStride: number,
    rows: number,
    k: number,
    target: number,
  ): void;
  packPanelsFloat32(source: number, columns: number, k: number, target: number): void;
  productInt16: IntegerProduct;
  productFloat64: IntegerProduct;
  /** Other than 0 where all of `out` is right. */
  productRounded(
    format: number,
    a: number,
    b: number,
    rows: number,
    columns: number,
    steps: number,
    scale: number,
    base: number,
    out: number,
  ): number;
  productFloat32(
    a: number,
    b: number,
    rows: number,
    columns: number,
    steps: number,
    out: number,
    stride: number,
    edge: number,
  ): void;
  applyReflections(
    vectors: number,
    qs: number,
    from: number,
    to: number,
    backward: number,
    x: number,
    length: number,
  ): void;
  intervalStateBytes(columns: number): number;
  resetInterval(job: number, columns: number): void;
  dropBits(patterns: number, count: number, drop: number): void;
  encodeInterval: CodeInterval;
  decodeInterval: CodeInterval;
}

type CodeInterval = (
  job: number,
  coder: number,
  rows: number,
  columns: number,
  values: number,
  predicted: number,
  wide: number,
  narrowed: number,
) => void;

/** The 16-bit kernel returns the largest |gain · code|, the other nothing. */
type ScaleComponents = (
  codes: number,
  gains: number,
  count: number,
  length: number,
  target: number,
  stride: number,
) => number;

type AccumulateCodes = (
  codes: number,
  gains: number,
  rows: number,
  columns: number,
  scale: number,
  out: number,
) => void;

type IntegerProduct = (
  a: number,
  b: number,
  rows: number,
  columns: number,
  steps: number,
  scale: number,
  out: number,
  stride: number,
  edge: number,
) => void;

/**
 * Makes an instance of the kernels over a memory. One whose module is for decoding alone lacks the exports that only
 * encoding calls.
 */
export type InstantiateKernels = (memory: WebAssembly.Memory) => KernelExports;

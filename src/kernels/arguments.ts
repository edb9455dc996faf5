/** Argument checks that both implementations share: caller misuse is a RangeError "expected …, got …". */
import { DTYPES, type FloatDtype } from '../../formats/dtype.js';
import {
  type CodesRequest,
  type ComponentsRequest,
  type GemmRequest,
  MAX_PRODUCT_K,
  type SignsRequest,
  type UnpackLayout,
} from './kernels.js';
import type { RowsEncodeRequest } from './matrix-coder.js';
import { MAX_COLUMNS } from './matrix-model.js';

export function expectLength(what: string, expected: number, actual: number): void {
  if (expected !== actual) throw new RangeError(`${what}: expected a length of ${expected}, got ${actual}`);
}

function expectInteger(what: string, value: number, minimum: number, maximum: number): void {
  if (!Number.isInteger(value) || value < minimum || value > maximum) {
    throw new RangeError(`${what}: expected an integer from ${minimum} to ${maximum}, got ${value}`);
  }
}

function expectSize(what: string, value: number): void {
  expectInteger(what, value, 0, Number.MAX_SAFE_INTEGER);
}

/** Bytes of one element. */
export function elementByteLength(dtype: FloatDtype): number {
  return DTYPES[dtype].bits / 8;
}

/** Checks that `bytes` holds exactly `count` elements. */
export function checkBytes(what: string, dtype: FloatDtype, bytes: Uint8Array, count: number): void {
  expectLength(`${what} (${dtype})`, count * elementByteLength(dtype), bytes.byteLength);
}

/** Number of elements in `bytes`; RangeError when they are not whole. */
export function checkedCount(what: string, dtype: FloatDtype, bytes: Uint8Array): number {
  const width = elementByteLength(dtype);
  if (bytes.byteLength % width !== 0) {
    throw new RangeError(
      `${what} (${dtype}): expected a multiple of ${width} bytes, got ${bytes.byteLength}`,
    );
  }
  return bytes.byteLength / width;
}

export function checkOperand(bLength: number, columns: number, k: number): void {
  expectSize('columns', columns);
  expectInteger('k', k, 0, MAX_PRODUCT_K);
  expectLength('b', columns * k, bLength);
}

export function checkProduct(
  aLength: number,
  rows: number,
  columns: number,
  k: number,
  outLength: number,
): void {
  expectSize('rows', rows);
  expectLength('a', rows * k, aLength);
  expectLength('out', rows * columns, outLength);
}

export function checkRounded(
  dtype: FloatDtype,
  aLength: number,
  size: { readonly rows: number; readonly columns: number; readonly k: number },
  base: Uint8Array,
  out: Uint8Array,
): void {
  const { rows, columns, k } = size;
  expectSize('rows', rows);
  expectLength('a', rows * k, aLength);
  checkBytes('base', dtype, base, rows * columns);
  checkBytes('out', dtype, out, rows * columns);
}

export function checkCodes(request: CodesRequest): void {
  const { codes, rowGains, rows, columns, out } = request;
  expectSize('rows', rows);
  expectSize('columns', columns);
  expectLength('codes', rows * columns, codes.length);
  expectLength('rowGains', rows, rowGains.length);
  expectLength('out', rows * columns, out.length);
}

export function checkSigns({ bytes, bitOffset = 0, out }: SignsRequest): void {
  expectSize('bitOffset', bitOffset);
  checkStream(bytes, 1, out.length, bitOffset);
}

/** Returns the number of components. */
export function checkComponents(request: ComponentsRequest): number {
  const { codes, gains, length, out, stride, first } = request;
  expectSize('length', length);
  expectInteger('stride', stride, 1, MAX_PRODUCT_K);
  expectInteger('first', first, 0, stride - gains.length);
  expectLength('codes', gains.length * length, codes.length);
  expectLength('out', length * stride, out.length);
  return gains.length;
}

export function checkNorm(matrixLength: number, k: number): number {
  expectInteger('k', k, 1, MAX_PRODUCT_K);
  if (matrixLength % k !== 0)
    throw new RangeError(`matrix: expected rows of ${k}, got ${matrixLength} values`);
  return matrixLength / k;
}

/** Returns the number of words. */
export function checkWords(width: number, byteLength: number, ...others: readonly number[]): number {
  if (![1, 2, 4, 8].includes(width)) throw new RangeError(`width: expected 1, 2, 4 or 8, got ${width}`);
  if (byteLength % width !== 0)
    throw new RangeError(`bytes: expected a multiple of ${width} bytes, got ${byteLength}`);
  for (const other of others) expectLength('bytes', byteLength, other);
  return byteLength / width;
}

/** Checks an unpack request and fills in its defaults. */
export function checkUnpack(
  bytes: Uint8Array,
  bits: number,
  count: number,
  out: Int16Array,
  layout: UnpackLayout | undefined,
): Required<UnpackLayout> {
  const { bitOffset = 0, start = 0, stride = 1 } = layout ?? {};
  expectInteger('bits', bits, 1, 16);
  expectSize('count', count);
  expectSize('bitOffset', bitOffset);
  expectSize('start', start);
  expectInteger('stride', stride, 1, Number.MAX_SAFE_INTEGER);
  checkStream(bytes, bits, count, bitOffset);
  const last = start + (count - 1) * stride;
  if (count > 0 && last >= out.length) {
    throw new RangeError(`out: expected a length over ${last}, got ${out.length}`);
  }
  return { bitOffset, start, stride };
}

export function checkPack(codes: Int16Array, bits: number, out: Uint8Array, bitOffset: number): void {
  expectInteger('bits', bits, 1, 16);
  expectSize('bitOffset', bitOffset);
  checkStream(out, bits, codes.length, bitOffset);
}

function checkStream(bytes: Uint8Array, bits: number, count: number, bitOffset: number): void {
  const needed = Math.ceil((bitOffset + count * bits) / 8);
  if (needed > bytes.byteLength) {
    throw new RangeError(`bytes: expected at least ${needed} bytes, got ${bytes.byteLength}`);
  }
}

/** The error of packCodes for codes out of range. */
export function misfitError(bits: number): RangeError {
  const half = 2 ** (bits - 1);
  return new RangeError(`codes: expected integers from ${-half} to ${half - 1} for ${bits} bits, got others`);
}

export function checkQuantize(values: Float32Array, minimum: number, maximum: number, out: Int16Array): void {
  expectInteger('minimum', minimum, -32_768, 32_767);
  expectInteger('maximum', maximum, minimum, 32_767);
  expectLength('out', values.length, out.length);
}

export function checkGemm(request: GemmRequest): void {
  const { m, n, k, a, b, c } = request;
  expectSize('m', m);
  expectSize('n', n);
  expectSize('k', k);
  expectLength('a', m * k, a.length);
  expectLength('b', k * n, b.length);
  expectLength('c', m * n, c.length);
}

export function checkColumns(columns: number, states = 1): void {
  expectInteger('columns', columns, 0, MAX_COLUMNS);
  if (states !== 1 && states !== 4 && states !== 8) {
    throw new RangeError(`states: expected 1, 4 or 8, got ${states}`);
  }
}

export function checkMatrixRows(rows: number, columns: number, what: string, length: number): void {
  expectSize('rows', rows);
  expectLength(what, rows * columns, length);
}

/** 0, or one of the columns. */
export function checkFirstColumn(firstColumn: number, columns: number): void {
  if (Number.isInteger(firstColumn) && firstColumn >= 0 && (firstColumn === 0 || firstColumn < columns))
    return;
  throw new RangeError(`firstColumn: expected an integer from 0 below ${columns}, got ${firstColumn}`);
}

export function checkEncodeRows(request: RowsEncodeRequest, columns: number): void {
  const { values, rows, lambda, codes, columnWeights } = request;
  checkMatrixRows(rows, columns, 'values', values.length);
  checkMatrixRows(rows, columns, 'codes', codes.length);
  if (columnWeights !== undefined) expectLength('columnWeights', columns, columnWeights.length);
  if (!(lambda >= 0 && lambda < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`lambda: expected a finite number from 0, got ${lambda}`);
  }
}

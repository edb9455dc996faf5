/** Components of factors to rows, in blocks of rows that fit the scratch region. */
import { checkComponents, checkNorm } from '../arguments.js';
import type { ComponentsRequest } from '../kernels.js';
import { type Arena, bytesOf } from './arena.js';

/** Codes of a block. */
const BLOCK = 65_536;

export function scaleComponents(arena: Arena, request: ComponentsRequest): number {
  const count = checkComponents(request);
  const { codes, gains, length, out, stride, first } = request;
  if (count === 0 || length === 0) return 0;
  const width = out.BYTES_PER_ELEMENT;
  const blockLength = Math.max(1, Math.min(length, Math.floor(BLOCK / count)));
  const [source, gainsAt, target] = arena.layOut(
    blockLength * count * 2,
    count * 2,
    blockLength * count * width,
  );
  arena.bytes.set(bytesOf(gains), gainsAt);
  const bytes = bytesOf(out);
  let peak = 0;
  for (let start = 0; start < length; start += blockLength) {
    const rows = Math.min(blockLength, length - start);
    for (let k = 0; k < count; k++) {
      const part = codes.subarray(k * length + start, k * length + start + rows);
      arena.int16.set(part, source / 2 + k * rows);
    }
    if (width === 2) {
      const largest = arena.kernels.scaleComponents16(source, gainsAt, count, rows, target, count);
      if (largest > peak) peak = largest;
    } else {
      arena.kernels.scaleComponents32(source, gainsAt, count, rows, target, count);
    }
    const rowBytes = count * width;
    if (count === stride) {
      bytes.set(arena.bytes.subarray(target, target + rows * rowBytes), start * rowBytes);
      continue;
    }
    for (let i = 0; i < rows; i++) {
      const from = target + i * rowBytes;
      bytes.set(arena.bytes.subarray(from, from + rowBytes), ((start + i) * stride + first) * width);
    }
  }
  return width === 2 ? peak : largestProduct(codes, gains, length);
}

/** Wide factors are rare, and few next to the product they are for. */
function largestProduct(codes: Int16Array, gains: Uint16Array, length: number): number {
  let largest = 0;
  for (const [k, gain] of gains.entries()) {
    for (let i = k * length; i < (k + 1) * length; i++)
      largest = Math.max(largest, gain * Math.abs(codes[i]));
  }
  return largest;
}

export function largestSquaredNorm(arena: Arena, matrix: Int16Array, k: number): number {
  const rows = checkNorm(matrix.length, k);
  const blockRows = Math.max(1, Math.floor(BLOCK / k));
  const [source] = arena.layOut(blockRows * k * 2);
  let largest = 0;
  for (let row = 0; row < rows; row += blockRows) {
    const count = Math.min(blockRows, rows - row);
    arena.int16.set(matrix.subarray(row * k, (row + count) * k), source / 2);
    largest = Math.max(largest, arena.kernels.largestSquaredNorm16(source, count, k));
  }
  return largest;
}

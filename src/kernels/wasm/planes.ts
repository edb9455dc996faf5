/** Byte planes and wrapping word sums, in blocks. */
import { checkWords } from '../arguments.js';
import type { Arena } from './arena.js';

/** Words of a block. */
const BLOCK = 16_384;

export function joinPlanes(arena: Arena, planes: Uint8Array, width: number, out: Uint8Array): void {
  const words = checkWords(width, planes.byteLength, out.byteLength);
  if (width === 1) {
    out.set(planes);
    return;
  }
  const [source, target] = arena.layOut(BLOCK * width, BLOCK * width);
  for (let start = 0; start < words; start += BLOCK) {
    const count = Math.min(BLOCK, words - start);
    for (let p = 0; p < width; p++) {
      const plane = p * words + start;
      arena.bytes.set(planes.subarray(plane, plane + count), source + p * count);
    }
    arena.kernels.joinPlanes(source, count, width, target);
    out.set(arena.bytes.subarray(target, target + count * width), start * width);
  }
}

export function splitPlanes(arena: Arena, bytes: Uint8Array, width: number, out: Uint8Array): void {
  const words = checkWords(width, bytes.byteLength, out.byteLength);
  if (width === 1) {
    out.set(bytes);
    return;
  }
  const [source, target] = arena.layOut(BLOCK * width, BLOCK * width);
  for (let start = 0; start < words; start += BLOCK) {
    const count = Math.min(BLOCK, words - start);
    arena.bytes.set(bytes.subarray(start * width, (start + count) * width), source);
    arena.kernels.splitPlanes(source, count, width, target);
    for (let p = 0; p < width; p++) {
      const plane = target + p * count;
      out.set(arena.bytes.subarray(plane, plane + count), p * words + start);
    }
  }
}

export function combineWords(
  arena: Arena,
  x: Uint8Array,
  y: Uint8Array,
  sign: 1 | -1,
  width: number,
  out: Uint8Array,
): void {
  checkWords(width, x.byteLength, y.byteLength, out.byteLength);
  const { addWords, subtractWords } = arena.kernels;
  const combine = sign === 1 ? addWords : subtractWords;
  const block = BLOCK * 8;
  const [left, right, target] = arena.layOut(block, block, block);
  for (let start = 0; start < x.byteLength; start += block) {
    const count = Math.min(block, x.byteLength - start);
    arena.bytes.set(x.subarray(start, start + count), left);
    arena.bytes.set(y.subarray(start, start + count), right);
    combine(width, left, right, count, target);
    out.set(arena.bytes.subarray(target, target + count), start);
  }
}

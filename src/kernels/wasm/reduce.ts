/** Reductions: the lanes live in the arena across blocks, the last block is padded with zeros. */
import type { FloatDtype } from '../../../formats/dtype.js';
import { checkBytes, checkedCount, elementByteLength, expectLength } from '../arguments.js';
import type { CodeSums, Statistics } from '../kernels.js';
import type { Arena } from './arena.js';
import { BLOCK } from './elementwise.js';
import { FORMAT_NUMBERS } from './kernel-exports.js';

const LANES_BYTES = 64;

/** Elements to a multiple of the eight lanes. */
function padded(count: number): number {
  return Math.ceil(count / 8) * 8;
}

function sumLanes(arena: Arena, lanes: number): number {
  const l = arena.float64.subarray(lanes / 8, lanes / 8 + 8);
  return l[0] + l[1] + (l[2] + l[3]) + (l[4] + l[5] + (l[6] + l[7]));
}

export function statistics(arena: Arena, values: Float32Array): Statistics {
  const [lanes, state, source] = arena.layOut(LANES_BYTES, 8, BLOCK * 4);
  arena.bytes.fill(0, lanes, lanes + LANES_BYTES);
  arena.bytes.fill(0, state, state + 8);
  // The module counts non-finite values in 32 bits; blocks are added up here.
  let nonFiniteCount = 0;
  for (let start = 0; start < values.length; start += BLOCK) {
    const count = Math.min(BLOCK, values.length - start);
    arena.float32.set(values.subarray(start, start + count), source / 4);
    arena.bytes.fill(0, source + count * 4, source + padded(count) * 4);
    arena.bytes.fill(0, state + 4, state + 8);
    arena.kernels.statistics(source, padded(count), lanes, state);
    nonFiniteCount += new DataView(arena.bytes.buffer).getInt32(state + 4, true);
  }
  return { sumOfSquares: sumLanes(arena, lanes), maxAbs: arena.float32[state / 4], nonFiniteCount };
}

export function squaredDistance(arena: Arena, dtype: FloatDtype, x: Uint8Array, y: Uint8Array): number {
  const total = checkedCount('x', dtype, x);
  checkBytes('y', dtype, y, total);
  const width = elementByteLength(dtype);
  const [lanes, left, right, leftFloats, rightFloats] = arena.layOut(
    LANES_BYTES,
    BLOCK * width,
    BLOCK * width,
    BLOCK * 4,
    BLOCK * 4,
  );
  const { kernels } = arena;
  arena.bytes.fill(0, lanes, lanes + LANES_BYTES);
  for (let start = 0; start < total; start += BLOCK) {
    const count = Math.min(BLOCK, total - start);
    const end = padded(count);
    arena.bytes.set(x.subarray(start * width, (start + count) * width), left);
    arena.bytes.set(y.subarray(start * width, (start + count) * width), right);
    arena.bytes.fill(0, left + count * width, left + end * width);
    arena.bytes.fill(0, right + count * width, right + end * width);
    if (dtype === 'F64') {
      kernels.squaredDistanceFloat64(left, right, end, lanes);
    } else {
      kernels.toFloat32(FORMAT_NUMBERS[dtype], left, leftFloats, end);
      kernels.toFloat32(FORMAT_NUMBERS[dtype], right, rightFloats, end);
      kernels.squaredDistanceFloat32(leftFloats, rightFloats, end, lanes);
    }
  }
  return sumLanes(arena, lanes);
}

export function codeSums(arena: Arena, values: Float32Array, codes: Int16Array): CodeSums {
  expectLength('codes', values.length, codes.length);
  const [inner, energy, floats, shorts] = arena.layOut(LANES_BYTES, LANES_BYTES, BLOCK * 4, BLOCK * 2);
  arena.bytes.fill(0, inner, inner + LANES_BYTES);
  arena.bytes.fill(0, energy, energy + LANES_BYTES);
  for (let start = 0; start < values.length; start += BLOCK) {
    const count = Math.min(BLOCK, values.length - start);
    arena.float32.set(values.subarray(start, start + count), floats / 4);
    arena.int16.set(codes.subarray(start, start + count), shorts / 2);
    arena.float32.fill(0, floats / 4 + count, floats / 4 + padded(count));
    arena.int16.fill(0, shorts / 2 + count, shorts / 2 + padded(count));
    arena.kernels.codeSums(floats, shorts, padded(count), inner, energy);
  }
  return { inner: sumLanes(arena, inner), codeEnergy: sumLanes(arena, energy) };
}

export function squaredPowers(arena: Arena, dtype: FloatDtype, bytes: Uint8Array): number {
  const total = checkedCount('bytes', dtype, bytes);
  const width = elementByteLength(dtype);
  const { kernels } = arena;
  const [lanes, state, source, floats] = arena.layOut(LANES_BYTES, 8, BLOCK * width, BLOCK * 4);
  arena.bytes.fill(0, lanes, lanes + LANES_BYTES);
  arena.bytes.fill(0, state, state + 8);
  for (let start = 0; start < total; start += BLOCK) {
    const count = Math.min(BLOCK, total - start);
    const end = padded(count);
    arena.bytes.set(bytes.subarray(start * width, (start + count) * width), source);
    arena.bytes.fill(0, source + count * width, source + end * width);
    kernels.toFloat32(FORMAT_NUMBERS[dtype], source, floats, end);
    kernels.keepExponents(floats, end);
    kernels.statistics(floats, end, lanes, state);
  }
  return sumLanes(arena, lanes);
}

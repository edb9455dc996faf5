/**
 * Element-wise kernels in blocks that stay in the second-level cache: copy in, compute, copy out.
 * The copies move bytes, so NaN payloads survive where the contract keeps them.
 */
import type { FloatDtype } from '../../../formats/dtype.js';
import { checkBytes, checkQuantize, elementByteLength } from '../arguments.js';
import { type Arena, bytesOf } from './arena.js';
import { FORMAT_NUMBERS } from './kernel-exports.js';

/** Elements of a block: 64 KiB of float32. A multiple of 8, the lanes of the reductions. */
export const BLOCK = 16_384;

export function toFloat32(arena: Arena, dtype: FloatDtype, bytes: Uint8Array, out: Float32Array): void {
  checkBytes('bytes', dtype, bytes, out.length);
  if (dtype === 'F32') {
    bytesOf(out).set(bytes);
    return;
  }
  const width = elementByteLength(dtype);
  const [source, target] = arena.layOut(BLOCK * width, BLOCK * 4);
  for (let start = 0; start < out.length; start += BLOCK) {
    const count = Math.min(BLOCK, out.length - start);
    arena.bytes.set(bytes.subarray(start * width, (start + count) * width), source);
    arena.kernels.toFloat32(FORMAT_NUMBERS[dtype], source, target, count);
    out.set(arena.float32.subarray(target / 4, target / 4 + count), start);
  }
}

export function fromFloat32(arena: Arena, dtype: FloatDtype, values: Float32Array, out: Uint8Array): void {
  checkBytes('out', dtype, out, values.length);
  const width = elementByteLength(dtype);
  const [source, target] = arena.layOut(BLOCK * 4, BLOCK * width);
  for (let start = 0; start < values.length; start += BLOCK) {
    const count = Math.min(BLOCK, values.length - start);
    arena.float32.set(values.subarray(start, start + count), source / 4);
    arena.kernels.fromFloat32(FORMAT_NUMBERS[dtype], source, target, count);
    out.set(arena.bytes.subarray(target, target + count * width), start * width);
  }
}

export function addAndRound(
  arena: Arena,
  dtype: FloatDtype,
  baseDtype: FloatDtype,
  base: Uint8Array,
  residual: Float32Array,
  out: Uint8Array,
): void {
  checkBytes('base', baseDtype, base, residual.length);
  checkBytes('out', dtype, out, residual.length);
  const { kernels } = arena;
  const width = elementByteLength(dtype);
  const baseWidth = elementByteLength(baseDtype);
  const place = arena.addressOf(residual);
  const [baseAt, outAt] = [arena.addressOf(base), arena.addressOf(out)];
  if (
    dtype === baseDtype &&
    dtype !== 'F64' &&
    place !== undefined &&
    baseAt !== undefined &&
    outAt !== undefined
  ) {
    kernels.addAndRound(FORMAT_NUMBERS[dtype], baseAt, place, outAt, residual.length);
    return;
  }
  const [source, scratch, target, widened] = arena.layOut(BLOCK * baseWidth, BLOCK * 4, BLOCK * 8, BLOCK * 4);
  for (let start = 0; start < residual.length; start += BLOCK) {
    const count = Math.min(BLOCK, residual.length - start);
    arena.bytes.set(base.subarray(start * baseWidth, (start + count) * baseWidth), source);
    const values = place === undefined ? scratch : place + start * 4;
    if (place === undefined) arena.float32.set(residual.subarray(start, start + count), scratch / 4);
    let result = target;
    if (dtype === baseDtype && dtype !== 'F64') {
      kernels.addAndRound(FORMAT_NUMBERS[dtype], source, values, target, count);
    } else if (dtype !== 'F64') {
      kernels.addBase(FORMAT_NUMBERS[baseDtype], source, values, count);
      kernels.fromFloat32(FORMAT_NUMBERS[dtype], values, target, count);
    } else if (baseDtype === 'F64') {
      kernels.addResidualFloat64(source, values, count);
      result = source;
    } else {
      kernels.toFloat32(FORMAT_NUMBERS[baseDtype], source, widened, count);
      kernels.fromFloat32(FORMAT_NUMBERS.F64, widened, target, count);
      kernels.addResidualFloat64(target, values, count);
    }
    out.set(arena.bytes.subarray(result, result + count * width), start * width);
  }
}

export function subtract(
  arena: Arena,
  fineDtype: FloatDtype,
  fine: Uint8Array,
  baseDtype: FloatDtype,
  base: Uint8Array,
  out: Float32Array,
): void {
  checkBytes('fine', fineDtype, fine, out.length);
  checkBytes('base', baseDtype, base, out.length);
  const fineWidth = elementByteLength(fineDtype);
  const baseWidth = elementByteLength(baseDtype);
  const [left, right, target] = arena.layOut(BLOCK * fineWidth, BLOCK * baseWidth, BLOCK * 4);
  for (let start = 0; start < out.length; start += BLOCK) {
    const count = Math.min(BLOCK, out.length - start);
    arena.bytes.set(fine.subarray(start * fineWidth, (start + count) * fineWidth), left);
    arena.bytes.set(base.subarray(start * baseWidth, (start + count) * baseWidth), right);
    if (fineDtype === 'F64' && baseDtype === 'F64') {
      arena.kernels.subtractFloat64(left, right, target, count);
    } else {
      arena.kernels.toFloat32(FORMAT_NUMBERS[baseDtype], right, target, count);
      arena.kernels.subtractBase(FORMAT_NUMBERS[fineDtype], left, target, count);
    }
    out.set(arena.float32.subarray(target / 4, target / 4 + count), start);
  }
}

export function quantize(
  arena: Arena,
  values: Float32Array,
  inverseStep: number,
  minimum: number,
  maximum: number,
  out: Int16Array,
): void {
  checkQuantize(values, minimum, maximum, out);
  const [source, target] = arena.layOut(BLOCK * 4, BLOCK * 2);
  for (let start = 0; start < values.length; start += BLOCK) {
    const count = Math.min(BLOCK, values.length - start);
    arena.float32.set(values.subarray(start, start + count), source / 4);
    arena.kernels.quantize(source, Math.fround(inverseStep), minimum, maximum, target, count);
    out.set(arena.int16.subarray(target / 2, target / 2 + count), start);
  }
}

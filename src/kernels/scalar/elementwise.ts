/** Element-wise kernels, as the contract writes them. */
import type { FloatDtype } from '../../../formats/dtype.js';
import { checkBytes, checkQuantize } from '../arguments.js';
import { canonicalNaNs, narrowAll, readFloat64, widenAll, writeFloat64 } from './float-formats.js';

export function toFloat32(dtype: FloatDtype, bytes: Uint8Array, out: Float32Array): void {
  checkBytes('bytes', dtype, bytes, out.length);
  widenAll(dtype, bytes, out);
}

export function fromFloat32(dtype: FloatDtype, values: Float32Array, out: Uint8Array): void {
  checkBytes('out', dtype, out, values.length);
  narrowAll(dtype, values, out);
}

export function addAndRound(
  dtype: FloatDtype,
  baseDtype: FloatDtype,
  base: Uint8Array,
  residual: Float32Array,
  out: Uint8Array,
): void {
  checkBytes('base', baseDtype, base, residual.length);
  checkBytes('out', dtype, out, residual.length);
  if (dtype === 'F64') {
    const exact = baseDtype === 'F64' ? readFloat64(base) : new Float32Array(residual.length);
    if (exact instanceof Float32Array) widenAll(baseDtype, base, exact);
    const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
    for (let i = 0; i < residual.length; i++) writeFloat64(view, i, exact[i] + residual[i]);
    return;
  }
  const sum = new Float32Array(residual.length);
  widenAll(baseDtype, base, sum);
  for (let i = 0; i < sum.length; i++) sum[i] += residual[i];
  narrowAll(dtype, sum, out);
}

export function subtract(
  fineDtype: FloatDtype,
  fine: Uint8Array,
  baseDtype: FloatDtype,
  base: Uint8Array,
  out: Float32Array,
): void {
  checkBytes('fine', fineDtype, fine, out.length);
  checkBytes('base', baseDtype, base, out.length);
  if (fineDtype === 'F64' && baseDtype === 'F64') {
    const minuend = readFloat64(fine);
    const subtrahend = readFloat64(base);
    for (let i = 0; i < out.length; i++) out[i] = minuend[i] - subtrahend[i];
  } else {
    const subtrahend = new Float32Array(out.length);
    widenAll(fineDtype, fine, out);
    widenAll(baseDtype, base, subtrahend);
    for (let i = 0; i < out.length; i++) out[i] -= subtrahend[i];
  }
  canonicalNaNs(out);
}

export function quantize(
  values: Float32Array,
  inverseStep: number,
  minimum: number,
  maximum: number,
  out: Int16Array,
): void {
  checkQuantize(values, minimum, maximum, out);
  const scale = Math.fround(inverseStep);
  for (let i = 0; i < values.length; i++) {
    const scaled = Math.fround(values[i] * scale);
    out[i] = Number.isNaN(scaled) ? 0 : Math.min(Math.max(roundHalfEven(scaled), minimum), maximum);
  }
}

/** Nearest integer, ties to even. Exact: the difference to the floor is, for any float32. */
function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

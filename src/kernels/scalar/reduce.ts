/** Reductions over eight float64 lanes, in the contract's order. */
import type { FloatDtype } from '../../../formats/dtype.js';
import { checkBytes, checkedCount, expectLength } from '../arguments.js';
import type { CodeSums, Statistics } from '../kernels.js';
import { readFloat64, widenAll } from './float-formats.js';

function sumLanes(l: Float64Array): number {
  return l[0] + l[1] + (l[2] + l[3]) + (l[4] + l[5] + (l[6] + l[7]));
}

export function statistics(values: Float32Array): Statistics {
  const lanes = new Float64Array(8);
  let maxAbs = 0;
  let nonFiniteCount = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (Number.isFinite(value)) {
      lanes[i % 8] += value * value;
      maxAbs = Math.max(maxAbs, Math.abs(value));
    } else {
      nonFiniteCount++;
    }
  }
  return { sumOfSquares: sumLanes(lanes), maxAbs, nonFiniteCount };
}

export function squaredDistance(dtype: FloatDtype, x: Uint8Array, y: Uint8Array): number {
  const count = checkedCount('x', dtype, x);
  checkBytes('y', dtype, y, count);
  const read = (bytes: Uint8Array) => {
    if (dtype === 'F64') return readFloat64(bytes);
    const values = new Float32Array(count);
    widenAll(dtype, bytes, values);
    return values;
  };
  const left = read(x);
  const right = read(y);
  const lanes = new Float64Array(8);
  for (let i = 0; i < count; i++) {
    const difference = left[i] - right[i];
    lanes[i % 8] += difference * difference;
  }
  return sumLanes(lanes);
}

export function codeSums(values: Float32Array, codes: Int16Array): CodeSums {
  expectLength('codes', values.length, codes.length);
  const inner = new Float64Array(8);
  const energy = new Float64Array(8);
  for (let i = 0; i < values.length; i++) {
    inner[i % 8] += values[i] * codes[i];
    energy[i % 8] += codes[i] * codes[i];
  }
  return { inner: sumLanes(inner), codeEnergy: sumLanes(energy) };
}

export function squaredPowers(dtype: FloatDtype, bytes: Uint8Array): number {
  const values = new Float32Array(checkedCount('bytes', dtype, bytes));
  widenAll(dtype, bytes, values);
  const bits = new Uint32Array(values.buffer);
  for (let i = 0; i < bits.length; i++) bits[i] &= 0x7f800000;
  return statistics(values).sumOfSquares;
}

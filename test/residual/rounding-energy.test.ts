import { expect, test } from 'vitest';
import type { Dtype } from '../../formats/dtype.js';
import { isFloatDtype } from '../../formats/dtype.js';
import { lookUpExponents, roundingEnergy, unitsInLastPlace } from '../../src/residual/rounding-energy.js';
import { normalFloats, wasm } from '../kernels/samples.js';

function energyOf(dtype: Dtype, bytes: Uint8Array): number {
  if (!isFloatDtype(dtype)) throw new TypeError(`expected a float dtype, got ${dtype}`);
  return roundingEnergy(dtype, wasm.squaredPowers(dtype, bytes));
}

test.each([
  ['BF16', 1, 2 ** -7],
  ['BF16', 3.5, 2 ** -6],
  ['BF16', -0.015, 2 ** -14],
  ['F16', 1, 2 ** -10],
  ['F32', -1.5, 2 ** -23],
] as const)('%s %d has a unit in the last place of %d', (dtype, value, unit) => {
  const bytes = new Uint8Array(dtype === 'F32' ? 4 : 2);
  wasm.fromFloat32(dtype, Float32Array.of(value), bytes);
  expect(energyOf(dtype, bytes)).toBeCloseTo(unit ** 2 / 12, 300);
});

test.each(['BF16', 'F16'] as const)('the rounding of spread values to %s has that energy', (dtype) => {
  const values = normalFloats(100_000, 4, 0.02);
  const bytes = new Uint8Array(2 * values.length);
  const rounded = new Float32Array(values.length);
  wasm.fromFloat32(dtype, values, bytes);
  wasm.toFloat32(dtype, bytes, rounded);
  let energy = 0;
  for (let i = 0; i < values.length; i++) energy += (values[i]! - rounded[i]!) ** 2;
  expect(energy / energyOf(dtype, bytes)).toBeCloseTo(1, 1);
});

test('other dtypes count as not rounded', () => {
  expect(energyOf('F64', new Uint8Array(16).fill(64))).toBe(0);
  expect(energyOf('F8_E4M3', new Uint8Array(16).fill(64))).toBe(0);
});

test('a table by exponent gives every element the value of its binade', () => {
  const bytes = new Uint8Array(6);
  wasm.fromFloat32('BF16', Float32Array.of(1.5, -0.02, 1000), bytes);
  const units = Float32Array.from(unitsInLastPlace('BF16'));
  const found = new Float32Array(3);
  lookUpExponents('BF16', bytes, units, found);
  expect([...found]).toEqual([2 ** -7, 2 ** -13, 4]);
});

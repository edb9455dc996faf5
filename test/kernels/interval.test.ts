/** Codec "interval" in both implementations: exact, the same bytes, and within bounds whatever the payload. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DTYPES, type Dtype, type FloatDtype } from '../../formats/dtype.js';
import {
  elementLayout,
  type IntervalModel,
  type IntervalPrediction,
} from '../../src/kernels/interval-model.js';
import type { Kernels } from '../../src/kernels/kernels.js';
import { loadKernels } from '../../src/kernels/load-kernels.js';
import { bytesOf, normalFloats, PATHS, randomBytes, scalar, wasm } from './samples.js';

const CODED: readonly Dtype[] = [
  'F64',
  'F32',
  'C64',
  'F16',
  'BF16',
  'F8_E4M3',
  'F8_E5M2',
  'I8',
  'U8',
  'BOOL',
  'I16',
  'U16',
  'I32',
  'U32',
  'I64',
  'U64',
];

/** Elements of `dtype` around normal weights, with awkward ones here and there. */
function weights(dtype: Dtype, count: number, seed: number, spread: number, odd: number): Uint8Array {
  const { isFloat, byteLength } = elementLayout(dtype);
  const bytes = new Uint8Array(count * byteLength);
  const values = normalFloats(count, seed, spread);
  if (isFloat) wasm.fromFloat32((dtype === 'C64' ? 'F32' : dtype) as never, values, bytes);
  else for (let i = 0; i < count; i++) bytes[i * byteLength] = Math.round(values[i] * 100);
  const noise = randomBytes(count * byteLength, seed + 1);
  const choose = randomBytes(count, seed + 2);
  for (let i = 0; i < count; i++) {
    if (choose[i] < odd) {
      bytes.set(noise.subarray(i * byteLength, (i + 1) * byteLength), i * byteLength);
      if (choose[i] % 3 === 1) bytes.fill(0, i * byteLength, (i + 1) * byteLength);
      if (choose[i] % 3 === 2) bytes.fill(255, i * byteLength, (i + 1) * byteLength);
    }
  }
  return bytes;
}

/** `base` with some elements moved. */
function moved(base: Uint8Array, dtype: Dtype, seed: number, share: number): Uint8Array {
  const { byteLength } = elementLayout(dtype);
  const bytes = base.slice();
  const noise = randomBytes(base.length, seed);
  for (let i = 0; i < bytes.length; i += byteLength) {
    if (noise[i] < share) bytes[i] += (noise[i + byteLength - 1] & 3) - 1;
  }
  return bytes;
}

function encode(
  kernels: Kernels,
  model: IntervalModel,
  values: Uint8Array,
  prediction: IntervalPrediction | undefined,
): Uint8Array {
  const encoder = kernels.intervalEncoder(model);
  encoder.encode(values, prediction);
  return encoder.finish()!;
}

function decode(
  kernels: Kernels,
  model: IntervalModel,
  payload: Uint8Array,
  prediction: IntervalPrediction | undefined,
  byteLength: number,
): Uint8Array {
  const decoder = kernels.intervalDecoder(model);
  decoder.begin(payload);
  const out = new Uint8Array(byteLength);
  decoder.decode(prediction, out);
  return out;
}

describe('wasm and scalar', () => {
  test('give the same bytes and the values back, whatever dtype, prediction and parameters', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...CODED),
        fc.constantFrom(0, 1, 2, 3, 7, 20),
        fc.constantFrom(1, 2, 3, 16, 17, 33, 255, 257, 300),
        fc.constantFrom('none', 'elements', 'values'),
        fc.constantFrom(0, 1, 2),
        fc.constantFrom(0, 1, 20, 200, 256),
        fc.constantFrom(0, 2, 256),
        fc.constantFrom(1e-4, 0.03, 1, 1000),
        fc.integer({ min: -20, max: 4 }),
        fc.nat(),
        (dtype, rows, columns, kind, skip, share, odd, spread, unit, seed) => {
          const { isFloat, byteLength } = elementLayout(dtype);
          const base = weights(dtype, rows * columns, seed, spread, odd);
          const values = moved(base, dtype, seed + 5, share);
          const model = { dtype, columns, unit, skip, means: seed % 4 !== 0, drop: 0 } as const;
          let prediction: IntervalPrediction | undefined = kind === 'none' ? undefined : { elements: base };
          if (kind === 'values' && isFloat && byteLength < 4) {
            const values = normalFloats(rows * columns, seed, spread * 1.01);
            const elements = new Uint8Array(values.length * byteLength);
            wasm.fromFloat32(dtype as FloatDtype, values, elements);
            prediction = { elements, values };
          }
          const payload = encode(wasm, model, values, prediction);
          expect(bytesOf(encode(scalar, model, values, prediction)).equals(payload)).toBe(true);
          for (const kernels of [wasm, scalar]) {
            const decoded = decode(kernels, model, payload, prediction, rows * columns * byteLength);
            expect(bytesOf(decoded).equals(values)).toBe(true);
          }
        },
      ),
      { numRuns: 400 },
    );
  });
});
void DTYPES;
void PATHS;
void loadKernels;
void describe;

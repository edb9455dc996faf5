import { describe, expect, test } from 'vitest';
import { FLOAT_DTYPES } from '../../formats/dtype.js';
import { elementByteLength } from '../../src/kernels/arguments.js';
import { loadKernels } from '../../src/kernels/load-kernels.js';
import {
  finiteValuesOf,
  nearestCode,
  REFERENCE_FORMATS,
  type ReferenceFormat,
  realValue,
} from './float-reference.js';
import { bytesOf, PATHS, randomFloatBits } from './samples.js';

function allCodes(format: ReferenceFormat): Uint8Array {
  const codes = Array.from({ length: 2 ** format.bits }, (_, code) => code);
  return new Uint8Array((format.bits === 16 ? Uint16Array : Uint8Array).from(codes).buffer);
}

function codesOf(format: ReferenceFormat, bytes: Uint8Array): ArrayLike<number> {
  return format.bits === 16 ? new Uint16Array(bytes.buffer) : bytes;
}

/** Every value of the format, every midpoint of neighbours, and the float32 next to each, with both signs. */
function boundaryValues(format: ReferenceFormat): Float32Array {
  const values = finiteValuesOf(format);
  const found: number[] = [];
  for (let code = 0; code < values.length; code++) {
    found.push(values[code]);
    if (code + 1 < values.length) found.push((values[code] + values[code + 1]) / 2);
  }
  const last = values[values.length - 1];
  const step = last - values[values.length - 2];
  found.push(last + step / 2, last + step, last + 2 * step);
  const points = Float32Array.from(found);
  const bits = new Uint32Array(points.buffer);
  const near = new Uint32Array(points.length * 6);
  for (let i = 0; i < points.length; i++) {
    for (const [j, delta] of [-1, 0, 1].entries()) {
      const moved = Math.max(bits[i] + delta, 0);
      near[i * 6 + j] = moved;
      near[i * 6 + 3 + j] = moved | 0x80000000;
    }
  }
  return new Float32Array(near.buffer);
}

const SPECIAL_VALUES = new Float32Array(
  Uint32Array.of(
    0, // 0
    0x80000000, // −0
    1, // smallest subnormal
    0x807fffff, // largest subnormal, negative
    0x00800000, // smallest normal
    0x7f7fffff, // largest finite
    0xff7fffff,
    0x7f800000, // infinity
    0xff800000,
    0x7fc00000, // quiet NaN
    0xffc00001,
    0x7f800001, // signalling NaN
    0xff801234,
    0x43e00000, // 448
    0x43e80000, // 464, halfway to 480
    0x477fefff, // below 65520
    0x477ff000, // 65520
  ).buffer,
);

describe.each(PATHS)('%s', (path) => {
  const kernels = loadKernels(path);

  describe.each(REFERENCE_FORMATS)('$dtype', (format) => {
    test('every code widens to its exact value', () => {
      const bytes = allCodes(format);
      const out = new Float32Array(2 ** format.bits);
      kernels.toFloat32(format.dtype, bytes, out);
      const wrong = out.findIndex((value, code) => !Object.is(value, Math.fround(realValue(format, code))));
      expect(wrong).toBe(-1);
    });

    test('every finite code survives a round trip, and every NaN becomes the canonical one', () => {
      const bytes = allCodes(format);
      const values = new Float32Array(2 ** format.bits);
      kernels.toFloat32(format.dtype, bytes, values);
      const back = new Uint8Array(bytes.byteLength);
      kernels.fromFloat32(format.dtype, values, back);
      const codes = codesOf(format, back);
      const wrong = values.findIndex(
        (value, code) => codes[code] !== (Number.isNaN(value) ? format.nan : code),
      );
      expect(wrong).toBe(-1);
    });

    test('float32 rounds to the nearest code, ties to even', () => {
      for (const values of [boundaryValues(format), SPECIAL_VALUES, randomFloatBits(50_000, 7)]) {
        const out = new Uint8Array((values.length * format.bits) / 8);
        kernels.fromFloat32(format.dtype, values, out);
        const codes = codesOf(format, out);
        const wrong = values.findIndex((value, i) => codes[i] !== nearestCode(format, value));
        expect(wrong === -1 ? undefined : [values[wrong], codes[wrong]]).toBeUndefined();
      }
    });
  });

  test('F8_E4M3 saturates at 448 where the others overflow to infinity', () => {
    const values = Float32Array.of(1e9, -1e9, Number.POSITIVE_INFINITY, 464, 465);
    const out = new Uint8Array(5);
    kernels.fromFloat32('F8_E4M3', values, out);
    expect([...out]).toEqual([0x7e, 0xfe, 0x7e, 0x7e, 0x7e]);
    kernels.fromFloat32('F8_E5M2', values, out);
    expect([...out]).toEqual([0x7c, 0xfc, 0x7c, 0x5f, 0x5f]);
  });

  test('F32 keeps every bit on the way in, and canonicalises NaN on the way out', () => {
    const values = randomFloatBits(20_000, 3);
    const bytes = new Uint8Array(values.buffer);
    const out = new Float32Array(values.length);
    kernels.toFloat32('F32', bytes, out);
    expect(bytesOf(out).equals(bytes)).toBe(true);
    const back = new Uint8Array(bytes.byteLength);
    kernels.fromFloat32('F32', SPECIAL_VALUES, back.subarray(0, SPECIAL_VALUES.length * 4));
    const bits = new Uint32Array(back.buffer, 0, SPECIAL_VALUES.length);
    SPECIAL_VALUES.forEach((value, i) => {
      const expected = new Uint32Array(SPECIAL_VALUES.buffer)[i];
      expect(bits[i]).toBe(Number.isNaN(value) ? 0x7fc00000 : expected);
    });
  });

  test('F64 narrows as Math.fround and widens exactly', () => {
    const doubles = new Float64Array(
      BigUint64Array.from({ length: 9 }, (_, i) => BigInt(i) * 0x1234567890abcdn).buffer,
    );
    const halfway = 1 + 2 ** -24; // between 1 and its float32 successor
    const values = Float64Array.of(
      ...doubles,
      halfway,
      -halfway,
      halfway + 2 ** -50,
      1e300,
      -1e-300,
      1e-40,
      Number.NaN,
    );
    const out = new Float32Array(values.length);
    kernels.toFloat32('F64', new Uint8Array(values.buffer), out);
    values.forEach((value, i) => {
      expect(out[i]).toBe(Math.fround(value));
    });
    const back = new Uint8Array(SPECIAL_VALUES.length * 8);
    kernels.fromFloat32('F64', SPECIAL_VALUES, back);
    const widened = new Float64Array(back.buffer);
    SPECIAL_VALUES.forEach((value, i) => {
      expect(widened[i]).toBe(value);
    });
    expect(new BigUint64Array(back.buffer)[10]).toBe(0x7ff8000000000000n);
  });

  test('lengths that do not agree are a RangeError', () => {
    for (const dtype of FLOAT_DTYPES) {
      const bytes = new Uint8Array(elementByteLength(dtype) * 3);
      expect(() => kernels.toFloat32(dtype, bytes, new Float32Array(4))).toThrow(RangeError);
      expect(() => kernels.fromFloat32(dtype, new Float32Array(2), bytes)).toThrow(/expected a length of/);
    }
  });
});

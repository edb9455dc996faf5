import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FLOAT_DTYPES } from '../../formats/dtype.js';
import { elementByteLength } from '../../src/kernels/arguments.js';
import { loadKernels } from '../../src/kernels/load-kernels.js';
import {
  atOffset,
  bytesOf,
  normalFloats,
  PATHS,
  randomBytes,
  randomFloatBits,
  SIZES,
  scalar,
  wasm,
} from './samples.js';

const dtype = fc.constantFrom(...FLOAT_DTYPES);
const size = fc.oneof(fc.constantFrom(...SIZES), fc.nat(100));
const offset = fc.nat(7);
const seed = fc.nat();

/** Runs one kernel on both paths, each into a fresh output, and compares the bytes. */
function expectSameBytes(
  byteLength: number,
  at: number,
  run: (kernels: typeof wasm, out: Uint8Array) => void,
) {
  const outputs = [wasm, scalar].map((kernels) => {
    const out = atOffset(new Uint8Array(byteLength), at);
    run(kernels, out);
    return out;
  });
  expect(Buffer.compare(outputs[0], outputs[1])).toBe(0);
}

function floatsOf(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** Half of the time any bit pattern, half of the time values of a usual size. */
function floats(length: number, from: number): Float32Array {
  return from % 2 === 0 ? randomFloatBits(length, from) : normalFloats(length, from, 2 ** ((from % 40) - 20));
}

describe('wasm and scalar give the same bytes', () => {
  test('toFloat32, any bytes at any address', () => {
    fc.assert(
      fc.property(dtype, size, offset, seed, (type, count, at, from) => {
        const bytes = atOffset(randomBytes(count * elementByteLength(type), from), at);
        expectSameBytes(count * 4, 4 * (at % 2), (kernels, out) =>
          kernels.toFloat32(type, bytes, floatsOf(out)),
        );
      }),
      { numRuns: 150 },
    );
  });

  test('fromFloat32, any bit pattern', () => {
    fc.assert(
      fc.property(dtype, size, offset, seed, (type, count, at, from) => {
        const values = floats(count, from);
        expectSameBytes(count * elementByteLength(type), at, (kernels, out) =>
          kernels.fromFloat32(type, values, out),
        );
      }),
      { numRuns: 150 },
    );
  });

  test('addAndRound over all pairs of dtypes', () => {
    for (const type of FLOAT_DTYPES) {
      for (const baseType of FLOAT_DTYPES) {
        fc.assert(
          fc.property(
            fc.oneof(fc.constantFrom(0, 1, 3, 4, 5, 12, 13, 16_389), fc.nat(40)),
            offset,
            seed,
            (count, at, from) => {
              const base = atOffset(randomBytes(count * elementByteLength(baseType), from), at);
              const residual = floats(count, from + 1);
              expectSameBytes(count * elementByteLength(type), at, (kernels, out) =>
                kernels.addAndRound(type, baseType, base, residual, out),
              );
            },
          ),
          { numRuns: 8 },
        );
      }
    }
  });

  test('subtract over all pairs of dtypes', () => {
    for (const fineType of FLOAT_DTYPES) {
      for (const baseType of FLOAT_DTYPES) {
        fc.assert(
          fc.property(
            fc.oneof(fc.constantFrom(0, 1, 3, 4, 5, 12, 13, 16_389), fc.nat(40)),
            offset,
            seed,
            (count, at, from) => {
              const fine = atOffset(randomBytes(count * elementByteLength(fineType), from), at);
              const base = atOffset(randomBytes(count * elementByteLength(baseType), from + 1), 7 - at);
              expectSameBytes(count * 4, 4 * (at % 2), (kernels, out) =>
                kernels.subtract(fineType, fine, baseType, base, floatsOf(out)),
              );
            },
          ),
          { numRuns: 8 },
        );
      }
    }
  });

  test('quantize, any bit pattern and any range', () => {
    const range = fc.tuple(
      fc.integer({ min: -32_768, max: 32_767 }),
      fc.integer({ min: -32_768, max: 32_767 }),
    );
    fc.assert(
      fc.property(size, seed, fc.float({ noNaN: true }), range, (count, from, step, [x, y]) => {
        const values = floats(count, from);
        expectSameBytes(count * 2, 0, (kernels, out) =>
          kernels.quantize(
            values,
            step,
            Math.min(x, y),
            Math.max(x, y),
            new Int16Array(out.buffer, out.byteOffset, count),
          ),
        );
      }),
      { numRuns: 100 },
    );
  });

  test('statistics and squaredDistance, non-finite values included', () => {
    fc.assert(
      fc.property(size, dtype, offset, seed, (count, type, at, from) => {
        const values = floats(count, from);
        expect(wasm.statistics(values)).toEqual(scalar.statistics(values));
        const x = atOffset(randomBytes(count * elementByteLength(type), from), at);
        const y = randomBytes(count * elementByteLength(type), from + 1);
        expect(wasm.squaredDistance(type, x, y)).toBe(scalar.squaredDistance(type, x, y));
        // Narrowed normal values, so that sums are finite.
        const u = new Uint8Array(x.byteLength);
        const v = new Uint8Array(x.byteLength);
        scalar.fromFloat32(type, normalFloats(count, from), u);
        scalar.fromFloat32(type, normalFloats(count, from + 1), v);
        expect(wasm.squaredDistance(type, u, v)).toBe(scalar.squaredDistance(type, u, v));
      }),
      { numRuns: 100 },
    );
  });
});

describe.each(PATHS)('%s', (path) => {
  const kernels = loadKernels(path);

  test('addAndRound rounds the float32 sum once to the dtype', () => {
    // The ulp of BF16 at 1 is 2^-7: 1 + 2^-8 is a tie and goes to the even 1, a little more goes up.
    const base = Uint8Array.of(0x80, 0x3f, 0x80, 0x3f, 0x81, 0x3f);
    const out = new Uint8Array(6);
    kernels.addAndRound('BF16', 'BF16', base, Float32Array.of(2 ** -8, 2 ** -8 + 2 ** -20, 2 ** -8), out);
    expect([...new Uint16Array(out.buffer)]).toEqual([0x3f80, 0x3f81, 0x3f82]);
  });

  test('addAndRound to F64 adds in float64 to the exact base', () => {
    const base = Float64Array.of(1 + 2 ** -40, 2 ** 60);
    const out = new Float64Array(2);
    kernels.addAndRound(
      'F64',
      'F64',
      new Uint8Array(base.buffer),
      Float32Array.of(2 ** -30, 1),
      new Uint8Array(out.buffer),
    );
    expect([...out]).toEqual([1 + 2 ** -40 + 2 ** -30, 2 ** 60]);
  });

  test('infinity minus infinity is the canonical NaN', () => {
    const infinity = Uint8Array.of(0x80, 0x7f);
    const out = new Uint8Array(2);
    kernels.addAndRound('BF16', 'BF16', infinity, Float32Array.of(Number.NEGATIVE_INFINITY), out);
    expect([...out]).toEqual([0xc0, 0x7f]);
    const difference = new Float32Array(1);
    kernels.subtract('BF16', infinity, 'BF16', infinity, difference);
    expect([...bytesOf(difference)]).toEqual([0, 0, 0xc0, 0x7f]);
  });

  test('subtract of two F64 tensors rounds after the float64 difference', () => {
    const fine = Float64Array.of(1 + 2 ** -40);
    const base = Float64Array.of(1);
    const out = new Float32Array(1);
    kernels.subtract('F64', new Uint8Array(fine.buffer), 'F64', new Uint8Array(base.buffer), out);
    expect(out[0]).toBe(2 ** -40);
  });

  test('quantize ties go to even, NaN to 0, infinities to the range', () => {
    const values = Float32Array.of(
      0.5,
      1.5,
      2.5,
      -0.5,
      -1.5,
      -2.5,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      -1e30,
      7.49,
    );
    const out = new Int16Array(values.length);
    kernels.quantize(values, 1, -7, 6, out);
    expect([...out]).toEqual([0, 2, 2, 0, -2, -2, 0, 6, -7, 6]);
    expect(() => kernels.quantize(values, 1, 3, 2, out)).toThrow(/maximum: expected an integer from 3/);
    expect(() => kernels.quantize(values, 1, -40_000, 2, out)).toThrow(RangeError);
  });

  test('squared powers of two are those of the exponents, whatever signs and fractions', () => {
    const bytes = new Uint8Array(8);
    wasm.fromFloat32('BF16', Float32Array.of(1.5, -3, 0, Number.NEGATIVE_INFINITY), bytes);
    for (const kernels of [wasm, scalar]) expect(kernels.squaredPowers('BF16', bytes)).toBe(1 + 4);
  });

  test('code sums are those of float64, in both implementations', () => {
    const values = normalFloats(1003, 5, 1);
    const codes = Int16Array.from(values, (value) => Math.round(4 * value));
    const sums = wasm.codeSums(values, codes);
    expect(sums).toEqual(scalar.codeSums(values, codes));
    let inner = 0;
    for (const [i, value] of values.entries()) inner += value * codes[i]!;
    expect(sums.inner).toBeCloseTo(inner, 9);
    expect(sums.codeEnergy).toBe(codes.reduce((sum, code) => sum + code * code, 0));
    expect(() => wasm.codeSums(values, codes.subarray(1))).toThrow(RangeError);
  });

  test('statistics skip non-finite values and count them', () => {
    const values = Float32Array.of(3, -4, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY);
    expect(kernels.statistics(values)).toEqual({ sumOfSquares: 25, maxAbs: 4, nonFiniteCount: 3 });
    expect(kernels.statistics(new Float32Array(0))).toEqual({
      sumOfSquares: 0,
      maxAbs: 0,
      nonFiniteCount: 0,
    });
  });

  test('the sum of squares does not lose float32 precision', () => {
    const values = new Float32Array(100_003).fill(0.1);
    const expected = 100_003 * Math.fround(0.1) ** 2;
    expect(Math.abs(kernels.statistics(values).sumOfSquares / expected - 1)).toBeLessThan(1e-12);
  });
});

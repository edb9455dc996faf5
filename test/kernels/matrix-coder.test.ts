import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Kernels } from '../../src/kernels/kernels.js';
import { loadKernels } from '../../src/kernels/load-kernels.js';
import type { MatrixCoderOptions } from '../../src/kernels/matrix-coder.js';
import { MatrixModel } from '../../src/kernels/scalar/matrix-model.js';
import { type BitCoder, type Contexts, RangeDecoder } from '../../src/kernels/scalar/range-coder.js';
import { decodeRows, type EncodedRows, encodeRows } from './code-rows.js';
import { gaussians } from './gaussians.js';
import { idealBits } from './ideal-quantizer.js';
import { matrixOf } from './matrices.js';
import { plainDecode } from './plain-matrix-decoder.js';
import { bytesOf, PATHS, randomBits, randomBytes, scalar, wasm } from './samples.js';

const STATES = [1, 4, 8] as const;
const states = fc.constantFrom(...STATES);

/** Encodes rows with a chunk border after every `chunkRows` of them. */
function encode(
  kernels: Kernels,
  options: MatrixCoderOptions,
  values: Float32Array,
  how: Parameters<typeof encodeRows>[3] = {},
): EncodedRows {
  return encodeRows(kernels.createMatrixEncoder(options), options.columns, values, how);
}

function decode(
  kernels: Kernels,
  options: MatrixCoderOptions,
  chunks: readonly Uint8Array[],
  rows: number,
  chunkRows = rows,
): Int16Array {
  return decodeRows(kernels.createMatrixDecoder(options), options.columns, chunks, rows, chunkRows);
}

describe('wasm and scalar give the same bytes and codes, and both decode them', () => {
  test('any shape, states, values and chunks', () => {
    fc.assert(
      fc.property(
        states,
        fc.integer({ min: 1, max: 40 }),
        fc.oneof(fc.integer({ min: 1, max: 70 }), fc.constantFrom(128, 255, 400)),
        fc.integer({ min: 0, max: 5 }),
        fc.constantFrom(0, 0.03, 0.1, 1, 50),
        fc.integer({ min: 1, max: 40 }),
        fc.nat(),
        (stateCount, rows, columns, kind, lambda, chunkRows, seed) => {
          const options = { columns, states: stateCount };
          const values = matrixOf(rows, columns, kind, seed);
          const [fast, plain] = [wasm, scalar].map((kernels) =>
            encode(kernels, options, values, { lambda, chunkRows }),
          );
          expect(bytesOf(fast.codes).equals(bytesOf(plain.codes))).toBe(true);
          expect(fast.chunks).toEqual(plain.chunks);
          for (const kernels of [wasm, scalar]) {
            const out = decode(kernels, options, fast.chunks, rows, chunkRows);
            expect(bytesOf(out).equals(bytesOf(fast.codes))).toBe(true);
          }
        },
      ),
      { numRuns: 120 },
    );
  });

  test.each(STATES)('rows longer than what is quantised at a time, %i states', (stateCount) => {
    for (const columns of [4096, 4097, 9001]) {
      const options = { columns, states: stateCount };
      const values = matrixOf(2, columns, 1, columns);
      const [fast, plain] = [wasm, scalar].map((kernels) => encode(kernels, options, values));
      expect(fast).toEqual(plain);
      expect(decode(wasm, options, fast.chunks, 2)).toEqual(fast.codes);
    }
  });

  test.each(STATES)('contexts that have settled, from rows of zeros to escapes, %i states', (stateCount) => {
    const options = { columns: 256, states: stateCount };
    for (const deviation of [0.2, 0.35, 0.6, 1.2, 6, 80]) {
      const values = gaussians(64 * 256, 11).map((x) => x * deviation);
      // Escapes settle too: one row in eight is louder than its levels say.
      for (let i = 0; i < values.length; i += 8 * 256) values.subarray(i, i + 256 / 8).fill(40 * deviation);
      const [fast, plain] = [wasm, scalar].map((kernels) => encode(kernels, options, values));
      expect(fast.chunks).toEqual(plain.chunks);
      for (const kernels of [wasm, scalar]) {
        expect(bytesOf(decode(kernels, options, fast.chunks, 64)).equals(bytesOf(plain.codes))).toBe(true);
      }
    }
  });

  test('random bytes decode to the same bounded codes', () => {
    fc.assert(
      fc.property(
        states,
        fc.integer({ min: 1, max: 60 }),
        fc.nat(200),
        fc.nat(),
        (stateCount, columns, length, seed) => {
          const options = { columns, states: stateCount };
          const chunks = [randomBytes(length, seed), randomBytes(length, seed + 1)];
          const [fast, plain] = [wasm, scalar].map((kernels) => decode(kernels, options, chunks, 40, 20));
          expect(bytesOf(fast).equals(bytesOf(plain))).toBe(true);
          expect(fast.every((code) => Math.abs(code) <= 32_766)).toBe(true);
        },
      ),
      { numRuns: 150 },
    );
  });

  test.each([0x00, 0xff])('endless bytes 0x%s and a cut chunk decode to something bounded', (byte) => {
    for (const stateCount of STATES) {
      const options = { columns: 300, states: stateCount };
      const whole = encode(wasm, options, gaussians(30_000, 3)).chunks[0];
      for (const bytes of [new Uint8Array(5000).fill(byte), whole.subarray(0, whole.length >> 1)]) {
        const [fast, plain] = [wasm, scalar].map((kernels) => decode(kernels, options, [bytes], 100));
        expect(bytesOf(fast).equals(bytesOf(plain))).toBe(true);
        expect(fast.every((code) => Math.abs(code) <= 32_766)).toBe(true);
      }
    }
  });
});

describe('a decoder written from the specification', () => {
  test.each(STATES)('gives the same codes, %i states', (stateCount) => {
    for (let kind = 0; kind <= 5; kind++) {
      const [rows, columns] = [60, 75];
      const options = { columns, states: stateCount };
      const { codes, chunks } = encode(wasm, options, matrixOf(rows, columns, kind, 30 + kind), {
        chunkRows: 23,
      });
      const parts = chunks.map((bytes, i) => ({ bytes, rows: Math.min(23, rows - i * 23) }));
      expect(plainDecode(columns, stateCount, parts)).toEqual([...codes]);
    }
  });

  test('rows that begin at a first column take no bits before it', () => {
    for (const [i, columns] of [5, 40, 61, 4200].entries()) {
      for (const stateCount of STATES) {
        const options = { columns, states: stateCount };
        const rows = columns > 1000 ? 2 : Math.min(columns, 12);
        const firstOf = (row: number): number =>
          Math.min((row + (columns > 1000 ? 1 : 0)) * (i + 1), columns - 1);
        const values = matrixOf(rows, columns, 1, columns);
        const coded = [wasm, scalar].map((kernels) => {
          const encoder = kernels.createMatrixEncoder(options);
          const codes = new Int16Array(rows * columns).fill(7);
          for (let row = 0; row < rows; row++) {
            const range = [row * columns, (row + 1) * columns] as const;
            const own = { values: values.subarray(...range), codes: codes.subarray(...range) };
            encoder.encodeRows({ ...own, rows: 1, lambda: 0.1, firstColumn: firstOf(row) });
          }
          return { codes, bytes: encoder.endChunk() };
        });
        expect(coded[1]).toEqual(coded[0]);
        const { codes, bytes } = coded[0];
        for (const [at, code] of codes.entries())
          if (at % columns < firstOf(Math.floor(at / columns))) expect(code).toBe(0);
        expect(plainDecode(columns, stateCount, [{ bytes, rows }], firstOf)).toEqual([...codes]);
        for (const kernels of [wasm, scalar]) {
          const decoder = kernels.createMatrixDecoder(options);
          decoder.beginChunk(bytes);
          const out = new Int16Array(codes.length).fill(7);
          for (let row = 0; row < rows; row++)
            decoder.decodeRows(1, out.subarray(row * columns, (row + 1) * columns), firstOf(row));
          expect(out).toEqual(codes);
        }
      }
    }
  });

  test('several rows at a time may share a first column, which has to be one', () => {
    const options = { columns: 20, states: 1 } as const;
    const values = gaussians(200, 3).map((x) => x * 4);
    for (const kernels of [wasm, scalar]) {
      const encoder = kernels.createMatrixEncoder(options);
      const codes = new Int16Array(200);
      encoder.encodeRows({ values, rows: 10, lambda: 0.1, codes, firstColumn: 3 });
      const decoder = kernels.createMatrixDecoder(options);
      decoder.beginChunk(encoder.endChunk());
      const out = new Int16Array(200).fill(7);
      decoder.decodeRows(10, out, 3);
      expect(out).toEqual(codes);
      for (const firstColumn of [-1, 20, 0.5]) {
        const request = { values, rows: 10, lambda: 0.1, codes, firstColumn };
        expect(() => encoder.encodeRows(request)).toThrow(RangeError);
        expect(() => decoder.decodeRows(10, out, firstColumn)).toThrow(RangeError);
      }
    }
  });

  test('gives the same codes on random bytes', () => {
    for (let seed = 0; seed < 20; seed++) {
      const bytes = randomBytes(seed * 40, seed);
      const options = { columns: 50, states: STATES[seed % 3] };
      const plain = plainDecode(50, options.states, [{ bytes, rows: 50 }]);
      expect(plain).toEqual([...decode(wasm, options, [bytes], 50)]);
    }
  });
});

describe.each(PATHS)('%s', (path) => {
  const kernels = loadKernels(path);

  test('codes are half steps: even with one state, within a step of the value without a cost of bits', () => {
    const values = gaussians(4000, 5).map((x) => x * 6);
    for (const stateCount of STATES) {
      const { codes } = encode(kernels, { columns: 40, states: stateCount }, values, { lambda: 0 });
      expect(codes.every((code, i) => Math.abs(values[i] - code / 2) <= (stateCount === 1 ? 0.5 : 1))).toBe(
        true,
      );
      expect(codes.some((code) => code % 2 !== 0)).toBe(stateCount > 1);
    }
  });

  test('values beyond the codes saturate, and what is no number is 0', () => {
    const values = Float32Array.of(1e9, -1e9, Number.POSITIVE_INFINITY, Number.NaN, 16_383, -16_384);
    const { codes } = encode(kernels, { columns: 6 }, values, { lambda: 0 });
    expect([...codes]).toEqual([32_766, -32_766, 32_766, 0, 32_766, -32_766]);
  });

  test('a matrix of zeros takes a few bytes, and an empty one at most one', () => {
    const options = { columns: 1000 };
    const { codes, byteLength } = encode(kernels, options, new Float32Array(100_000));
    expect(codes.every((code) => code === 0)).toBe(true);
    expect(byteLength).toBeLessThan(8);
    const encoder = kernels.createMatrixEncoder({ columns: 0 });
    encoder.encodeRows({ values: new Float32Array(0), rows: 7, lambda: 1, codes: new Int16Array(0) });
    expect(encoder.endChunk().length).toBeLessThanOrEqual(1);
  });

  test('a heavier column gets the smaller error', () => {
    const columnWeights = Float32Array.from({ length: 64 }, (_, j) => (j < 32 ? 4 : 0.25));
    const values = gaussians(64 * 64, 8);
    const { codes } = encode(kernels, { columns: 64 }, values, { columnWeights });
    const errors = [0, 0];
    for (const [i, value] of values.entries()) errors[i % 64 < 32 ? 0 : 1] += (value - codes[i] / 2) ** 2;
    expect(errors[0]).toBeLessThan(errors[1] * 0.6);
  });

  test('every coder starts afresh, also in memory that another one used', () => {
    const values = gaussians(6400, 9);
    const first = encode(kernels, { columns: 64, states: 8 }, values);
    encode(
      kernels,
      { columns: 640 },
      values.map((x) => x * 9),
    );
    expect(encode(kernels, { columns: 64, states: 8 }, values)).toEqual(first);
  });

  test('coders that take turns do not disturb each other', () => {
    const values = [gaussians(800, 10), gaussians(800, 11).map((x) => x * 4)];
    const expected = values.map((x) => encode(kernels, { columns: 20 }, x));
    const encoders = values.map(() => kernels.createMatrixEncoder({ columns: 20 }));
    for (let row = 0; row < 40; row++) {
      for (const [i, encoder] of encoders.entries()) {
        const part = values[i].subarray(row * 20, (row + 1) * 20);
        encoder.encodeRows({ values: part, rows: 1, lambda: 0.1, codes: new Int16Array(20) });
      }
    }
    expect(encoders.map((encoder) => [encoder.endChunk()])).toEqual(expected.map(({ chunks }) => chunks));
  });

  test('a freed coder throws TypeError, wrong arguments RangeError', () => {
    const encoder = kernels.createMatrixEncoder({ columns: 4 });
    const decoder = kernels.createMatrixDecoder({ columns: 4 });
    const request = { values: new Float32Array(8), rows: 2, lambda: 0.1, codes: new Int16Array(8) };
    expect(() => encoder.encodeRows({ ...request, rows: 3 })).toThrow(
      'values: expected a length of 12, got 8',
    );
    expect(() => encoder.encodeRows({ ...request, codes: new Int16Array(7) })).toThrow(RangeError);
    expect(() => encoder.encodeRows({ ...request, columnWeights: new Float32Array(5) })).toThrow(RangeError);
    expect(() => encoder.encodeRows({ ...request, lambda: -1 })).toThrow('lambda: expected');
    expect(() => encoder.encodeRows({ ...request, lambda: Number.NaN })).toThrow(RangeError);
    expect(() => decoder.decodeRows(2, new Int16Array(9))).toThrow(RangeError);
    expect(() => kernels.createMatrixEncoder({ columns: 2 ** 24 + 1 })).toThrow('columns: expected');
    expect(() => kernels.createMatrixDecoder({ columns: 4, states: 2 as 1 })).toThrow(
      'states: expected 1, 4 or 8',
    );
    encoder.free();
    decoder.free();
    decoder.free();
    expect(() => encoder.encodeRows(request)).toThrow(TypeError);
    expect(() => encoder.endChunk()).toThrow(TypeError);
    expect(() => decoder.decodeRows(2, new Int16Array(8))).toThrow(TypeError);
  });
});

/** Bits per weight, and squared error after the best single gain, of a million Gaussian weights. */
function performance(options: MatrixCoderOptions, step: number): { bits: number; distortion: number } {
  const values = gaussians(1 << 20, 17).map((x) => x / step);
  const { codes, byteLength } = encode(wasm, options, values);
  let energy = 0;
  let product = 0;
  let square = 0;
  for (let i = 0; i < values.length; i++) {
    energy += values[i] ** 2;
    product += (values[i] * codes[i]) / 2;
    square += (codes[i] / 2) ** 2;
  }
  return { bits: (8 * byteLength) / values.length, distortion: 1 - product ** 2 / square / energy };
}

describe('rate', () => {
  test('the ideal quantiser is 0.08, 0.15, 0.24 and 0.25 bit over the Gaussian bound', () => {
    const gaps = [0.25, 0.5, 1, 2].map((bits) => {
      // The squared error at which the ideal quantiser takes these bits.
      let [low, high] = [1e-3, 0.95];
      for (let i = 0; i < 30; i++) {
        const middle = Math.sqrt(low * high);
        if (idealBits(middle) > bits) low = middle;
        else high = middle;
      }
      return bits + 0.5 * Math.log2(low);
    });
    for (const [i, gap] of [0.08, 0.15, 0.24, 0.25].entries()) expect(gaps[i]).toBeCloseTo(gap, 1.9);
  });

  test.each([
    [0.25, 2.66],
    [0.5, 2.39],
    [1, 1.89],
    [2, 1.01],
  ])('one state at %d bits is within 0.05 bit of the ideal scalar quantiser', (bits, step) => {
    const coded = performance({ columns: 1024 }, step);
    expect(Math.abs(coded.bits - bits)).toBeLessThan(0.06);
    expect(coded.bits - idealBits(coded.distortion)).toBeLessThan(0.05);
  });

  test.each([
    [1, 1.98, 0.1],
    [2, 1.01, 0.13],
  ])(
    'eight states at %d bits are at least 0.1 bit better than the ideal scalar quantiser',
    (bits, step, gain) => {
      const coded = performance({ columns: 1024, states: 8 }, step);
      expect(Math.abs(coded.bits - bits)).toBeLessThan(0.06);
      expect(idealBits(coded.distortion) - coded.bits).toBeGreaterThan(gain);
    },
  );

  test.each([0.05, 0.35, 1, 2, 5])(
    'coded size is within 1 % of the code length of the model, spread %d steps',
    (scale) => {
      const columns = 512;
      const rows = 128;
      const { chunks, byteLength } = encode(
        wasm,
        { columns },
        gaussians(rows * columns, 21).map((x) => x * scale),
      );
      let codeLength = 0;
      const decoder = new RangeDecoder(chunks[0]);
      const counting: BitCoder = {
        decoding: true,
        bit(contexts: Contexts, context: number, value: number, fast: number, slow: number): number {
          const zero = contexts.zero(context) / 32_768;
          const bit = decoder.bit(contexts, context, value, fast, slow);
          codeLength -= Math.log2(bit === 0 ? zero : 1 - zero);
          return bit;
        },
        raw(value: number, bits: number): number {
          codeLength += bits;
          return decoder.raw(value, bits);
        },
      };
      const model = new MatrixModel(columns, 1);
      const codes = new Int16Array(columns);
      for (let row = 0; row < rows; row++) {
        if (model.codeRowStart(counting, undefined)) continue;
        model.prepareLevels();
        model.codeEntries(counting, codes, 0, columns);
        model.updateAverages(codes);
      }
      expect(byteLength * 8).toBeLessThan(codeLength * 1.01 + 24);
    },
  );

  test('zeros cost next to nothing: one entry in 4096 that is not takes about three bytes', () => {
    const columns = 4096;
    const values = new Float32Array(256 * columns);
    const next = randomBits(4);
    for (let row = 0; row < 256; row++) values[row * columns + (next() % columns)] = 3;
    expect(encode(wasm, { columns }, values).byteLength / 256).toBeLessThan(3.2);
    expect(encode(wasm, { columns, states: 8 }, values).byteLength / 256).toBeLessThan(6);
  });
});

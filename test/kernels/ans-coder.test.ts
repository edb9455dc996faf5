import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Kernels } from '../../src/kernels/kernels.js';
import { loadKernels } from '../../src/kernels/load-kernels.js';
import { decodeRows, type EncodedRows, encodeRows } from './code-rows.js';
import { gaussians } from './gaussians.js';
import { idealBits } from './ideal-quantizer.js';
import { KINDS, matrixOf } from './matrices.js';
import { plainAnsDecode } from './plain-ans-decoder.js';
import { bytesOf, PATHS, randomBytes, scalar, wasm } from './samples.js';

/** Encodes rows with a chunk border after every `chunkRows` of them. */
function encode(
  kernels: Kernels,
  columns: number,
  values: Float32Array,
  how: Parameters<typeof encodeRows>[3] = {},
): EncodedRows {
  return encodeRows(kernels.createAnsEncoder(columns), columns, values, how);
}

function decode(
  kernels: Kernels,
  columns: number,
  chunks: readonly Uint8Array[],
  rows: number,
  chunkRows = rows,
): Int16Array {
  return decodeRows(kernels.createAnsDecoder(columns), columns, chunks, rows, chunkRows);
}

describe('wasm and scalar give the same bytes and codes, and both decode them', () => {
  test('any shape, values and chunks', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.oneof(fc.integer({ min: 1, max: 70 }), fc.constantFrom(128, 255, 400)),
        fc.integer({ min: 0, max: KINDS - 1 }),
        fc.constantFrom(0, 0.03, 0.1, 1, 50),
        fc.integer({ min: 1, max: 40 }),
        fc.nat(),
        (rows, columns, kind, lambda, chunkRows, seed) => {
          const values = matrixOf(rows, columns, kind, seed);
          const [fast, plain] = [wasm, scalar].map((kernels) =>
            encode(kernels, columns, values, { lambda, chunkRows }),
          );
          expect(bytesOf(fast.codes).equals(bytesOf(plain.codes))).toBe(true);
          expect(fast.chunks).toEqual(plain.chunks);
          for (const kernels of [wasm, scalar]) {
            const out = decode(kernels, columns, fast.chunks, rows, chunkRows);
            expect(bytesOf(out).equals(bytesOf(fast.codes))).toBe(true);
          }
        },
      ),
      { numRuns: 120 },
    );
  });

  test('rows longer than a call takes, and as many entries as are counted before rows are left out', () => {
    for (const [rows, columns] of [
      [3, 20_000],
      [90, 2048],
    ] as const) {
      const values = matrixOf(rows, columns, rows === 3 ? 1 : 0, columns);
      const [fast, plain] = [wasm, scalar].map((kernels) => encode(kernels, columns, values));
      expect(bytesOf(fast.codes).equals(bytesOf(plain.codes))).toBe(true);
      expect(fast.chunks).toEqual(plain.chunks);
      expect(bytesOf(decode(wasm, columns, fast.chunks, rows)).equals(bytesOf(fast.codes))).toBe(true);
    }
  });

  test('every level, from rows of zeros to escapes', () => {
    for (const deviation of [0.2, 0.35, 0.6, 1.2, 6, 80, 2000]) {
      const values = gaussians(64 * 256, 11).map((x) => x * deviation);
      // One row in eight is louder than its levels say.
      for (let i = 0; i < values.length; i += 8 * 256) values.subarray(i, i + 256 / 8).fill(40 * deviation);
      const [fast, plain] = [wasm, scalar].map((kernels) => encode(kernels, 256, values));
      expect(fast.chunks).toEqual(plain.chunks);
      for (const kernels of [wasm, scalar]) {
        expect(bytesOf(decode(kernels, 256, fast.chunks, 64)).equals(bytesOf(plain.codes))).toBe(true);
      }
    }
  });

  test('random bytes decode to the same bounded codes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.nat(200), fc.nat(), (columns, length, seed) => {
        const chunks = [randomBytes(length, seed), randomBytes(length, seed + 1)];
        const [fast, plain] = [wasm, scalar].map((kernels) => decode(kernels, columns, chunks, 40, 20));
        expect(bytesOf(fast).equals(bytesOf(plain))).toBe(true);
        expect(fast.every((code) => Math.abs(code) <= 32_766)).toBe(true);
      }),
      { numRuns: 150 },
    );
  });

  test.each([0x00, 0xff])('endless bytes 0x%s and a cut chunk decode to something bounded', (byte) => {
    const whole = encode(wasm, 300, gaussians(30_000, 3)).chunks[0];
    for (const bytes of [new Uint8Array(5000).fill(byte), whole.subarray(0, whole.length >> 1)]) {
      const [fast, plain] = [wasm, scalar].map((kernels) => decode(kernels, 300, [bytes], 100));
      expect(bytesOf(fast).equals(bytesOf(plain))).toBe(true);
      expect(fast.every((code) => Math.abs(code) <= 32_766)).toBe(true);
    }
  });
});

describe('a decoder written from the specification', () => {
  test('gives the same codes', () => {
    for (let kind = 0; kind < KINDS; kind++) {
      const [rows, columns] = [60, 75];
      const { codes, chunks } = encode(wasm, columns, matrixOf(rows, columns, kind, 30 + kind), {
        chunkRows: 23,
      });
      const parts = chunks.map((bytes, i) => ({ bytes, rows: Math.min(23, rows - i * 23) }));
      expect(plainAnsDecode(columns, parts)).toEqual([...codes]);
    }
  });

  test('gives the same codes behind the entries that are all counted', () => {
    const values = matrixOf(150, 1024, 1, 9);
    const { codes, chunks } = encode(wasm, 1024, values);
    const plain = plainAnsDecode(1024, [{ bytes: chunks[0], rows: 150 }]);
    expect(bytesOf(Int16Array.from(plain)).equals(bytesOf(codes))).toBe(true);
  });

  test('gives the same codes on random bytes', () => {
    for (let seed = 0; seed < 20; seed++) {
      const bytes = randomBytes(seed * 40, seed);
      expect(plainAnsDecode(50, [{ bytes, rows: 50 }])).toEqual([...decode(wasm, 50, [bytes], 50)]);
    }
  });
});

describe.each(PATHS)('%s', (path) => {
  const kernels = loadKernels(path);

  test('codes are even half steps, within half a step of the value without a cost of bits', () => {
    const values = gaussians(4000, 5).map((x) => x * 6);
    const { codes } = encode(kernels, 40, values, { lambda: 0 });
    expect(codes.every((code, i) => code % 2 === 0 && Math.abs(values[i] - code / 2) <= 0.5)).toBe(true);
  });

  test('values beyond the codes saturate, and what is no number is 0', () => {
    const values = Float32Array.of(1e9, -1e9, Number.POSITIVE_INFINITY, Number.NaN, 16_383, -16_384);
    const { codes } = encode(kernels, 6, values, { lambda: 0 });
    expect([...codes]).toEqual([32_766, -32_766, 32_766, 0, 32_766, -32_766]);
  });

  test('takes the bits of the ideal entropy-coded scalar quantiser, or up to 2 % more', () => {
    const [rows, columns] = [path === 'wasm' ? 256 : 48, 512];
    for (const step of [1.87, 1.01, 0.3]) {
      const values = gaussians(rows * columns, 21).map((x) => x / step);
      const { codes, byteLength } = encode(kernels, columns, values);
      let [energy, inner, square] = [0, 0, 0];
      for (const [i, value] of values.entries()) {
        energy += value * value;
        inner += value * codes[i];
        square += codes[i] * codes[i];
      }
      const distortion = 1 - (inner * inner) / square / energy;
      const bits = (8 * byteLength) / values.length;
      expect(bits).toBeLessThan(1.02 * idealBits(distortion) + (path === 'wasm' ? 0 : 0.03));
    }
  });

  test('a matrix of zeros takes 64 bytes, a fresh lane each, and next to nothing a row', () => {
    const { codes, byteLength } = encode(kernels, 1000, new Float32Array(100_000));
    expect(codes.every((code) => code === 0)).toBe(true);
    expect(byteLength).toBeLessThan(64 + 100);
    const encoder = kernels.createAnsEncoder(0);
    encoder.encodeRows({ values: new Float32Array(0), rows: 7, lambda: 1, codes: new Int16Array(0) });
    expect(encoder.endChunk().length).toBe(64);
  });

  test('a heavier column gets the smaller error', () => {
    const columnWeights = Float32Array.from({ length: 64 }, (_, j) => (j < 32 ? 4 : 0.25));
    const values = gaussians(64 * 64, 8);
    const { codes } = encode(kernels, 64, values, { columnWeights });
    const errors = [0, 0];
    for (const [i, value] of values.entries()) errors[i % 64 < 32 ? 0 : 1] += (value - codes[i] / 2) ** 2;
    expect(errors[0]).toBeLessThan(errors[1] * 0.6);
  });

  test('every coder starts afresh, also in memory that another one used', () => {
    const values = gaussians(6400, 9);
    const first = encode(kernels, 64, values);
    const loud = values.map((x) => x * 9);
    encode(kernels, 640, loud);
    const encoder = kernels.createMatrixEncoder({ columns: 64 });
    encoder.encodeRows({ values, rows: 100, lambda: 0.1, codes: new Int16Array(6400) });
    const bytes = encoder.endChunk();
    encoder.free();
    expect(encode(kernels, 64, values)).toEqual(first);
    const again = kernels.createMatrixEncoder({ columns: 64 });
    again.encodeRows({ values, rows: 100, lambda: 0.1, codes: new Int16Array(6400) });
    expect(again.endChunk()).toEqual(bytes);
  });

  test('a freed coder throws TypeError, wrong arguments RangeError', () => {
    const encoder = kernels.createAnsEncoder(4);
    const decoder = kernels.createAnsDecoder(4);
    const request = { values: new Float32Array(8), rows: 2, lambda: 0.1, codes: new Int16Array(8) };
    expect(() => encoder.encodeRows({ ...request, rows: 3 })).toThrow(
      'values: expected a length of 12, got 8',
    );
    expect(() => encoder.encodeRows({ ...request, codes: new Int16Array(7) })).toThrow(RangeError);
    expect(() => encoder.encodeRows({ ...request, lambda: Number.NaN })).toThrow(RangeError);
    expect(() => decoder.decodeRows(2, new Int16Array(9))).toThrow(RangeError);
    expect(() => kernels.createAnsEncoder(2 ** 24 + 1)).toThrow('columns: expected');
    encoder.free();
    decoder.free();
    expect(() => encoder.encodeRows(request)).toThrow(TypeError);
    expect(() => encoder.endChunk()).toThrow(TypeError);
    expect(() => decoder.beginChunk(new Uint8Array(4))).toThrow(TypeError);
    expect(() => decoder.decodeRows(2, new Int16Array(8))).toThrow(TypeError);
    encoder.free();
  });
});

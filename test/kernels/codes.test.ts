import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadKernels } from '../../src/kernels/load-kernels.js';
import {
  atOffset,
  bytesOf,
  normalFloats,
  PATHS,
  randomBits,
  randomBytes,
  randomIntegers,
  SIZES,
  scalar,
  wasm,
} from './samples.js';

const bits = fc.integer({ min: 1, max: 16 });
const size = fc.oneof(fc.constantFrom(...SIZES), fc.nat(70));

function randomCodes(count: number, width: number, seed: number): Int16Array {
  const next = randomBits(seed);
  return Int16Array.from({ length: count }, () => (next() << (32 - width)) >> (32 - width));
}

describe('wasm and scalar give the same bytes', () => {
  test('packCodes at any bit, the bits around it untouched', () => {
    fc.assert(
      fc.property(size, bits, fc.nat(40), fc.nat(), (count, width, bitOffset, seed) => {
        const codes = randomCodes(count, width, seed);
        const before = randomBytes(Math.ceil((bitOffset + count * width) / 8) + 3, seed + 1);
        const outputs = [wasm, scalar].map((kernels) => {
          const out = atOffset(before, seed % 8);
          kernels.packCodes(codes, width, out, bitOffset);
          return out;
        });
        expect(Buffer.compare(outputs[0], outputs[1])).toBe(0);
        const bitAt = (bytes: Uint8Array, bit: number) => (bytes[bit >> 3] >> (bit & 7)) & 1;
        for (let bit = 0; bit < bitOffset; bit++) expect(bitAt(outputs[0], bit)).toBe(bitAt(before, bit));
        for (let bit = bitOffset + count * width; bit < before.length * 8; bit++) {
          expect(bitAt(outputs[0], bit)).toBe(bitAt(before, bit));
        }
      }),
      { numRuns: 150 },
    );
  });

  test('unpackCodes inverts packCodes at any bit, start and stride', () => {
    fc.assert(
      fc.property(
        size,
        bits,
        fc.nat(40),
        fc.nat(5),
        fc.integer({ min: 1, max: 5 }),
        fc.nat(),
        (count, width, bitOffset, start, stride, seed) => {
          const codes = randomCodes(count, width, seed);
          // Exactly as many bytes as the codes need: nothing may be read behind them.
          const packed = atOffset(new Uint8Array(Math.ceil((bitOffset + count * width) / 8)), seed % 8);
          scalar.packCodes(codes, width, packed, bitOffset);
          const expected = new Int16Array(start + count * stride).fill(77);
          for (let i = 0; i < count; i++) expected[start + i * stride] = codes[i];
          for (const kernels of [wasm, scalar]) {
            const out = new Int16Array(expected.length).fill(77);
            kernels.unpackCodes(packed, width, count, out, { bitOffset, start, stride });
            expect(bytesOf(out).equals(bytesOf(expected))).toBe(true);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  test('accumulateCodes at odd shapes, int16 and int32', () => {
    const dimension = fc.constantFrom(0, 1, 3, 4, 5, 12, 13, 100);
    fc.assert(
      fc.property(
        dimension,
        fc.oneof(dimension, fc.constant(20_001)),
        fc.boolean(),
        fc.nat(),
        (rows, columns, wide, seed) => {
          const count = rows * columns;
          // Full range of both: |gain · q| stays below 2^31.
          const codes = wide
            ? Int32Array.from(randomIntegers(count, seed, 32_768))
            : randomCodes(count, 16, seed);
          const rowGains = Uint16Array.from(randomIntegers(rows, seed + 1, 32_767), (x) => x + 32_768);
          const scale = normalFloats(1, seed + 2)[0];
          const start = normalFloats(count, seed + 3, 1000);
          const outputs = [wasm, scalar].map((kernels) => {
            const out = start.slice();
            kernels.accumulateCodes({ codes, rowGains, rows, columns, scale, out });
            return bytesOf(out);
          });
          expect(outputs[0].equals(outputs[1])).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe.each(PATHS)('%s', (path) => {
  const kernels = loadKernels(path);

  test('code i takes bits [i·bits, (i+1)·bits), least significant first', () => {
    const out = new Uint8Array(3);
    kernels.packCodes(Int16Array.of(1, -1, 2, -4), 3, out);
    // 001, 111, 010, 100 → bits 0 to 11: 1 0 0 · 1 1 1 · 0 1 0 · 0 0 1
    expect([...out]).toEqual([0b10_111_001, 0b0000_100_0, 0]);
    const codes = new Int16Array(4);
    kernels.unpackCodes(out, 3, 4, codes);
    expect([...codes]).toEqual([1, -1, 2, -4]);
  });

  test('one-bit codes are 0 and −1, sixteen-bit codes take the full range', () => {
    const one = new Int16Array(8);
    kernels.unpackCodes(Uint8Array.of(0b1010_0001), 1, 8, one);
    expect([...one]).toEqual([-1, 0, 0, 0, 0, -1, 0, -1]);
    const out = new Uint8Array(6);
    kernels.packCodes(Int16Array.of(-32_768, 32_767, -1), 16, out);
    expect([...out]).toEqual([0x00, 0x80, 0xff, 0x7f, 0xff, 0xff]);
  });

  test('codes that do not fit, streams that are too short and bad widths are a RangeError', () => {
    const out = new Uint8Array(2);
    expect(() => kernels.packCodes(Int16Array.of(4), 3, out)).toThrow(
      'expected integers from -4 to 3 for 3 bits',
    );
    expect(() => kernels.packCodes(Int16Array.of(-5), 3, out)).toThrow(RangeError);
    expect(() => kernels.packCodes(new Int16Array(6), 3, out)).toThrow('expected at least 3 bytes, got 2');
    expect(() => kernels.unpackCodes(out, 17, 0, new Int16Array(1))).toThrow(RangeError);
    expect(() => kernels.unpackCodes(out, 4, 5, new Int16Array(9))).toThrow(
      'expected at least 3 bytes, got 2',
    );
    expect(() => kernels.unpackCodes(out, 4, 4, new Int16Array(3))).toThrow(RangeError);
    expect(() => kernels.unpackCodes(out, 4, 2, new Int16Array(3), { stride: 0 })).toThrow(RangeError);
  });

  test('accumulateCodes multiplies the exact integer product by the scale in float32', () => {
    const out = Float32Array.of(1, 0);
    const codes = Int16Array.of(-32_768, 3);
    kernels.accumulateCodes({
      codes,
      rowGains: Uint16Array.of(65_535),
      rows: 1,
      columns: 2,
      scale: 0.1,
      out,
    });
    const product = Math.fround(-32_768 * 65_535);
    expect(out[0]).toBe(Math.fround(1 + Math.fround(Math.fround(0.1) * product)));
    expect(out[1]).toBe(Math.fround(Math.fround(0.1) * 196_605));
  });
});

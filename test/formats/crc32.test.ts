import { crc32 as zlibCrc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32, formatCrc32 } from '../../formats/crc32.js';

describe('crc32', () => {
  it('of "123456789" is the check value of the algorithm', () => {
    expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926);
  });

  it('of no bytes is 0', () => {
    expect(crc32(new Uint8Array())).toBe(0);
  });

  it('equals zlib on any bytes at any alignment', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(7), (bytes, shift) => {
        const shifted = new Uint8Array(bytes.length + shift).subarray(shift);
        shifted.set(bytes);
        expect(crc32(shifted)).toBe(zlibCrc32(bytes));
      }),
    );
  });

  it('of a sequence does not depend on where it is cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), (bytes, cut) => {
        expect(crc32(bytes.subarray(cut), crc32(bytes.subarray(0, cut)))).toBe(crc32(bytes));
      }),
    );
  });

  it('is written with all its eight digits', () => {
    expect(formatCrc32(0x1f)).toBe('0000001f');
  });
});

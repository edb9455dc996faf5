/** Node's CRC-32 and ours are one. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crc32 } from '../../formats/crc32.js';
import { nodeCrc32 } from '../../src/io/node-crc32.js';

test('both give the same sum of any bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(nodeCrc32(bytes)).toBe(crc32(bytes));
    }),
  );
});

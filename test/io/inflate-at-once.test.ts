import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesSource } from '../../formats/byte-source.js';
import { inflateRaw } from '../../formats/deflate.js';
import { openArchive } from '../../formats/ere/open-archive.js';
import { inflateAtOnce } from '../../src/io/inflate-at-once.js';
import { buildArchive, smallIndex } from '../helpers/archive-builder.js';

const subject = { format: 'ere', file: 'a.ere', part: 'index' };

/** The bytes, or the message of the error. */
const outcome = (inflating: Promise<Uint8Array>) =>
  inflating.then(
    (bytes) => [...bytes],
    (error: Error) => error.message,
  );

describe('inflateAtOnce', () => {
  test('gives what was deflated, from nothing to several megabytes', () => {
    for (const length of [0, 1, 63, 64, 65, 100_000, 3_000_000]) {
      const bytes = new Uint8Array(length).map((_, i) => i % 251);
      expect(Buffer.from(inflateAtOnce(deflateRawSync(bytes), length)!).equals(Buffer.from(bytes))).toBe(
        true,
      );
    }
  });

  test('anything but one whole stream of the stated length is undefined', () => {
    const stored = deflateRawSync(Buffer.from('abcdefgh'.repeat(50)));
    expect(inflateAtOnce(stored, 400)?.byteLength).toBe(400);
    expect(inflateAtOnce(stored, 399)).toBeUndefined();
    expect(inflateAtOnce(stored, 401)).toBeUndefined();
    expect(inflateAtOnce(stored.subarray(0, -1), 400)).toBeUndefined();
    expect(inflateAtOnce(Buffer.concat([stored, Buffer.of(0)]), 400)).toBeUndefined();
    expect(inflateAtOnce(new Uint8Array(0), 0)).toBeUndefined();
    expect(inflateAtOnce(Uint8Array.of(0xff, 0xff), 1)).toBeUndefined();
  });

  test('with it or without, the same bytes and the same errors come out of any input', async () => {
    const damage = fc.record({
      bytes: fc.uint8Array({ maxLength: 300 }),
      lengthOff: fc.integer({ min: -1, max: 1 }),
      cut: fc.nat(2),
      flip: fc.option(fc.nat(400)),
      tail: fc.uint8Array({ maxLength: 2 }),
    });
    await fc.assert(
      fc.asyncProperty(damage, async ({ bytes, lengthOff, cut, flip, tail }) => {
        const deflated = deflateRawSync(bytes);
        if (flip !== null) deflated[flip % deflated.length]! ^= 1 << (flip % 8);
        const stored = Buffer.concat([deflated.subarray(0, deflated.length - cut), tail]);
        const length = Math.max(0, bytes.length + lengthOff);
        expect(await outcome(inflateRaw(stored, length, subject, inflateAtOnce))).toEqual(
          await outcome(inflateRaw(stored, length, subject)),
        );
      }),
      { numRuns: 200 },
    );
  });

  test('openArchive takes it for the index', async () => {
    const json = Buffer.from(JSON.stringify({ ...smallIndex(), chunks: [] }));
    const stored = deflateRawSync(json);
    const archive = buildArchive({
      indexEncoding: 1,
      index: new Uint8Array(stored),
      indexByteLength: json.byteLength,
    });
    const asked: number[] = [];
    const opening = openArchive(bytesSource('a.ere', archive), {
      inflate: (bytes, byteLength) => {
        asked.push(byteLength);
        return inflateAtOnce(bytes, byteLength);
      },
    });
    await expect(opening).rejects.toThrow(/chunk number under 0/); // as the index above lists no chunks
    expect(asked).toEqual([json.byteLength]);
  });
});

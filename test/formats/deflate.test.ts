import { deflateRawSync, inflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deflateRaw, inflateRaw } from '../../formats/deflate.js';
import { EreError, FormatError, LimitError } from '../../formats/errors.js';

const subject = { format: 'ere', file: 'a.ere', part: 'index' };

describe('deflateRaw and inflateRaw', () => {
  it('round trip any bytes, and zlib reads them', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 500 }), async (bytes) => {
        const deflated = await deflateRaw(bytes);
        expect(new Uint8Array(inflateRawSync(deflated))).toEqual(bytes);
        expect(await inflateRaw(deflated, bytes.length, subject)).toEqual(bytes);
      }),
      { numRuns: 30 },
    );
  });

  it('round trip more than one block', async () => {
    const bytes = Uint8Array.from({ length: 300_000 }, (_, i) => (i * i) >> 7);
    const inflated = await inflateRaw(await deflateRaw(bytes), bytes.length, subject);
    expect(Buffer.compare(inflated, bytes)).toBe(0);
  });

  it('equal input gives equal bytes', async () => {
    const bytes = new TextEncoder().encode('tensor '.repeat(1000));
    expect(await deflateRaw(bytes)).toEqual(await deflateRaw(bytes.slice()));
  });
});

describe('inflateRaw', () => {
  const text = new TextEncoder().encode('hello hello hello');
  const deflated = new Uint8Array(deflateRawSync(text));

  for (const [what, stored, byteLength, message] of [
    [
      'fewer bytes than declared',
      deflated,
      text.length + 1,
      'a.ere: index: expected 18 bytes after inflating, found 17',
    ],
    [
      'more bytes than declared',
      deflated,
      text.length - 1,
      'a.ere: index: expected 16 bytes after inflating, found more',
    ],
    ['a cut stream', deflated.subarray(0, -1), text.length, 'a.ere: index: malformed deflate data after'],
    ['no bytes at all', new Uint8Array(), 0, 'a.ere: index: malformed deflate data after 0 of 0 bytes'],
    [
      'a reserved block type',
      Uint8Array.of(7, 0, 0),
      5,
      'a.ere: index: malformed deflate data after 0 of 5 bytes',
    ],
    ['bytes behind the end', Uint8Array.of(...deflated, 0), text.length, 'found bytes behind its end'],
    [
      'a second stream behind the end',
      Uint8Array.of(...deflated, ...deflated),
      text.length,
      'found bytes behind its end',
    ],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const error = await inflateRaw(stored, byteLength, subject).catch((e) => e);
      expect(error).toBeInstanceOf(FormatError);
      expect(error.message).toContain(message);
    });
  }

  it('takes an empty stream', async () => {
    expect(await inflateRaw(Uint8Array.of(3, 0), 0, subject)).toEqual(new Uint8Array());
  });

  it('refuses a length deflate cannot reach before it allocates', async () => {
    await expect(inflateRaw(new Uint8Array(10), 10_321, subject)).rejects.toThrow(LimitError);
  });

  it('stops a bomb at the declared length', async () => {
    const bomb = new Uint8Array(deflateRawSync(Buffer.alloc(64_000_000)));
    const before = process.memoryUsage();
    await expect(inflateRaw(bomb, 1000, subject)).rejects.toThrow(
      'expected 1000 bytes after inflating, found more',
    );
    const after = process.memoryUsage();
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(4_000_000);
  });

  it('refuses damage and bytes behind the end in a stream of many slices', async () => {
    const bytes = Uint8Array.from({ length: 200_000 }, (_, i) => (i * i * 31) >> 9);
    const stored = new Uint8Array(deflateRawSync(bytes));
    expect(stored.length).toBeGreaterThan(20_000);
    const longer = new Uint8Array(stored.length + 50_000);
    longer.set(stored);
    await expect(inflateRaw(longer, bytes.length, subject)).rejects.toThrow('found bytes behind its end');
    await expect(inflateRaw(stored.subarray(0, 9000), bytes.length, subject)).rejects.toThrow(FormatError);
    await expect(inflateRaw(stored.fill(0xff, 9000, 9010), bytes.length, subject)).rejects.toThrow(
      FormatError,
    );
  });

  it('of random bytes ends, with our errors only', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), fc.nat(2000), async (stored, byteLength) => {
        const result = await inflateRaw(stored, byteLength, subject).catch((e) => e);
        expect(result instanceof EreError || result.byteLength === byteLength).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});

/** Codec "bytes": docs/spec/codecs.md §4. */
import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isEreError } from '../../formats/errors.js';
import { bytesCodec, encodeBytes } from '../../src/codecs/bytes.js';
import type { ExactDecoder } from '../../src/codecs/codec.js';
import { exactBytes } from '../helpers/independent-decoder.js';
import { type MadeTerm, madeTerm, openTerm } from '../helpers/terms.js';
import { randomBytes, wasm } from '../kernels/samples.js';

const SEGMENT = 4 << 20;

async function encode(
  bytes: Uint8Array,
  base: Uint8Array | undefined,
  elementByteLength: 0.5 | 1 | 2 | 4 | 8,
): Promise<MadeTerm> {
  const from = (source: Uint8Array) => async (offset: number, length: number) =>
    source.subarray(offset, offset + length);
  const dtype = ({ 0.5: 'F4', 1: 'U8', 2: 'BF16', 4: 'F32', 8: 'F64' } as const)[elementByteLength]!;
  return madeTerm(
    await encodeBytes({
      dtype,
      rowCount: 1,
      columns: bytes.byteLength / elementByteLength,
      rowByteLength: bytes.byteLength,
      read: from(bytes),
      ...(base === undefined
        ? {}
        : {
            prediction: {
              kind: 'base' as const,
              read: async (offset: number, length: number) => ({ bytes: await from(base)(offset, length) }),
            },
          }),
      kernels: wasm,
    }),
  );
}

async function open(
  term: MadeTerm,
  rows: number,
  rowByteLength: number,
  cut?: number,
): Promise<ExactDecoder> {
  const setting = {
    rows,
    columns: rowByteLength,
    rowByteLength,
    kernels: wasm,
    ...(cut === undefined ? {} : { cut }),
  };
  const decoder = await openTerm(bytesCodec, term, setting);
  if (decoder.kind !== 'exact') throw new TypeError('expected an exact term');
  return decoder;
}

/** Decodes rows in pieces of `pieceRows`. */
async function decode(
  term: MadeTerm,
  base: Uint8Array | undefined,
  rows: number,
  rowByteLength: number,
  pieceRows = Math.max(1, rows),
): Promise<Uint8Array> {
  const decoder = await open(term, rows, rowByteLength);
  const out = new Uint8Array(rows * rowByteLength);
  for (let offset = 0; offset < out.byteLength; offset += pieceRows * rowByteLength) {
    const piece = out.subarray(offset, offset + pieceRows * rowByteLength);
    const prediction = base && { bytes: base.subarray(offset, offset + piece.byteLength) };
    await decoder.decode(offset, prediction, piece);
  }
  decoder.close();
  return out;
}

describe('encode and decode', () => {
  it('give back any bytes, with and without a base, for every element width', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(0.5, 1, 2, 4, 8),
        fc.integer({ min: 0, max: 6 }),
        fc.integer({ min: 1, max: 5 }),
        fc.option(fc.nat(255), { nil: undefined }),
        fc.nat(),
        async (width, rows, columns, noise, seed) => {
          const rowByteLength = columns * Math.max(1, width);
          const bytes = randomBytes(rows * rowByteLength, seed);
          const base =
            noise === undefined ? undefined : bytes.map((byte, i) => (i % 3 ? byte : byte + noise));
          const term = await encode(bytes, base, width);
          const { predict } = term.params as { predict: string };
          const basis = predict === 'base' ? base : undefined;
          expect(await decode(term, basis, rows, rowByteLength, 2)).toEqual(bytes);
          const independent = exactBytes(term.params, (i) => term.chunks[i]!, bytes.byteLength, base);
          expect(new Uint8Array(independent)).toEqual(bytes);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('takes the difference where that is smaller, and plain bytes where not', async () => {
    const bytes = randomBytes(4096, 1);
    const close = Uint8Array.from(bytes, (byte, i) => (i % 2 === 0 ? byte - 1 : byte));
    const near = await encode(bytes, close, 2);
    expect(near.params).toMatchObject({ predict: 'base', word: 2, encodings: ['deflate-raw'] });
    expect(near.chunks[0]!.byteLength).toBeLessThan(600);
    const far = await encode(new Uint8Array(4096), bytes, 2);
    expect(far.params).toMatchObject({ predict: 'none', encodings: ['deflate-raw'] });
    expect(far.chunks[0]!.byteLength).toBeLessThan(40);
  });

  it('stores what deflate would not shrink: a term is never longer than its bytes', async () => {
    const term = await encode(randomBytes(4096, 2), undefined, 1);
    expect(term.params).toMatchObject({ encodings: ['stored'], word: 1 });
    expect(term.chunks[0]!.byteLength).toBe(4096);
  });

  it('has no chunk for no bytes', async () => {
    const term = await encode(new Uint8Array(0), new Uint8Array(0), 4);
    expect(term).toEqual({
      codec: 'bytes',
      params: { predict: 'none', word: 4, segment: SEGMENT, encodings: [] },
      chunks: [],
    });
    expect(await decode(term, undefined, 0, 4)).toEqual(new Uint8Array(0));
  });

  it('cuts the term into segments of 4 MiB, rows over their borders included', async () => {
    const [rows, rowByteLength] = [5, 1_048_584]; // 5 MiB and 40 bytes: a row lies on the border
    const words = new Uint32Array((rows * rowByteLength) / 4);
    for (let i = 0; i < words.length; i++) words[i] = Math.imul(i >>> 4, 0x9e3779b1);
    const bytes = new Uint8Array(words.buffer);
    const base = Uint8Array.from(bytes);
    for (let i = 0; i < base.length; i += 1000) base[i]! += 1;
    const term = await encode(bytes, base, 4);
    expect(term.params).toMatchObject({ predict: 'base', segment: SEGMENT });
    expect(term.chunks).toHaveLength(2);
    for (const pieceRows of [1, 3, 5]) {
      const decoded = await decode(term, base, rows, rowByteLength, pieceRows);
      expect(Buffer.from(decoded).equals(bytes)).toBe(true);
    }
  });
});

describe('payload layout', () => {
  it('is byte planes: all bytes 0 of the words, then all bytes 1', async () => {
    const bytes = Uint8Array.of(0x01, 0x10, 0x02, 0x20, 0x03, 0x30);
    const term = await encode(bytes, undefined, 2);
    expect(term.params).toEqual({ predict: 'none', word: 2, segment: SEGMENT, encodings: ['stored'] });
    expect([...term.chunks[0]!]).toEqual([0x01, 0x02, 0x03, 0x10, 0x20, 0x30]);
  });

  it('is the difference of whole words, modulo their width', async () => {
    const params = { predict: 'base', word: 2, segment: 4, encodings: ['stored', 'stored'] };
    // Planes of the words 0x0001 0xffff | 0x0100.
    const chunks = [Uint8Array.of(0x01, 0xff, 0x00, 0xff), Uint8Array.of(0x00, 0x01)];
    const base = Uint8Array.of(0xff, 0xff, 0x00, 0x00, 0x80, 0xff);
    // 0xffff + 1 = 0x0000, 0x0000 + 0xffff = 0xffff, 0xff80 + 0x0100 = 0x0080
    const decoded = await decode({ codec: 'bytes', params, chunks }, base, 3, 2);
    expect([...decoded]).toEqual([0x00, 0x00, 0xff, 0xff, 0x80, 0x00]);
  });

  it('a carry runs through all eight bytes of a word', async () => {
    const base = new Uint8Array(8).fill(0xff);
    const params = { predict: 'base', word: 8, segment: 8, encodings: ['stored'] };
    const chunks = [Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0)];
    expect(await decode({ codec: 'bytes', params, chunks }, base, 1, 8)).toEqual(new Uint8Array(8));
  });
});

describe('a hostile term', () => {
  const bytes = randomBytes(12, 3);
  const good: MadeTerm = {
    codec: 'bytes',
    params: { predict: 'none', word: 2, segment: 8, encodings: ['stored', 'deflate-raw'] },
    chunks: [bytes.subarray(0, 8), new Uint8Array(deflateRawSync(bytes.subarray(8)))],
  };
  const params = (change: Record<string, unknown>) => ({ params: { ...good.params, ...change } });
  const second = (chunk: Uint8Array) => ({ chunks: [good.chunks[0]!, chunk] });
  const deflated = (length: number) => new Uint8Array(deflateRawSync(new Uint8Array(length)));
  const cases: readonly (readonly [string, Partial<MadeTerm>, RegExp])[] = [
    [
      'an unknown prediction',
      params({ predict: 'parent' }),
      /"predict": expected one of none, base, reconstruction, found "parent"/,
    ],
    ['words of 3 bytes', params({ word: 3 }), /words of 3 bytes do not divide/],
    ['words of 16 bytes', params({ word: 16 }), /"word": expected an integer in \[1, 8\], found 16/],
    [
      'words that do not divide a segment',
      params({ word: 4, segment: 6 }),
      /words of 4 bytes do not divide segments of 6/,
    ],
    [
      'words that do not divide a row',
      params({ word: 8 }),
      /words of 8 bytes do not divide segments of 8 and rows of 6/,
    ],
    [
      'segments of no bytes',
      params({ segment: 0 }),
      /"segment": expected an integer in \[1, 268435456\], found 0/,
    ],
    ['segments over the limit of a chunk', params({ segment: 2 ** 29 }), /"segment"/],
    ['a chunk too few', { chunks: [bytes] }, /expected 2 chunks, found 1/],
    [
      'an encoding too few',
      params({ encodings: ['stored'] }),
      /"encodings": expected 2 of stored, deflate-raw/,
    ],
    ['an unknown encoding', params({ encodings: ['stored', 'zstd'] }), /"encodings"/],
    ['encodings that are no list', params({ encodings: 'stored' }), /"encodings"/],
    [
      'a stored segment that is short',
      { chunks: [bytes.subarray(0, 7), good.chunks[1]!] },
      /chunk 0 .* expected 8 bytes, found 7/,
    ],
    [
      'a deflated segment that is short',
      second(deflated(3)),
      /segment 1: expected 4 bytes after inflating, found 3/,
    ],
    [
      'a deflated segment that is long',
      second(deflated(5)),
      /segment 1: expected 4 bytes after inflating, found more/,
    ],
    ['a deflate bomb', second(deflated(1 << 20)), /segment 1: expected 4 bytes after inflating, found more/],
    [
      'a deflated segment of noise',
      second(Uint8Array.of(0xff, 0xff, 0xff)),
      /segment 1: malformed deflate data/,
    ],
    ['bytes behind the deflated ones', second(Uint8Array.of(...good.chunks[1]!, 0)), /segment 1/],
  ];
  for (const [name, change, message] of cases) {
    it(`with ${name} is refused, naming archive and tensor`, async () => {
      const error = await decode({ ...good, ...change }, undefined, 2, 6).catch((e) => e);
      expect(isEreError(error, 'ERE_CODEC', 'ERE_FORMAT')).toBe(true);
      expect(error.message).toMatch(/a\.ere, tensor "w"/);
      expect(error.message).toMatch(message);
    });
  }

  it('the valid one behind these tests is valid', async () => {
    const expected = exactBytes(good.params, (i) => good.chunks[i]!, 12, undefined);
    expect(await decode(good, undefined, 2, 6)).toEqual(new Uint8Array(expected));
  });

  it('that claims 256 MiB in a chunk of some bytes is refused before they are allocated', async () => {
    const before = process.memoryUsage().arrayBuffers;
    const term = {
      ...good,
      ...params({ segment: 2 ** 28, encodings: ['deflate-raw'] }),
      chunks: [deflated(9)],
    };
    const decoder = await open(term, 1, 2 ** 28);
    await expect(decoder.decode(0, undefined, new Uint8Array(8))).rejects.toThrow(
      'deflate reaches at most 1032:1',
    );
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20);
  });

  it('behind the cut of an archive cannot be decoded', async () => {
    const decoder = await open(good, 2, 6, 1);
    await expect(decoder.decode(0, undefined, new Uint8Array(12))).rejects.toThrow(
      'segment 1 lies behind the cut',
    );
  });
});

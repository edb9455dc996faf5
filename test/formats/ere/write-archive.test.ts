import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesSource } from '../../../formats/byte-source.js';
import { openArchive } from '../../../formats/ere/open-archive.js';
import { selectChunks } from '../../../formats/ere/select-chunks.js';
import { serializeIndex } from '../../../formats/ere/serialize-index.js';
import {
  type ArchiveDescription,
  archiveBytes,
  ChunkCollector,
  layoutArchive,
} from '../../../formats/ere/write-archive.js';
import { FormatError, LimitError } from '../../../formats/errors.js';
import { buildArchive, smallChunks, smallIndex } from '../../helpers/archive-builder.js';

const small = smallIndex() as unknown as ArchiveDescription;
const open = (bytes: Uint8Array) => openArchive(bytesSource('a.ere', bytes));

function collect(payloads: readonly Uint8Array[]): ChunkCollector {
  const collector = new ChunkCollector();
  for (const payload of payloads) collector.add(payload);
  return collector;
}

describe('archiveBytes', () => {
  it('is read back as it was described', async () => {
    const bytes = await archiveBytes(small, collect(smallChunks()).chunks);
    const archive = await open(bytes);
    const { chunks: _, ...description } = archive.index;
    expect(description).toEqual(small);
    expect(await archive.readChunk(1)).toEqual(smallChunks()[1]);
  });

  it('with a stored index differs from the hand-built archive only in the place of fields', async () => {
    const bytes = await archiveBytes(small, collect(smallChunks()).chunks, { indexEncoding: 'stored' });
    expect((await open(bytes)).index).toEqual((await open(buildArchive())).index);
    expect(bytes.length).toBe(buildArchive().length);
  });

  it('takes the smaller encoding of the index', async () => {
    const chunks = collect(smallChunks()).chunks;
    const [smallest, stored, deflated] = await Promise.all(
      (['smallest', 'stored', 'deflate-raw'] as const).map((indexEncoding) =>
        archiveBytes(small, chunks, { indexEncoding }),
      ),
    );
    expect(smallest).toEqual(deflated);
    expect(smallest.length).toBeLessThan(stored.length);
    expect((await open(stored)).index).toEqual((await open(smallest)).index);
  });

  it('stores an index that deflates further than a reader takes', async () => {
    const description = { ...small, generator: 'x'.repeat(1_000_000) };
    const bytes = await archiveBytes(description, collect(smallChunks()).chunks);
    expect(bytes.length).toBeGreaterThan(1_000_000);
    expect((await open(bytes)).index.generator).toBe(description.generator);
  });

  it('equal input gives equal bytes, whatever the order of its fields', async () => {
    const reversed = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(reversed);
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([key, field]) => [key, reversed(field)]),
      );
    };
    const chunks = collect(smallChunks()).chunks;
    expect(await archiveBytes(reversed(small) as ArchiveDescription, chunks)).toEqual(
      await archiveBytes(small, chunks),
    );
  });

  it('round trips any parameters, options and payloads', async () => {
    const value = fc.jsonValue({ depthSize: 'small', maxDepth: 5, stringUnit: 'grapheme' });
    const key = fc.string({ unit: 'grapheme' });
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(key, value),
        fc.dictionary(key, fc.oneof(fc.boolean(), fc.integer(), fc.string({ unit: 'grapheme' }))),
        fc.array(fc.uint8Array({ maxLength: 50 }), { minLength: 1, maxLength: 5 }),
        async (params, encoding, payloads) => {
          const chunks = [new Uint8Array(6), ...payloads];
          const description = smallIndex();
          description.encoding = encoding;
          description.sideFiles = [];
          description.tensors[0].terms = [
            { codec: 'low-rank', chunks: payloads.map((_, i) => i + 1), params },
          ];
          const bytes = await archiveBytes(
            description as unknown as ArchiveDescription,
            collect(chunks).chunks,
          );
          const archive = await open(bytes);
          expect(archive.index.tensors[0].terms[0].params).toEqual(params);
          expect(archive.index.encoding).toEqual(encoding);
          for (let i = 0; i < chunks.length; i++) expect(await archive.readChunk(i)).toEqual(chunks[i]);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('layoutArchive', () => {
  it('needs no payload, and its front is the archive up to the first chunk', async () => {
    const { chunks } = collect(smallChunks());
    const sizes = chunks.map(({ byteLength, crc32 }) => ({ byteLength, crc32 }));
    const { front, byteLength, index } = await layoutArchive(small, sizes);
    const whole = await archiveBytes(small, chunks);
    expect(whole.subarray(0, front.length)).toEqual(front);
    expect(byteLength).toBe(whole.length);
    expect(index).toEqual((await open(whole)).index);
  });

  it('refuses to write what a reader refuses', async () => {
    const { chunks } = collect(smallChunks());
    await expect(layoutArchive({ ...small, removed: ['w'] }, chunks)).rejects.toThrow(FormatError);
    await expect(layoutArchive({ ...small, removed: ['w'] }, chunks)).rejects.toThrow(
      /^archive to write: index\.removed/,
    );
    await expect(layoutArchive(small, chunks.slice(0, 2))).rejects.toThrow(
      'expected a chunk number under 2, found 2',
    );
    const large = [{ byteLength: 2 ** 28 + 1, crc32: 0 }, ...chunks.slice(1)];
    await expect(layoutArchive(small, large)).rejects.toThrow(LimitError);
    await expect(layoutArchive({ ...small, encoding: { ratio: Number.NaN } }, chunks)).rejects.toThrow(
      TypeError,
    );
  });
});

describe('serializeIndex', () => {
  const text = (params: Record<string, unknown>) => {
    const index = {
      ...small,
      tensors: [{ ...small.tensors[0], terms: [{ codec: 'c', chunks: [0], params }] }],
    };
    return new TextDecoder().decode(serializeIndex({ ...index, chunks: [] }));
  };

  it('writes the keys of free records in code-point order, and no white space', () => {
    expect(text({ '～': 1, '😀': 2, b: { 10: 0, 9: 0 }, a: [1, { d: 1, c: 1 }] })).toContain(
      '"params":{"a":[1,{"c":1,"d":1}],"b":{"10":0,"9":0},"～":1,"😀":2}',
    );
  });

  it('keeps the sign of a zero, and every bit of a number', () => {
    expect(text({ a: -0, b: 0.1 + 0.2, c: 5e-324, d: 1e21 })).toContain(
      '"params":{"a":-0,"b":0.30000000000000004,"c":5e-324,"d":1e+21}',
    );
  });

  it('starts with who wrote it and how', () => {
    expect(text({})).toMatch(
      /^\{"generator":"test","encoding":\{"budget":"ratio","lossless":false,"ratio":0\.06\},"base":\{/,
    );
  });
});

describe('ChunkCollector', () => {
  it('numbers chunks in the order in which they are added', () => {
    const collector = new ChunkCollector();
    expect(smallChunks().map((payload) => collector.add(payload))).toEqual([0, 1, 2]);
    expect(collector.chunks.map(({ byteLength }) => byteLength)).toEqual([6, 12, 3]);
  });

  it('deflates a blob only where that is smaller', async () => {
    const collector = new ChunkCollector();
    const repeated = new Uint8Array(1000);
    expect(await collector.addBlob(Uint8Array.of(1, 2))).toEqual({
      chunk: 0,
      byteLength: 2,
      encoding: 'stored',
    });
    expect(await collector.addBlob(repeated)).toEqual({
      chunk: 1,
      byteLength: 1000,
      encoding: 'deflate-raw',
    });
    expect(await collector.addBlob(new Uint8Array())).toEqual({
      chunk: 2,
      byteLength: 0,
      encoding: 'stored',
    });
    expect(collector.chunks[1].byteLength).toBeLessThan(50);
  });
});

describe('selectChunks', () => {
  it('moves chunks, and every reference with them', async () => {
    const ordered = selectChunks(small, collect(smallChunks()).chunks, [2, 0, 1]);
    const archive = await open(await archiveBytes(ordered.description, ordered.chunks));
    const { files, sideFiles, tensors } = archive.index;
    expect([files[0].header.chunk, tensors[0].terms[0].chunks[0], sideFiles[0].content?.chunk]).toEqual([
      1, 2, 0,
    ]);
    const [header, term, config] = smallChunks();
    expect(await archive.readBlob(files[0].header)).toEqual(header);
    expect(await archive.readChunk(2)).toEqual(term);
    expect(await archive.readChunk(0)).toEqual(config);
  });

  it('leaves out chunks that nothing refers to any more', async () => {
    const [w, b] = small.tensors;
    const shorter = { ...small, tensors: [{ ...w, terms: [] }, b] };
    const kept = selectChunks(shorter, collect(smallChunks()).chunks, [0, 2]);
    const archive = await open(await archiveBytes(kept.description, kept.chunks));
    expect(archive.index.chunks).toHaveLength(2);
    expect(await archive.readBlob(archive.index.sideFiles[0].content!)).toEqual(smallChunks()[2]);
  });

  it('refuses a chunk named twice, one that does not exist, and a reference to one left out', () => {
    const { chunks } = collect(smallChunks());
    for (const order of [
      [0, 1],
      [0, 1, 1],
      [0, 1, 3],
      [0, 1, 2, 2],
    ]) {
      expect(() => selectChunks(small, chunks, order)).toThrow(RangeError);
    }
  });
});

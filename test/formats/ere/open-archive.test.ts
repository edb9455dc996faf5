import { deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { bytesSource } from '../../../formats/byte-source.js';
import { openArchive } from '../../../formats/ere/open-archive.js';
import { FormatError, isEreError } from '../../../formats/errors.js';
import { buildArchive, digestOf, smallChunks, smallIndex } from '../../helpers/archive-builder.js';
import { recordingSource } from '../../helpers/recording-source.js';

const open = (bytes: Uint8Array, options = {}) => openArchive(bytesSource('a.ere', bytes), options);
const utf8 = (text: string) => new TextEncoder().encode(text);

describe('openArchive', () => {
  it('gives the index as it was written', async () => {
    const archive = await open(buildArchive());
    const { chunks, ...index } = archive.index;
    expect(index).toEqual(smallIndex());
    expect(chunks.map(([byteLength]) => byteLength)).toEqual([6, 12, 3]);
  });

  it('reads chunks where the index says they are', async () => {
    const bytes = buildArchive();
    const archive = await open(bytes);
    expect(archive.byteLength).toBe(bytes.length);
    expect(archive.isTruncated).toBe(false);
    expect([0, 1, 2, 3].map((i) => bytes.length - archive.chunkOffset(i))).toEqual([21, 15, 3, 0]);
    expect(await Promise.all([0, 1, 2].map((i) => archive.readChunk(i)))).toEqual(smallChunks());
    await expect(archive.readChunk(3)).rejects.toThrow(RangeError);
  });

  it('inflates blobs to their declared length', async () => {
    const text = utf8('{"a":1}'.repeat(20));
    const index = smallIndex();
    index.sideFiles[0] = {
      path: 'config.json',
      byteLength: text.length,
      digest: digestOf(text),
      content: { chunk: 2, byteLength: text.length, encoding: 'deflate-raw' },
    };
    const chunks = smallChunks();
    chunks[2] = deflateRawSync(text);
    const archive = await open(buildArchive({ index, chunks }));
    expect(await archive.readBlob(archive.index.sideFiles[0].content!)).toEqual(text);
    expect(await archive.readBlob(archive.index.files[0].header)).toEqual(utf8('HEADER'));
  });

  it('ignores fields it does not know and extensions that are not required', async () => {
    const index = smallIndex();
    Object.assign(index, {
      future: { a: [1] },
      extensions: { progressive: { required: false, prefixes: [10, 20] } },
    });
    Object.assign(index.tensors[0], { importance: 0.5 });
    const archive = await open(buildArchive({ index }));
    expect(archive.index.extensions).toEqual({ progressive: { required: false, prefixes: [10, 20] } });
    expect(archive.index.tensors[0]).toEqual(smallIndex().tensors[0]);
  });

  it('names like __proto__ are names like any other', async () => {
    const index = smallIndex();
    Object.assign(index.tensors[0], { name: '__proto__' });
    Object.assign(index.tensors[1], { name: 'constructor' });
    const json = JSON.stringify(index).replace(
      '"encoding":{',
      '"extensions":{"__proto__":{"required":false}},"encoding":{',
    );
    const archive = await open(buildArchive({ index: JSON.parse(json) }));
    expect(archive.index.tensors.map(({ name }) => name)).toEqual(['__proto__', 'constructor']);
    expect(Object.keys(archive.index.extensions!)).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>).required).toBe(undefined);
  });

  it('takes any codec unless it is told which ones there are', async () => {
    const index = smallIndex();
    index.codecs.push('wavelet');
    expect((await open(buildArchive({ index }))).index.codecs).toEqual(['low-rank', 'wavelet']);
  });

  it('an index that is no JSON is a FormatError that says where', async () => {
    await expect(open(buildArchive({ index: utf8('{"a":'), chunks: [] }))).rejects.toThrow(
      /^a\.ere: index: expected JSON: /,
    );
  });

  it('takes an archive without tensors', async () => {
    const index = { ...smallIndex(), codecs: [], files: [], sideFiles: [], tensors: [], removed: [] };
    expect((await open(buildArchive({ index, chunks: [] }))).index.tensors).toEqual([]);
  });

  it('takes tensors without elements and files without bytes', async () => {
    const index = smallIndex();
    index.tensors.push({
      name: 'empty',
      dtype: 'F32',
      shape: [0, 3],
      file: 0,
      digest: digestOf(''),
      columns: 1,
      terms: [],
    });
    index.sideFiles[0] = {
      path: '__init__.py',
      byteLength: 0,
      digest: digestOf(''),
      content: { chunk: 2, byteLength: 0, encoding: 'stored' },
    };
    const chunks = smallChunks();
    chunks[2] = new Uint8Array();
    const archive = await open(buildArchive({ index, chunks }));
    expect(await archive.readBlob(archive.index.sideFiles[0].content!)).toEqual(new Uint8Array());
  });
});

describe('reads', () => {
  it('one read opens a small archive, and none goes past what is there', async () => {
    const bytes = buildArchive();
    const source = recordingSource('a.ere', bytes);
    const archive = await openArchive(source);
    expect(source.reads).toEqual([[0, bytes.length]]);
    await archive.readChunk(1);
    expect(source.reads.slice(1)).toEqual([[bytes.length - 15, 12]]);
  });

  it('two reads open an archive whose index is longer than 64 KiB', async () => {
    const index = smallIndex();
    index.generator = 'x'.repeat(200_000);
    const source = recordingSource('a.ere', buildArchive({ index }));
    await openArchive(source);
    const indexEnd = source.byteLength - 21;
    expect(source.reads).toEqual([
      [0, 65536],
      [65536, indexEnd - 65536],
    ]);
  });

  it('chunks are not read on opening', async () => {
    const index = smallIndex();
    const chunks = smallChunks();
    chunks[1] = new Uint8Array(1_000_000);
    const source = recordingSource('a.ere', buildArchive({ index, chunks }));
    await openArchive(source);
    expect(source.reads).toEqual([[0, 65536]]);
  });
});

describe('a file cut short', () => {
  const bytes = buildArchive();
  const indexEnd = bytes.length - 21;

  it('is refused at every length', async () => {
    for (let length = 1; length < bytes.length; length++) {
      const error = await open(bytes.subarray(0, length)).catch((e) => e);
      expect(error).toBeInstanceOf(FormatError);
      const expected = length < 40 ? 'a prelude of 40 bytes' : `${bytes.length} bytes`;
      expect(error.message).toContain(`truncated: expected ${expected}, found ${length}`);
    }
  });

  it('gives the chunks before the cut where it is asked for', async () => {
    const chunks = smallChunks();
    for (let length = indexEnd; length < bytes.length; length++) {
      const archive = await open(bytes.subarray(0, length), { allowTruncated: true });
      expect(archive.isTruncated).toBe(true);
      expect(archive.byteLength).toBe(bytes.length);
      for (let chunk = 0; chunk < chunks.length; chunk++) {
        const whole = archive.chunkOffset(chunk + 1) <= length;
        expect(archive.hasChunk(chunk)).toBe(whole);
        const read = archive.readChunk(chunk);
        if (whole) expect(await read).toEqual(chunks[chunk]);
        else await expect(read).rejects.toThrow(`truncated: expected chunk ${chunk} to end at byte`);
      }
    }
  });

  it('is refused inside the index in any case', async () => {
    for (let length = 0; length < indexEnd; length++) {
      const error = await open(bytes.subarray(0, length), { allowTruncated: true }).catch((e) => e);
      expect(isEreError(error, 'ERE_FORMAT')).toBe(true);
    }
  });

  it('a whole archive is not truncated where a cut one would be taken', async () => {
    expect((await open(bytes, { allowTruncated: true })).isTruncated).toBe(false);
    const longer = new Uint8Array([...bytes, 0]);
    await expect(open(longer, { allowTruncated: true })).rejects.toThrow('1 trailing bytes');
  });
});

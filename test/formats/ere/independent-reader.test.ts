/**
 * A second reader, written from docs/spec/archive.md with nothing but node:zlib and node:crypto: what the
 * document says is enough to read what the writer writes.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { crc32, inflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { checkpointIdentity } from '../../../formats/ere/identity.js';
import { type ArchiveDescription, archiveBytes, ChunkCollector } from '../../../formats/ere/write-archive.js';
import { matrixView } from '../../../formats/matrix-view.js';
import { smallChunks, smallIndex } from '../../helpers/archive-builder.js';

// ---- the second implementation ----

interface Blob {
  chunk: number;
  byteLength: number;
  encoding: string;
}
interface Tensor {
  name: string;
  dtype: string;
  shape: number[];
  file: number;
  digest: string;
  columns: number;
  terms: { codec: string; chunks: number[]; params: unknown }[];
  base?: { name?: string; digest: string };
}
interface Index {
  base: { digest: string };
  decoded: { digest: string };
  files: { path: string; byteLength: number; header: Blob }[];
  sideFiles: { path: string; byteLength: number; digest: string; content?: Blob }[];
  tensors: Tensor[];
  chunks: [number, number][];
}

function readArchive(bytes: Buffer): { index: Index; chunks: Buffer[] } {
  // §3
  if (bytes.subarray(0, 8).toString('hex') !== '89455245310d0a1a') throw new Error('magic');
  if (crc32(bytes.subarray(0, 36)) !== bytes.readUInt32LE(36)) throw new Error('prelude checksum');
  if (bytes.readUInt32LE(32) !== 0) throw new Error('reserved');
  const encoding = bytes.readUInt32LE(8);
  const stored = bytes.subarray(40, 40 + bytes.readUInt32LE(12));
  if (crc32(stored) !== bytes.readUInt32LE(20)) throw new Error('index checksum');
  const json = encoding === 1 ? inflateRawSync(stored, { maxOutputLength: bytes.readUInt32LE(16) }) : stored;
  if (json.length !== bytes.readUInt32LE(16)) throw new Error('index length');
  if (Number(bytes.readBigUInt64LE(24)) !== bytes.length) throw new Error('archive length');
  const index: Index = JSON.parse(json.toString('utf8'));
  // §5
  let offset = 40 + stored.length;
  const chunks = index.chunks.map(([byteLength, checksum]) => {
    const chunk = bytes.subarray(offset, offset + byteLength);
    if (chunk.length !== byteLength || crc32(chunk) !== checksum) throw new Error('chunk');
    offset += byteLength;
    return chunk;
  });
  if (offset !== bytes.length) throw new Error('archive length');
  return { index, chunks };
}

function readBlob({ chunk, byteLength, encoding }: Blob, chunks: Buffer[]): Buffer {
  const bytes = encoding === 'deflate-raw' ? inflateRawSync(chunks[chunk]) : chunks[chunk];
  if (bytes.length !== byteLength) throw new Error('blob length');
  return bytes;
}

const digestOf = (bytes: Buffer | string) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

// §6
function identity(tensors: Tensor[]): string {
  const sorted = [...tensors].sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  const lines = sorted.map(
    (t) => `${JSON.stringify(t.name)}\t${t.dtype}\t${t.shape.join(',')}\t${t.digest}\n`,
  );
  return digestOf(lines.join(''));
}

// §7, for tensors without terms
function decodeFiles(index: Index, chunks: Buffer[], base: Map<string, Buffer>): Map<string, Buffer> {
  const files = index.files.map(({ header }) => [readBlob(header, chunks)]);
  for (const tensor of index.tensors) {
    const bytes = base.get(tensor.base?.name ?? tensor.name)!;
    if (digestOf(bytes) !== tensor.base?.digest || tensor.terms.length > 0) throw new Error('base');
    files[tensor.file].push(bytes);
  }
  return new Map(index.files.map(({ path }, i) => [path, Buffer.concat(files[i])]));
}

// §4.5
function defaultColumns(shape: number[]): number {
  const product = (dimensions: number[]) => dimensions.reduce((a, b) => a * b, 1);
  if (product(shape) === 0) return 1;
  let best = { columns: product(shape), smaller: 0 };
  for (let p = 1; p < shape.length; p++) {
    const columns = product(shape.slice(p));
    const smaller = Math.min(product(shape.slice(0, p)), columns);
    if (smaller > best.smaller) best = { columns, smaller };
  }
  return best.columns;
}

// ---- what it is checked with ----

describe('a reader written from the document', () => {
  it('reads what the writer writes, with a stored and with a deflated index', async () => {
    const collector = new ChunkCollector();
    const description = smallIndex();
    const header = Buffer.from('H'.repeat(500));
    description.files[0] = {
      path: 'm.safetensors',
      byteLength: 532,
      header: await collector.addBlob(header),
    };
    for (const payload of smallChunks().slice(1)) collector.add(payload);
    for (const indexEncoding of ['stored', 'deflate-raw'] as const) {
      const written = await archiveBytes(description as unknown as ArchiveDescription, collector.chunks, {
        indexEncoding,
      });
      const { index, chunks } = readArchive(Buffer.from(written));
      const { chunks: table, ...rest } = index;
      expect(rest).toEqual(description);
      expect(table).toHaveLength(3);
      expect(readBlob(index.files[0].header, chunks)).toEqual(header);
      expect(chunks[1].toString()).toBe('term payload');
      expect(digestOf(readBlob(index.sideFiles[0].content!, chunks))).toBe(index.sideFiles[0].digest);
    }
  });

  it('rebuilds the model file of the smallest archive', () => {
    const golden = readFileSync(new URL('../../../../test/golden/smallest.ere', import.meta.url));
    const { index, chunks } = readArchive(golden);
    expect(identity(index.tensors)).toBe(index.decoded.digest);
    expect(index.base.digest).toBe(index.decoded.digest);
    const files = decodeFiles(index, chunks, new Map([['w', Buffer.from([0x80, 0x3f])]]));
    const document = readFileSync(new URL('../../../../docs/spec/archive.md', import.meta.url), 'utf8');
    const [, stated] = /SHA-256 `([0-9a-f]{64})`/.exec(document)!;
    expect(digestOf(files.get('model.safetensors')!)).toBe(`sha256:${stated}`);
  });

  it('computes the same identity, also where UTF-16 order, tabs and quotes could mislead', async () => {
    const names = ['z', 'a\tb', '"', '\u0001', '\u2028', '～', '😀', '', 'a'];
    const tensors = names.map((name, i) => ({
      name,
      dtype: 'BF16' as const,
      shape: [i, 2].slice(0, i % 3),
      file: 0,
      digest: digestOf(name) as `sha256:${string}`,
      columns: 1,
      terms: [],
    }));
    expect(await checkpointIdentity(tensors)).toBe(identity(tensors));
  });

  it('chooses the same matrix view', () => {
    for (const shape of [
      [],
      [5],
      [0],
      [4, 6],
      [8, 4, 3, 3],
      [1, 4, 4],
      [2, 2, 2, 2],
      [3, 0, 2],
      [1, 1, 1],
      [6, 1, 6],
    ]) {
      expect(matrixView(shape).columns).toBe(defaultColumns(shape));
    }
  });
});

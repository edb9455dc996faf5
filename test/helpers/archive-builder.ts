/**
 * Builds `.ere` archives byte by byte, right or wrong, from the layout in docs/spec/archive.md alone:
 * nothing of the code under test is used here.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** Fields of the prelude; each follows from the rest of the archive unless it is given. */
export interface ArchiveParts {
  readonly magic?: readonly number[];
  readonly indexEncoding?: number;
  readonly indexStoredByteLength?: number;
  readonly indexByteLength?: number;
  readonly indexCrc32?: number;
  readonly archiveByteLength?: bigint;
  readonly reserved?: number;
  readonly preludeCrc32?: number;
  /** A JSON value, or the stored bytes of the index. Its `chunks` follow from `chunks` unless given. */
  readonly index?: Record<string, unknown> | Uint8Array;
  readonly chunks?: readonly Uint8Array[];
  /** Bytes behind the last chunk. */
  readonly trailing?: Uint8Array;
}

export function buildArchive(parts: ArchiveParts = {}): Uint8Array {
  const chunks = parts.chunks ?? smallChunks();
  const index = parts.index ?? smallIndex();
  const stored =
    index instanceof Uint8Array
      ? index
      : new TextEncoder().encode(
          JSON.stringify({ chunks: chunks.map((c) => [c.byteLength, crc32(c)]), ...index }),
        );
  const chunksByteLength = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);

  const prelude = Buffer.alloc(40);
  prelude.set(parts.magic ?? [0x89, 0x45, 0x52, 0x45, 0x31, 0x0d, 0x0a, 0x1a], 0); // magic, version 1
  prelude.writeUInt32LE(parts.indexEncoding ?? 0, 8); // 0 stored, 1 deflate-raw
  prelude.writeUInt32LE(parts.indexStoredByteLength ?? stored.byteLength, 12);
  prelude.writeUInt32LE(parts.indexByteLength ?? stored.byteLength, 16); // after inflating
  prelude.writeUInt32LE(parts.indexCrc32 ?? crc32(stored), 20);
  prelude.writeBigUInt64LE(parts.archiveByteLength ?? BigInt(40 + stored.byteLength + chunksByteLength), 24);
  prelude.writeUInt32LE(parts.reserved ?? 0, 32);
  prelude.writeUInt32LE(parts.preludeCrc32 ?? crc32(prelude.subarray(0, 36)), 36); // over bytes 0..35
  return new Uint8Array(Buffer.concat([prelude, stored, ...chunks, parts.trailing ?? new Uint8Array()]));
}

/** Digest of some bytes, computed here so that indexes look real. */
export function digestOf(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Payloads of {@link smallIndex}: a header, a term, a side file. */
export function smallChunks(): Uint8Array[] {
  return ['HEADER', 'term payload', '{}\n'].map((text) => new TextEncoder().encode(text));
}

/** A valid index over {@link smallChunks}, without its chunk table; change what a test is about. */
export function smallIndex() {
  return {
    generator: 'test',
    encoding: { budget: 'ratio', ratio: 0.06, lossless: false } as Record<string, unknown>,
    base: { name: 'base', revision: 'main', digest: digestOf('base'), tensorCount: 3 } as Record<
      string,
      unknown
    >,
    decoded: { digest: digestOf('decoded') },
    codecs: ['low-rank'],
    files: [
      // 6 bytes of header, 24 of "w", 8 of "b"
      { path: 'model.safetensors', byteLength: 38, header: { chunk: 0, byteLength: 6, encoding: 'stored' } },
    ] as Record<string, unknown>[],
    sideFiles: [
      {
        path: 'config.json',
        byteLength: 3,
        digest: digestOf('{}\n'),
        content: { chunk: 2, byteLength: 3, encoding: 'stored' },
      },
      { path: 'tokenizer/vocab.txt', byteLength: 10, digest: digestOf('vocab') },
    ] as Record<string, unknown>[],
    tensors: [
      {
        name: 'w',
        dtype: 'F32',
        shape: [2, 3],
        file: 0,
        digest: digestOf('w'),
        base: { digest: digestOf('base w') },
        columns: 3,
        terms: [{ codec: 'low-rank', rows: [0, 2], chunks: [1], params: { rank: 1, scale: 0.5 } }],
        quality: { squaredError: 0.25, squaredResidual: 4 },
      },
      {
        name: 'b',
        dtype: 'BF16',
        shape: [4],
        file: 0,
        digest: digestOf('b'),
        base: { name: 'bias', dtype: 'F32', shape: [2, 2], digest: digestOf('base b') },
        columns: 4,
        terms: [],
      },
    ] as Record<string, unknown>[],
    removed: ['gone'],
  };
}

/**
 * Building an archive. The index stands in front of the chunks, so chunks are collected first, then the
 * front (prelude and index) is laid out, then front and chunks go to the file in that order. Nothing in
 * the bytes depends on time, place or the order of work.
 */
import { crc32 } from '../crc32.js';
import { deflateRaw } from '../deflate.js';
import { LIMITS } from '../limits.js';
import type { ArchiveIndex, ChunkBlob } from './archive-index.js';
import { parseIndex } from './parse-index.js';
import { type IndexEncoding, PRELUDE_BYTE_LENGTH, parsePrelude, serializePrelude } from './prelude.js';
import { serializeIndex } from './serialize-index.js';

/** Names the archive in the errors of the checks that a writer runs on its own output. */
const WRITTEN = 'archive to write';

/** A chunk's payload with what the index records of it. */
export interface ArchiveChunk {
  readonly byteLength: number;
  /** CRC-32 of the bytes. */
  readonly crc32: number;
  readonly bytes: Uint8Array;
}

/** Everything of the index but the chunk table, which follows from the chunks. */
export type ArchiveDescription = Omit<ArchiveIndex, 'chunks'>;

export interface LayoutOptions {
  /** How the index is stored. Default 'smallest': deflated where that is smaller and a reader takes it. */
  readonly indexEncoding?: IndexEncoding | 'smallest';
}

export interface ArchiveLayout {
  /** Prelude and index: the archive up to its first chunk. */
  readonly front: Uint8Array;
  /** Length of the whole archive. */
  readonly byteLength: number;
  /** The index as a reader will see it. */
  readonly index: ArchiveIndex;
}

/** Collects the chunks of an archive; their numbers are what the index refers to. */
export class ChunkCollector {
  readonly #chunks: ArchiveChunk[] = [];

  /** In the order in which they were added. */
  get chunks(): readonly ArchiveChunk[] {
    return this.#chunks;
  }

  /**
   * Adds a payload, which must not change afterwards.
   * @returns the number of its chunk.
   */
  add(bytes: Uint8Array): number {
    return this.#chunks.push({ byteLength: bytes.byteLength, crc32: crc32(bytes), bytes }) - 1;
  }

  /** Adds bytes as one chunk, deflated where that is smaller. */
  async addBlob(bytes: Uint8Array): Promise<ChunkBlob> {
    const deflated = await deflateRaw(bytes);
    const encoding = deflated.byteLength < bytes.byteLength ? 'deflate-raw' : 'stored';
    const chunk = this.add(encoding === 'stored' ? bytes : deflated);
    return { chunk, byteLength: bytes.byteLength, encoding };
  }
}

/**
 * Lays out an archive: the bytes before the first chunk, and the length of the whole. The chunks' payloads
 * are not needed; the caller writes them behind `front` in their order.
 * @throws FormatError, LimitError: what a reader of the result would throw.
 */
export async function layoutArchive(
  description: ArchiveDescription,
  chunks: readonly Pick<ArchiveChunk, 'byteLength' | 'crc32'>[],
  options: LayoutOptions = {},
): Promise<ArchiveLayout> {
  const { indexEncoding = 'smallest' } = options;
  const json = serializeIndex({
    ...description,
    chunks: chunks.map(({ byteLength, crc32 }) => [byteLength, crc32]),
  });
  const index = parseIndex(json, { file: WRITTEN });
  const deflated = indexEncoding === 'stored' ? json : await deflateRaw(json);
  const isSmaller = deflated.byteLength < json.byteLength;
  const isReadable = json.byteLength <= deflated.byteLength * LIMITS.archiveIndexDeflateRatio;
  const useDeflated =
    indexEncoding === 'deflate-raw' || (indexEncoding === 'smallest' && isSmaller && isReadable);
  const stored = useDeflated ? deflated : json;
  let byteLength = PRELUDE_BYTE_LENGTH + stored.byteLength;
  for (const chunk of chunks) byteLength += chunk.byteLength;
  const prelude = serializePrelude({
    indexEncoding: useDeflated ? 'deflate-raw' : 'stored',
    indexStoredByteLength: stored.byteLength,
    indexByteLength: json.byteLength,
    indexCrc32: crc32(stored),
    archiveByteLength: byteLength,
  });
  parsePrelude(prelude, WRITTEN);
  const front = new Uint8Array(PRELUDE_BYTE_LENGTH + stored.byteLength);
  front.set(prelude, 0);
  front.set(stored, PRELUDE_BYTE_LENGTH);
  return { front, byteLength, index };
}

/** A whole archive in memory; for archives of tests, pages and small models. */
export async function archiveBytes(
  description: ArchiveDescription,
  chunks: readonly ArchiveChunk[],
  options: LayoutOptions = {},
): Promise<Uint8Array> {
  const { front, byteLength } = await layoutArchive(description, chunks, options);
  const bytes = new Uint8Array(byteLength);
  bytes.set(front, 0);
  let offset = front.byteLength;
  for (const chunk of chunks) {
    bytes.set(chunk.bytes, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

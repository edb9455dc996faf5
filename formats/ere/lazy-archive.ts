/** Lazy access to an `.ere` archive whose index is known: chunks are read and checked when they are asked for, one read each. */
import type { ByteSource } from '../byte-source.js';
import { type Crc32, crc32, formatCrc32 } from '../crc32.js';
import { type InflateAtOnce, inflateRaw } from '../deflate.js';
import { FormatError, IntegrityError } from '../errors.js';
import type { ArchiveIndex, ChunkBlob } from './archive-index.js';

/** An open archive. Its source stays the caller's to close. */
export interface Archive {
  readonly source: ByteSource;
  readonly index: ArchiveIndex;
  /** Length of the whole archive, also where the file is cut short. */
  readonly byteLength: number;
  /** Whether the file is cut short. */
  readonly isTruncated: boolean;
  /** Offset of a chunk in the file, or of the archive's end for the number behind the last chunk. */
  chunkOffset(chunk: number): number;
  /** Whether the chunk lies wholly before the cut. */
  hasChunk(chunk: number): boolean;
  /**
   * The stored bytes of a chunk, checked against their CRC-32. The caller must not write to them.
   * @param room memory of at least the chunk's length, which may be used
   * @throws IntegrityError for damaged bytes; FormatError for a chunk behind the cut.
   */
  readChunk(chunk: number, room?: Uint8Array): Promise<Uint8Array>;
  /** The bytes of a blob, inflated where it is deflated. Errors as of readChunk, and FormatError. */
  readBlob(blob: ChunkBlob): Promise<Uint8Array>;
}

/** What opening an archive finds. Structured-cloneable, for other threads that open the same file. */
export interface ArchiveContents {
  /** Checked. */
  readonly index: ArchiveIndex;
  /** Offset of the first chunk in the file. */
  readonly chunksOffset: number;
}

/** The archive in `source`. @param inflate as of OpenArchiveOptions; @param checksum the runtime's own, likewise */
export function lazyArchive(
  source: ByteSource,
  contents: ArchiveContents,
  inflate?: InflateAtOnce,
  checksum: Crc32 = crc32,
): Archive {
  return new LazyArchive(source, contents, inflate, checksum);
}

/** @throws IntegrityError that names the subject */
export function assertCrc32(
  bytes: Uint8Array,
  expected: number,
  subject: string,
  checksum: Crc32 = crc32,
): void {
  const actual = checksum(bytes);
  if (actual !== expected) {
    throw new IntegrityError(
      subject,
      `CRC-32 ${formatCrc32(expected)}`,
      formatCrc32(actual),
      'the file is damaged: fetch it again',
    );
  }
}

class LazyArchive implements Archive {
  readonly source: ByteSource;
  readonly index: ArchiveIndex;
  readonly byteLength: number;
  readonly isTruncated: boolean;
  /** Per chunk its offset, and the end of the last one. */
  readonly #offsets: Float64Array;
  readonly #inflate: InflateAtOnce | undefined;
  readonly #checksum: Crc32;

  constructor(
    source: ByteSource,
    { index, chunksOffset }: ArchiveContents,
    inflate: InflateAtOnce | undefined,
    checksum: Crc32,
  ) {
    this.source = source;
    this.index = index;
    this.#inflate = inflate;
    this.#checksum = checksum;
    this.#offsets = new Float64Array(index.chunks.length + 1);
    this.#offsets[0] = chunksOffset;
    index.chunks.forEach(([byteLength], i) => {
      this.#offsets[i + 1] = this.#offsets[i] + byteLength;
    });
    this.byteLength = this.#offsets[index.chunks.length];
    this.isTruncated = source.byteLength < this.byteLength;
  }

  chunkOffset(chunk: number): number {
    const offset = this.#offsets[chunk];
    if (offset === undefined) {
      throw new RangeError(`expected a chunk number of at most ${this.index.chunks.length}, got ${chunk}`);
    }
    return offset;
  }

  hasChunk(chunk: number): boolean {
    return this.chunkOffset(chunk + 1) <= this.source.byteLength;
  }

  async readChunk(chunk: number, room?: Uint8Array): Promise<Uint8Array> {
    const offset = this.chunkOffset(chunk);
    const end = this.chunkOffset(chunk + 1);
    const file = this.source.name;
    if (!this.hasChunk(chunk)) {
      throw new FormatError(
        'ere',
        `truncated: expected chunk ${chunk} to end at byte ${end}, found a file of ${this.source.byteLength} bytes`,
        { file, offset },
      );
    }
    const bytes = await this.source.read(offset, end - offset, room?.subarray(0, end - offset));
    assertCrc32(bytes, this.index.chunks[chunk][1], `${file}, chunk ${chunk}`, this.#checksum);
    return bytes;
  }

  async readBlob({ chunk, byteLength, encoding }: ChunkBlob): Promise<Uint8Array> {
    const stored = await this.readChunk(chunk);
    if (encoding === 'stored') return stored;
    const subject = { format: 'ere', file: this.source.name, part: `chunk ${chunk}` };
    return inflateRaw(stored, byteLength, subject, this.#inflate);
  }
}

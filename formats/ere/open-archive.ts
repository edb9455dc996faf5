/**
 * Lazy access to an `.ere` archive: prelude and index are read and checked when it is opened, chunks when
 * they are asked for. A small index costs one read, any other two; each chunk costs one.
 */
import type { ByteSource } from '../byte-source.js';
import { crc32, formatCrc32 } from '../crc32.js';
import { type InflateAtOnce, inflateRaw } from '../deflate.js';
import { FormatError, IntegrityError } from '../errors.js';
import type { ArchiveIndex, ChunkBlob } from './archive-index.js';
import { parseIndex } from './parse-index.js';
import { PRELUDE_BYTE_LENGTH, type Prelude, parsePrelude } from './prelude.js';

/** First read; holds the index of most archives, and is one round trip over HTTP all the same. */
const FIRST_READ_BYTE_LENGTH = 64 * 1024;

export interface OpenArchiveOptions {
  /** Codecs the caller can decode; an archive that needs another is refused. Default: any codec is taken. */
  readonly codecs?: ReadonlySet<string>;
  /** Take a file that was cut off behind its index, and read the chunks before the cut; default false. */
  readonly allowTruncated?: boolean;
  /** The runtime's own inflater, where it has a faster one than the web's streams; default: the streams. */
  readonly inflate?: InflateAtOnce;
}

/** An open archive. Its source stays the caller's to close. */
export interface Archive {
  readonly source: ByteSource;
  readonly index: ArchiveIndex;
  /** Length of the whole archive, also where the file is cut short. */
  readonly byteLength: number;
  /** Whether the file is cut short; only ever with `allowTruncated`. */
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

/**
 * Opens an archive and checks prelude and index.
 * @throws FormatError (not an archive, cut short, trailing bytes, broken rule), UnsupportedError (version,
 * codec, dtype, extension), IntegrityError (checksum), LimitError (sizes over LIMITS).
 */
export async function openArchive(source: ByteSource, options: OpenArchiveOptions = {}): Promise<Archive> {
  const file = source.name;
  const head = await source.read(0, Math.min(FIRST_READ_BYTE_LENGTH, source.byteLength));
  const prelude = parsePrelude(head, file);
  const isTruncated = assertFileLength(source, prelude, options.allowTruncated ?? false);
  const indexBytes = await readIndexBytes(source, head, prelude, options.inflate);
  const chunksOffset = PRELUDE_BYTE_LENGTH + prelude.indexStoredByteLength;
  const index = parseIndex(indexBytes, {
    file,
    codecs: options.codecs,
    chunksByteLength: prelude.archiveByteLength - chunksOffset,
  });
  return new LazyArchive(source, index, chunksOffset, isTruncated, options.inflate);
}

/** Whether the file is cut short, where that is allowed; the index must be whole in any case. */
function assertFileLength(source: ByteSource, prelude: Prelude, allowTruncated: boolean): boolean {
  const { archiveByteLength: expected, indexStoredByteLength } = prelude;
  const found = source.byteLength;
  const fail = (message: string): never => {
    throw new FormatError('ere', message, { file: source.name });
  };
  if (found > expected) {
    return fail(
      `expected an archive of ${expected} bytes, found ${found}: ${found - expected} trailing bytes`,
    );
  }
  const indexEnd = PRELUDE_BYTE_LENGTH + indexStoredByteLength;
  if (found < indexEnd) {
    return fail(`truncated: expected ${expected} bytes, found ${found}; its index ends at byte ${indexEnd}`);
  }
  if (found < expected && !allowTruncated)
    return fail(`truncated: expected ${expected} bytes, found ${found}`);
  return found < expected;
}

async function readIndexBytes(
  source: ByteSource,
  head: Uint8Array,
  prelude: Prelude,
  inflate: InflateAtOnce | undefined,
): Promise<Uint8Array> {
  const file = source.name;
  const end = PRELUDE_BYTE_LENGTH + prelude.indexStoredByteLength;
  let stored = head.subarray(PRELUDE_BYTE_LENGTH, end);
  if (end > head.byteLength) {
    const rest = await source.read(head.byteLength, end - head.byteLength);
    const whole = new Uint8Array(prelude.indexStoredByteLength);
    whole.set(stored, 0);
    whole.set(rest, stored.byteLength);
    stored = whole;
  }
  assertCrc32(stored, prelude.indexCrc32, `${file}, index`);
  if (prelude.indexEncoding === 'stored') return stored;
  return inflateRaw(stored, prelude.indexByteLength, { format: 'ere', file, part: 'index' }, inflate);
}

function assertCrc32(bytes: Uint8Array, expected: number, subject: string): void {
  const actual = crc32(bytes);
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

  constructor(
    source: ByteSource,
    index: ArchiveIndex,
    chunksOffset: number,
    isTruncated: boolean,
    inflate: InflateAtOnce | undefined,
  ) {
    this.source = source;
    this.index = index;
    this.isTruncated = isTruncated;
    this.#inflate = inflate;
    this.#offsets = new Float64Array(index.chunks.length + 1);
    this.#offsets[0] = chunksOffset;
    index.chunks.forEach(([byteLength], i) => {
      this.#offsets[i + 1] = this.#offsets[i] + byteLength;
    });
    this.byteLength = this.#offsets[index.chunks.length];
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
    assertCrc32(bytes, this.index.chunks[chunk][1], `${file}, chunk ${chunk}`);
    return bytes;
  }

  async readBlob({ chunk, byteLength, encoding }: ChunkBlob): Promise<Uint8Array> {
    const stored = await this.readChunk(chunk);
    if (encoding === 'stored') return stored;
    const subject = { format: 'ere', file: this.source.name, part: `chunk ${chunk}` };
    return inflateRaw(stored, byteLength, subject, this.#inflate);
  }
}

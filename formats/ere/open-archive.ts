/** Opening an `.ere` archive: prelude and index are read and checked. A small index costs one read, any other two. */
import type { ByteSource } from '../byte-source.js';
import { type InflateAtOnce, inflateRaw } from '../deflate.js';
import { FormatError } from '../errors.js';
import { type Archive, assertCrc32, lazyArchive } from './lazy-archive.js';
import { parseIndex } from './parse-index.js';
import { PRELUDE_BYTE_LENGTH, type Prelude, parsePrelude } from './prelude.js';

export type { Archive } from './lazy-archive.js';

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

/**
 * Opens an archive and checks prelude and index.
 * @throws FormatError (not an archive, cut short, trailing bytes, broken rule), UnsupportedError (version,
 * codec, dtype, extension), IntegrityError (checksum), LimitError (sizes over LIMITS).
 */
export async function openArchive(source: ByteSource, options: OpenArchiveOptions = {}): Promise<Archive> {
  const file = source.name;
  const head = await source.read(0, Math.min(FIRST_READ_BYTE_LENGTH, source.byteLength));
  const prelude = parsePrelude(head, file);
  assertFileLength(source, prelude, options.allowTruncated ?? false);
  const indexBytes = await readIndexBytes(source, head, prelude, options.inflate);
  const chunksOffset = PRELUDE_BYTE_LENGTH + prelude.indexStoredByteLength;
  const index = parseIndex(indexBytes, {
    file,
    codecs: options.codecs,
    chunksByteLength: prelude.archiveByteLength - chunksOffset,
  });
  return lazyArchive(source, { index, chunksOffset }, options.inflate);
}

/** The file may be cut short where that is allowed; the index must be whole in any case. */
function assertFileLength(source: ByteSource, prelude: Prelude, allowTruncated: boolean): void {
  const { archiveByteLength: expected, indexStoredByteLength } = prelude;
  const found = source.byteLength;
  const fail = (message: string): never => {
    throw new FormatError('ere', message, { file: source.name });
  };
  if (found > expected) {
    fail(`expected an archive of ${expected} bytes, found ${found}: ${found - expected} trailing bytes`);
  }
  const indexEnd = PRELUDE_BYTE_LENGTH + indexStoredByteLength;
  if (found < indexEnd) {
    fail(`truncated: expected ${expected} bytes, found ${found}; its index ends at byte ${indexEnd}`);
  }
  if (found < expected && !allowTruncated) fail(`truncated: expected ${expected} bytes, found ${found}`);
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

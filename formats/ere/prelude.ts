/**
 * The first 40 bytes of an `.ere` archive (docs/spec/archive.md §3): what it is, which version, and the
 * lengths that bound everything behind them. Nothing is allocated on the word of an unchecked prelude.
 */
import { crc32, formatCrc32 } from '../crc32.js';
import { FormatError, IntegrityError, LimitError, UnsupportedError } from '../errors.js';
import { LIMITS } from '../limits.js';

/** Archive version that this build reads and writes; its ASCII digit is byte 4 of the magic. */
export const ARCHIVE_VERSION = 1;

/** `\x89ERE1\r\n\x1a`, after PNG's: a byte over 127, a name, and line ends that a text transfer breaks. */
export const ARCHIVE_MAGIC = Uint8Array.of(0x89, 0x45, 0x52, 0x45, 0x31, 0x0d, 0x0a, 0x1a);

export const PRELUDE_BYTE_LENGTH = 40;

/** Index encodings by their number in the prelude. */
const INDEX_ENCODINGS = ['stored', 'deflate-raw'] as const;
export type IndexEncoding = (typeof INDEX_ENCODINGS)[number];

/** Offset of the version inside the magic. */
const VERSION_OFFSET = 4;

export interface Prelude {
  readonly indexEncoding: IndexEncoding;
  /** Bytes of the index in the file. */
  readonly indexStoredByteLength: number;
  /** Bytes of the index after inflating. */
  readonly indexByteLength: number;
  /** CRC-32 of the stored index. */
  readonly indexCrc32: number;
  /** Length of the whole archive, prelude included. */
  readonly archiveByteLength: number;
}

export function serializePrelude(prelude: Prelude): Uint8Array {
  const bytes = new Uint8Array(PRELUDE_BYTE_LENGTH);
  const view = new DataView(bytes.buffer);
  bytes.set(ARCHIVE_MAGIC, 0);
  view.setUint32(8, INDEX_ENCODINGS.indexOf(prelude.indexEncoding), true);
  view.setUint32(12, prelude.indexStoredByteLength, true);
  view.setUint32(16, prelude.indexByteLength, true);
  view.setUint32(20, prelude.indexCrc32, true);
  view.setBigUint64(24, BigInt(prelude.archiveByteLength), true);
  view.setUint32(32, 0, true);
  view.setUint32(36, crc32(bytes.subarray(0, 36)), true);
  return bytes;
}

/**
 * Reads and checks the prelude in the first bytes of `head`.
 * @param file name of the archive, for messages.
 * @throws FormatError (not an archive, cut short, broken rule), UnsupportedError (version, index encoding),
 * IntegrityError (checksum), LimitError (index too long).
 */
export function parsePrelude(head: Uint8Array, file: string): Prelude {
  assertMagic(head, file);
  if (head.byteLength < PRELUDE_BYTE_LENGTH) {
    throw new FormatError(
      'ere',
      `truncated: expected a prelude of ${PRELUDE_BYTE_LENGTH} bytes, found ${head.byteLength}`,
      { file },
    );
  }
  const view = new DataView(head.buffer, head.byteOffset, PRELUDE_BYTE_LENGTH);
  const expectedCrc = view.getUint32(36, true);
  const actualCrc = crc32(head.subarray(0, 36));
  if (actualCrc !== expectedCrc) {
    throw new IntegrityError(
      `${file}, prelude`,
      `CRC-32 ${formatCrc32(expectedCrc)}`,
      formatCrc32(actualCrc),
      'the file is damaged: fetch it again',
    );
  }
  if (view.getUint32(32, true) !== 0) {
    throw new FormatError('ere', `expected 0 in a reserved field, found ${view.getUint32(32, true)}`, {
      file,
      offset: 32,
    });
  }
  const encodingNumber = view.getUint32(8, true);
  const indexEncoding = INDEX_ENCODINGS[encodingNumber];
  if (indexEncoding === undefined) {
    throw new UnsupportedError(
      `index encoding ${encodingNumber}`,
      `${file}: index encoding ${encodingNumber}; this build reads 0 (stored) and 1 (deflate-raw); use a newer version of ere`,
    );
  }
  const prelude: Prelude = {
    indexEncoding,
    indexStoredByteLength: view.getUint32(12, true),
    indexByteLength: view.getUint32(16, true),
    indexCrc32: view.getUint32(20, true),
    archiveByteLength: readUint64(view, 24, file),
  };
  assertLengths(prelude, file);
  return prelude;
}

function assertMagic(head: Uint8Array, file: string): void {
  if (head.byteLength === 0) throw new FormatError('ere', 'not an ERE archive: the file is empty', { file });
  const length = Math.min(head.byteLength, ARCHIVE_MAGIC.byteLength);
  const differs = (i: number) => head[i] !== ARCHIVE_MAGIC[i];
  const wrong = Array.from({ length }, (_, i) => i).filter(differs);
  if (wrong.length === 0) return;
  const version = head[VERSION_OFFSET];
  // Versions are ASCII digits, then letters.
  if (
    length === ARCHIVE_MAGIC.byteLength &&
    wrong.join() === `${VERSION_OFFSET}` &&
    /[0-9A-Za-z]/.test(String.fromCharCode(version))
  ) {
    const found = String.fromCharCode(version);
    throw new UnsupportedError(
      `archive version ${found}`,
      `${file}: archive version ${found}; this build reads version ${ARCHIVE_VERSION}; use a newer version of ere`,
    );
  }
  const found = [...head.subarray(0, length)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  const damaged = wrong[0] >= VERSION_OFFSET ? '; its magic is damaged, as by a transfer in text mode' : '';
  throw new FormatError('ere', `not an ERE archive: found ${found}${damaged}`, { file, offset: 0 });
}

function assertLengths(prelude: Prelude, file: string): void {
  const { indexEncoding, indexStoredByteLength: stored, indexByteLength, archiveByteLength } = prelude;
  for (const length of [indexByteLength, stored]) {
    if (length > LIMITS.archiveIndexByteLength) {
      throw new LimitError(
        `${file}: index of ${length} bytes; at most ${LIMITS.archiveIndexByteLength} are read`,
        LIMITS.archiveIndexByteLength,
        length,
      );
    }
  }
  if (indexEncoding === 'stored' && indexByteLength !== stored) {
    throw new FormatError(
      'ere',
      `expected a stored index of ${stored} bytes, found index length ${indexByteLength}`,
      {
        file,
        offset: 16,
      },
    );
  }
  const limit = stored * LIMITS.archiveIndexDeflateRatio;
  if (indexEncoding === 'deflate-raw' && indexByteLength > limit) {
    throw new LimitError(
      `${file}: index of ${indexByteLength} bytes deflated to ${stored}; at most ${LIMITS.archiveIndexDeflateRatio}:1 (${limit}) is read`,
      limit,
      indexByteLength,
    );
  }
  if (archiveByteLength < PRELUDE_BYTE_LENGTH + stored) {
    throw new FormatError(
      'ere',
      `expected an archive length of at least ${PRELUDE_BYTE_LENGTH} + ${stored} bytes (prelude, index), found ${archiveByteLength}`,
      { file, offset: 24 },
    );
  }
}

function readUint64(view: DataView, offset: number, file: string): number {
  const value = Number(view.getBigUint64(offset, true));
  if (!Number.isSafeInteger(value)) {
    throw new FormatError('ere', `expected an archive length under 2^53, found ${value}`, { file, offset });
  }
  return value;
}

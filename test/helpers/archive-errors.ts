/**
 * Malformed archives, one per rule that a reader checks, and what each is refused with. They are committed
 * under test/golden-errors/ere/; `node dist/test/helpers/write-archive-errors.js` writes them anew.
 */
import { crc32, deflateRawSync } from 'node:zlib';
import type { EreErrorCode } from '../../formats/errors.js';
import { buildArchive, smallChunks, smallIndex } from './archive-builder.js';

export interface ArchiveError {
  /** File name without `.ere`. */
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Chunk whose reading fails; opening fails when absent. */
  readonly chunk?: number;
  readonly code: EreErrorCode;
  /** The whole message. */
  readonly message: string;
}

/** What a decoder that knows the test's codecs passes to openArchive. */
export const TEST_CODECS: ReadonlySet<string> = new Set(['low-rank', 'exact']);

const valid = buildArchive();
const utf8 = (text: string) => new TextEncoder().encode(text);

export const ARCHIVE_ERRORS: readonly ArchiveError[] = [
  // Prelude
  format('empty', new Uint8Array(), 'not an ERE archive: the file is empty'),
  format(
    'not-an-archive',
    utf8('{"w":{"dtype":"F32"}}'),
    'byte 0: not an ERE archive: found 7b 22 77 22 3a 7b 22 64',
  ),
  format(
    'text-mode-transfer',
    valid.filter((byte) => byte !== 0x0d),
    'byte 0: not an ERE archive: found 89 45 52 45 31 0a 1a 00; its magic is damaged, as by a transfer in text mode',
  ),
  {
    name: 'version-2',
    bytes: buildArchive({ magic: [0x89, 0x45, 0x52, 0x45, 0x32, 0x0d, 0x0a, 0x1a] }),
    code: 'ERE_UNSUPPORTED',
    message: 'version-2.ere: archive version 2; this build reads version 1; use a newer version of ere',
  },
  format('prelude-cut', valid.subarray(0, 39), 'truncated: expected a prelude of 40 bytes, found 39'),
  integrity(
    'prelude-crc',
    buildArchive({ preludeCrc32: 0x01020304 }),
    'prelude',
    0x01020304,
    crc32(valid.subarray(0, 36)),
  ),
  format('reserved', buildArchive({ reserved: 7 }), 'byte 32: expected 0 in a reserved field, found 7'),
  {
    name: 'index-encoding',
    bytes: buildArchive({ indexEncoding: 2 }),
    code: 'ERE_UNSUPPORTED',
    message:
      'index-encoding.ere: index encoding 2; this build reads 0 (stored) and 1 (deflate-raw); use a newer version of ere',
  },
  limit(
    'index-over-limit',
    buildArchive({ indexEncoding: 1, indexByteLength: 0xffffffff }),
    'index of 4294967295 bytes; at most 100000000 are read',
  ),
  limit(
    'index-ratio',
    buildArchive({ index: new Uint8Array(16), chunks: [], indexEncoding: 1, indexByteLength: 50_000_000 }),
    'index of 50000000 bytes deflated to 16; at most 64:1 (1024) is read',
  ),
  format(
    'index-lengths-differ',
    buildArchive({ index: utf8('{}'), chunks: [], indexByteLength: 3 }),
    'byte 16: expected a stored index of 2 bytes, found index length 3',
  ),
  format(
    'archive-length-small',
    buildArchive({ index: utf8('{}'), chunks: [], archiveByteLength: 41n }),
    'byte 24: expected an archive length of at least 40 + 2 bytes (prelude, index), found 41',
  ),
  format(
    'archive-length-huge',
    buildArchive({ archiveByteLength: 2n ** 63n }),
    'byte 24: expected an archive length under 2^53, found 9223372036854776000',
  ),
  format(
    'truncated',
    valid.subarray(0, -1),
    `truncated: expected ${valid.length} bytes, found ${valid.length - 1}`,
  ),
  format(
    'truncated-index',
    valid.subarray(0, 100),
    `truncated: expected ${valid.length} bytes, found 100; its index ends at byte ${valid.length - 21}`,
  ),
  format(
    'trailing-bytes',
    buildArchive({ trailing: new Uint8Array(2) }),
    `expected an archive of ${valid.length} bytes, found ${valid.length + 2}: 2 trailing bytes`,
  ),

  // Index as bytes
  integrity(
    'index-crc',
    buildArchive({ index: utf8('{}'), chunks: [], indexCrc32: 1 }),
    'index',
    1,
    crc32('{}'),
  ),
  format(
    'index-not-utf8',
    buildArchive({ index: Uint8Array.of(0x22, 0xff, 0x22), chunks: [] }),
    'index: expected UTF-8',
  ),
  format(
    'index-not-deflate',
    buildArchive({ index: Uint8Array.of(0xff, 0xff), chunks: [], indexEncoding: 1, indexByteLength: 20 }),
    'index: malformed deflate data after 0 of 20 bytes',
  ),
  format(
    'index-inflates-longer',
    deflated('[1,2,3]', 6),
    'index: expected 6 bytes after inflating, found more',
  ),
  format(
    'index-inflates-shorter',
    deflated('[1,2,3]', 8),
    'index: expected 8 bytes after inflating, found 7',
  ),
  format(
    'index-deflate-tail',
    deflated('[1,2,3]', 7, Uint8Array.of(0)),
    'index: expected the deflate data to end with the last stored byte, found bytes behind its end',
  ),

  // Fields of the index
  format(
    'index-not-object',
    buildArchive({ index: utf8('[]'), chunks: [] }),
    'index: expected an object, found an array of 0',
  ),
  format(
    'missing-field',
    changed((index) => Object.assign(index, { generator: undefined })),
    'index: expected a field "generator", found none',
  ),
  format(
    'wrong-type',
    changed((index) => Object.assign(index, { removed: 'w' })),
    'index.removed: expected an array, found "w"',
  ),
  format(
    'fractional-integer',
    changed((index) => Object.assign(index.tensors[0], { columns: 1.5 })),
    'index.tensors[0].columns: expected a non-negative integer, found 1.5',
  ),
  format(
    'infinite-number',
    overflowing('"squaredError":0.25', '"squaredError":1e999'),
    'index.tensors[0].quality.squaredError: expected a non-negative number, found Infinity',
  ),
  format(
    'infinite-parameter',
    overflowing('"scale":0.5', '"scale":[-1e999]'),
    'index.tensors[0].terms[0].params.scale[0]: expected a finite number, found -Infinity',
  ),
  format(
    'deep-parameter',
    overflowing('"scale":0.5', `"scale":${'['.repeat(17)}${']'.repeat(17)}`),
    `index.tensors[0].terms[0].params.scale${'[0]'.repeat(15)}: expected at most 16 levels of nesting, found more`,
  ),
  format(
    'malformed-digest',
    changed((index) => Object.assign(index.decoded, { digest: 'sha256:AB' })),
    'index.decoded.digest: expected "sha256:" and 64 lower-case hexadecimal digits, found "sha256:AB"',
  ),
  format(
    'lone-surrogate',
    changed((index) => Object.assign(index.tensors[0], { name: '\ud800' })),
    'index.tensors[0].name: expected well-formed Unicode, found a lone surrogate',
  ),
  format(
    'unsafe-path',
    changed((index) => Object.assign(index.sideFiles[0], { path: '../config.json' })),
    `path "../config.json" has the segment '..'`,
  ),
  limit(
    'chunk-over-limit',
    buildArchive({ index: { ...smallIndex(), chunks: [[2 ** 40, 0]] } }),
    'index.chunks[0][0]: 1099511627776 bytes; at most 268435456 are read',
  ),
  limit(
    'side-file-over-limit',
    changed((index) => Object.assign(index.sideFiles[1], { byteLength: 2 ** 40 })),
    'index.sideFiles[1].byteLength: 1099511627776 bytes; at most 67108864 are read',
  ),
  limit(
    'dimensions-over-limit',
    changed((index) => Object.assign(index.tensors[0], { shape: new Array(65).fill(1) })),
    'index.tensors[0].shape: 65 dimensions; at most 64 are read',
  ),
  {
    name: 'unknown-codec',
    bytes: changed((index) => index.codecs.push('wavelet')),
    code: 'ERE_UNSUPPORTED',
    message:
      'unknown-codec.ere: the archive needs codec "wavelet"; this build has low-rank, exact; use a newer version of ere',
  },
  {
    name: 'unknown-dtype',
    bytes: changed((index) => Object.assign(index.tensors[1], { dtype: 'F128' })),
    code: 'ERE_UNSUPPORTED',
    message:
      'unknown-dtype.ere: index.tensors[1].dtype: dtype "F128" is not known to this build; use a newer version of ere',
  },
  {
    name: 'required-extension',
    bytes: changed((index) => Object.assign(index, { extensions: { signature: { required: true } } })),
    code: 'ERE_UNSUPPORTED',
    message:
      'required-extension.ere: the archive requires extension "signature", which this build does not know; use a newer version of ere',
  },

  // Rules between fields
  format(
    'duplicate-codec',
    changed((index) => index.codecs.push('low-rank')),
    'index.codecs[1]: expected unique names, found "low-rank" again',
  ),
  format(
    'duplicate-path',
    changed((index) => Object.assign(index.sideFiles[0], { path: 'model.safetensors' })),
    'index.sideFiles[0].path: expected unique paths, found "model.safetensors" again',
  ),
  format(
    'path-is-folder',
    changed((index) => Object.assign(index.sideFiles[0], { path: 'tokenizer' })),
    'index.sideFiles[0].path: expected a file, found "tokenizer" as a folder of another path',
  ),
  format(
    'blob-length',
    changed((index) =>
      Object.assign(index.files[0], { header: { chunk: 0, byteLength: 7, encoding: 'stored' } }),
    ),
    'index.files[0].header.byteLength: expected the 6 bytes of chunk 0, found 7',
  ),
  limit(
    'blob-ratio',
    changed((index) =>
      Object.assign(index.files[0], { header: { chunk: 0, byteLength: 1e8, encoding: 'deflate-raw' } }),
    ),
    'index.files[0].header: 6 deflated bytes cannot hold 100000000 bytes; deflate reaches at most 1032:1 (6192)',
  ),
  format(
    'blob-encoding',
    changed((index) =>
      Object.assign(index.files[0], { header: { chunk: 0, byteLength: 6, encoding: 'zstd' } }),
    ),
    'index.files[0].header.encoding: expected "stored" or "deflate-raw", found "zstd"',
  ),
  format(
    'content-length',
    changed((index) => Object.assign(index.sideFiles[0], { byteLength: 4 })),
    "index.sideFiles[0].content.byteLength: expected the file's 4, found 3",
  ),
  tensor(
    'chunk-out-of-range',
    'w',
    changed((index) =>
      Object.assign(index.tensors[0], { terms: [{ codec: 'low-rank', chunks: [3], params: {} }] }),
    ),
    'index.tensors[0].terms[0].chunks[0]: expected a chunk number under 3, found 3',
  ),
  {
    name: 'chunk-twice',
    bytes: changed((index) => Object.assign((index.tensors[0].terms as object[])[0], { chunks: [1, 1] })),
    code: 'ERE_FORMAT',
    message:
      'chunk-twice.ere, tensor "w": index.tensors[0].terms[0].chunks[1]: expected chunks of their own for each term, found 1 again',
  },
  format(
    'chunk-unused',
    changed((index) => Object.assign(index.tensors[0], { terms: [] })),
    'index.chunks[1]: expected a chunk that something refers to, found none',
  ),
  format(
    'chunks-sum',
    buildArchive({
      index: {
        ...smallIndex(),
        chunks: [
          [6, 0],
          [13, 0],
          [3, 0],
        ],
      },
    }),
    'index.chunks: expected 21 bytes in all behind the index, found 22',
  ),
  tensor(
    'file-out-of-range',
    'b',
    changed((index) => Object.assign(index.tensors[1], { file: 1 })),
    'index.tensors[1].file: expected a file number under 1, found 1',
  ),
  tensor(
    'tensor-order',
    'b',
    changed((index) => {
      index.files.push({ ...index.files[0], path: 'other.safetensors' });
      Object.assign(index.tensors[0], { file: 1 });
    }),
    'index.tensors[1].file: expected tensors in the order of their files, found 0 after 1',
  ),
  tensor(
    'shape-overflow',
    'w',
    changed((index) => Object.assign(index.tensors[0], { shape: [2 ** 40, 2 ** 40] })),
    'index.tensors[0].shape: shape [1099511627776, 1099511627776] has over 2^53 elements',
  ),
  tensor(
    'shape-not-bytes',
    'b',
    changed((index) => Object.assign(index.tensors[1], { dtype: 'F4', shape: [3] })),
    'index.tensors[1].shape: expected a whole number of bytes under 2^53, found F4 [3]',
  ),
  format(
    'file-length',
    changed((index) => Object.assign(index.files[0], { byteLength: 39 })),
    'index.files[0].byteLength: expected 38 (header and tensors), found 39',
  ),
  tensor(
    'columns',
    'w',
    changed((index) => Object.assign(index.tensors[0], { columns: 4 })),
    'index.tensors[0].columns: expected a divisor of 6 elements, found 4',
  ),
  tensor(
    'added-without-terms',
    'b',
    changed((index) => Object.assign(index.tensors[1], { base: undefined })),
    'index.tensors[1].terms: expected at least one term without a base, found none',
  ),
  tensor(
    'unlisted-codec',
    'w',
    changed((index) => Object.assign(index, { codecs: ['exact'] })),
    'index.tensors[0].terms[0].codec: expected a name of index.codecs, found "low-rank"',
  ),
  tensor(
    'rows',
    'w',
    changed((index) =>
      Object.assign(index.tensors[0], {
        terms: [{ codec: 'low-rank', rows: [1, 3], chunks: [1], params: {} }],
      }),
    ),
    'index.tensors[0].terms[0].rows: expected a range of rows inside 2, found [1, 3)',
  ),
  format(
    'duplicate-tensor',
    changed((index) => Object.assign(index.tensors[1], { name: 'w' })),
    'index.tensors[1]: expected unique names, found "w" again',
  ),
  format(
    'removed-present',
    changed((index) => index.removed.push('b')),
    'index.removed[1]: expected no tensor of the archive, found "b"',
  ),

  tensor(
    'error-drops',
    'w',
    changed((index) =>
      Object.assign(index.tensors[0], {
        terms: [{ codec: 'low-rank', chunks: [1], errorDrops: [1, 2], params: {} }],
      }),
    ),
    'index.tensors[0].terms[0].errorDrops: expected one number for each of 1 chunks, found 2',
  ),
  format(
    'error-drop-negative',
    changed((index) =>
      Object.assign(index.tensors[0], {
        terms: [{ codec: 'low-rank', chunks: [1], errorDrops: [-1], params: {} }],
      }),
    ),
    'index.tensors[0].terms[0].errorDrops[0]: expected a non-negative number, found -1',
  ),
  tensor(
    'lossy-all-terms',
    'w',
    changed((index) => refined(index, { terms: 1 })),
    'index.tensors[0].lossy.terms: expected at least 0 and fewer than all 1 terms, found 1',
  ),
  tensor(
    'lossy-no-terms',
    'w',
    changed((index) => Object.assign(refined(index, {}), { base: undefined })),
    'index.tensors[0].lossy.terms: expected at least 1 and fewer than all 1 terms, found 0',
  ),
  tensor(
    'lossy-and-quality',
    'w',
    changed((index) =>
      Object.assign(refined(index, {}), { quality: { squaredError: 1, squaredResidual: 2 } }),
    ),
    'index.tensors[0].quality: expected none beside "lossy", found one',
  ),
  format(
    'lossy-without-digest',
    changed((index) => {
      refined(index, {});
      Object.assign(index.decoded, { lossyDigest: undefined });
    }),
    'index.decoded.lossyDigest: expected a digest, as a tensor has "lossy", found none',
  ),
  format(
    'lossy-digest-alone',
    changed((index) => Object.assign(index.decoded, { lossyDigest: index.decoded.digest })),
    'index.decoded.lossyDigest: expected none without a tensor that has "lossy", found one',
  ),

  // Chunks
  {
    ...integrity('chunk-crc', damagedChunk(), 'chunk 1', crc32('term payload'), crc32('term payloae')),
    chunk: 1,
  },
];

function format(name: string, bytes: Uint8Array, message: string): ArchiveError {
  const glue = message.startsWith('byte ') ? ', ' : ': ';
  return { name, bytes, code: 'ERE_FORMAT', message: `${name}.ere${glue}${message}` };
}

function tensor(name: string, tensorName: string, bytes: Uint8Array, message: string): ArchiveError {
  return { name, bytes, code: 'ERE_FORMAT', message: `${name}.ere, tensor "${tensorName}": ${message}` };
}

function limit(name: string, bytes: Uint8Array, message: string): ArchiveError {
  return { name, bytes, code: 'ERE_LIMIT', message: `${name}.ere: ${message}` };
}

function integrity(
  name: string,
  bytes: Uint8Array,
  part: string,
  expected: number,
  actual: number,
): ArchiveError {
  const message = `${name}.ere, ${part}: expected CRC-32 ${hex(expected)}, found ${hex(actual)}; the file is damaged: fetch it again`;
  return { name, bytes, code: 'ERE_INTEGRITY', message };
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}

/** The small archive with one thing changed in its index. */
function changed(change: (index: ReturnType<typeof smallIndex>) => unknown): Uint8Array {
  const index = smallIndex();
  change(index);
  return buildArchive({ index });
}

/** Makes the first tensor one with a lossy level below its only term; gives the tensor. */
function refined(index: ReturnType<typeof smallIndex>, lossy: { terms?: number }): object {
  const { digest, quality } = index.tensors[0]!;
  Object.assign(index.decoded, { lossyDigest: index.decoded.digest });
  return Object.assign(index.tensors[0]!, {
    quality: undefined,
    lossy: { terms: 0, digest, quality, ...lossy },
  });
}

/** The small archive with a piece of its JSON replaced by something JSON.stringify does not write. */
function overflowing(piece: string, by: string): Uint8Array {
  const chunks = smallChunks();
  const whole = buildArchive({ chunks });
  const chunksByteLength = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  const json = new TextDecoder().decode(whole.subarray(40, whole.length - chunksByteLength));
  return buildArchive({ index: utf8(json.replace(piece, by)), chunks });
}

/** An archive without chunks whose deflated index claims `indexByteLength`. Level 0: the bytes are the same everywhere. */
function deflated(json: string, indexByteLength: number, tail = new Uint8Array()): Uint8Array {
  const index = new Uint8Array(Buffer.concat([deflateRawSync(json, { level: 0 }), tail]));
  return buildArchive({ index, chunks: [], indexEncoding: 1, indexByteLength });
}

function damagedChunk(): Uint8Array {
  const bytes = buildArchive();
  bytes[bytes.length - 4] ^= 1; // last byte of the term's payload
  return bytes;
}

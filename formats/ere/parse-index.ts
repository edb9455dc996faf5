/**
 * The index of an archive from its JSON (docs/spec/archive.md §4): types and shapes field by field here,
 * rules that tie fields to one another in check-index.ts. Unknown fields are ignored; unknown codecs, dtypes
 * and required extensions are refused by name.
 */
import { FormatError, LimitError, UnsupportedError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type {
  ArchiveBaseTensor,
  ArchiveExtension,
  ArchiveIndex,
  ArchiveSideFile,
  ArchiveTensor,
  ArchiveWeightFile,
  ChunkBlob,
  ChunkRecord,
} from './archive-index.js';
import { checkIndex } from './check-index.js';
import {
  digest,
  dtype,
  lossyLevel,
  optional,
  path,
  scalar,
  shape,
  tensorQuality,
  term,
} from './index-fields.js';
import { isPlainInteger, JsonCursor } from './json-cursor.js';

const MAX_CRC32 = 0xffffffff;

export interface ParseIndexOptions {
  /** Name of the archive, for messages. */
  readonly file: string;
  /** Codecs the caller can decode; an archive that needs another is refused. Default: any codec is taken. */
  readonly codecs?: ReadonlySet<string> | undefined;
  /** What the lengths of all chunks must add up to; not checked by default. */
  readonly chunksByteLength?: number | undefined;
}

/**
 * Parses and checks the UTF-8 JSON of an index.
 * @throws FormatError where a rule of the spec is broken, with the JSON path; UnsupportedError for a codec,
 * dtype or required extension that this build does not know; LimitError for a chunk or file over LIMITS.
 */
export function parseIndex(bytes: Uint8Array, options: ParseIndexOptions): ArchiveIndex {
  const root = new JsonCursor(parseJson(bytes, options.file), options.file, 'index');
  const codecs = root.field('codecs');
  assertKnownCodecs(codecs, options);
  // Before the other fields: what a required extension changes may not fit the rules of this version.
  const extensions = root
    .optional('extensions')
    ?.fields((field, name) => [name, extension(name, field)] as const);
  const base = root.field('base');
  const decoded = root.field('decoded');
  const lossyDigest = decoded.optional('lossyDigest');
  const index: ArchiveIndex = {
    generator: root.field('generator').string(),
    encoding: Object.fromEntries(root.field('encoding').fields((field, name) => [name, scalar(field)])),
    base: {
      name: base.field('name').string(),
      ...optional('revision', base.optional('revision')?.string()),
      digest: digest(base.field('digest')),
      tensorCount: base.field('tensorCount').integer(),
    },
    decoded: {
      digest: digest(decoded.field('digest')),
      ...optional('lossyDigest', lossyDigest && digest(lossyDigest)),
      ...optional('squaredResidual', decoded.optional('squaredResidual')?.magnitude()),
    },
    codecs: codecs.items((item) => item.string()),
    files: root.field('files').items(weightFile),
    sideFiles: root.field('sideFiles').items(sideFile),
    tensors: root.field('tensors').items(tensor),
    removed: root.field('removed').items((item) => item.string()),
    chunks: root.field('chunks').itemsWhere(isPlainChunkRecord, chunkRecord),
    ...optional('extensions', extensions && Object.fromEntries(extensions)),
  };
  checkIndex(index, options);
  return index;
}

function parseJson(bytes: Uint8Array, file: string): unknown {
  const containers = countContainers(bytes);
  if (containers > LIMITS.archiveIndexContainers) {
    throw new LimitError(
      `${file}: index of ${containers} objects and arrays; at most ${LIMITS.archiveIndexContainers} are read`,
      LIMITS.archiveIndexContainers,
      containers,
    );
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError('ere', 'index: expected UTF-8', { file, cause });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    // The engine's message quotes the text; its control characters are kept off the terminal.
    const message = (cause as Error).message.replace(/\p{Cc}/gu, '\ufffd');
    throw new FormatError('ere', `index: expected JSON: ${message}`, { file, cause });
  }
}

/** Bytes `{` and `[`, an upper bound for objects and arrays; 0 where the bytes could not hold too many. */
function countContainers(bytes: Uint8Array): number {
  let containers = 0;
  if (bytes.byteLength <= LIMITS.archiveIndexContainers) return containers;
  for (const byte of bytes) if (byte === 0x5b || byte === 0x7b) containers++;
  return containers;
}

function assertKnownCodecs(codecs: JsonCursor, options: ParseIndexOptions): void {
  const known = options.codecs;
  if (known === undefined) return;
  codecs.items((item) => {
    const codec = item.string();
    if (!known.has(codec)) {
      throw new UnsupportedError(
        `codec ${JSON.stringify(codec)}`,
        `${options.file}: the archive needs codec ${JSON.stringify(codec)}; this build has ${[...known].join(', ') || 'none'}; use a newer version of ere`,
      );
    }
  });
}

function weightFile(field: JsonCursor): ArchiveWeightFile {
  const byteLength = field.field('byteLength').integer();
  // 8 more than the JSON's own bound: the header carries its length prefix.
  const header = blob(field.field('header'), LIMITS.safetensorsHeaderByteLength + 8);
  return { path: path(field.field('path')), byteLength, header };
}

function sideFile(field: JsonCursor): ArchiveSideFile {
  const content = field.optional('content');
  return {
    path: path(field.field('path')),
    byteLength: bounded(field.field('byteLength'), LIMITS.sideFileByteLength),
    digest: digest(field.field('digest')),
    ...optional('content', content && blob(content, LIMITS.sideFileByteLength)),
  };
}

function tensor(field: JsonCursor): ArchiveTensor {
  const base = field.optional('base');
  const quality = field.optional('quality');
  const lossy = field.optional('lossy');
  return {
    name: field.field('name').string(),
    dtype: dtype(field.field('dtype')),
    shape: shape(field.field('shape')),
    file: field.field('file').integer(),
    digest: digest(field.field('digest')),
    ...optional('base', base && baseTensor(base)),
    columns: field.field('columns').integer(),
    terms: field.field('terms').items(term),
    ...optional('quality', quality && tensorQuality(quality)),
    ...optional('lossy', lossy && lossyLevel(lossy)),
  };
}

function baseTensor(field: JsonCursor): ArchiveBaseTensor {
  const baseDtype = field.optional('dtype');
  const baseShape = field.optional('shape');
  return {
    ...optional('name', field.optional('name')?.string()),
    ...optional('dtype', baseDtype && dtype(baseDtype)),
    ...optional('shape', baseShape && shape(baseShape)),
    digest: digest(field.field('digest')),
  };
}

function extension(name: string, field: JsonCursor): ArchiveExtension {
  const required = field.field('required').boolean();
  if (required) {
    throw new UnsupportedError(
      `extension ${JSON.stringify(name)}`,
      `${field.file}: the archive requires extension ${JSON.stringify(name)}, which this build does not know; use a newer version of ere`,
    );
  }
  return { ...field.foreignRecord(), required };
}

function chunkRecord(field: JsonCursor): ChunkRecord {
  const [byteLength, crc32] = field.pair('[byteLength, crc32]');
  return [bounded(byteLength, LIMITS.chunkByteLength), crc32.integer(MAX_CRC32)];
}

/** What `chunkRecord` takes as it is. */
function isPlainChunkRecord(value: unknown): value is ChunkRecord {
  return (
    Array.isArray(value) &&
    value.length === 2 &&
    isPlainInteger(value[0]) &&
    value[0] <= LIMITS.chunkByteLength &&
    isPlainInteger(value[1]) &&
    value[1] <= MAX_CRC32
  );
}

function blob(field: JsonCursor, limit: number): ChunkBlob {
  const encoding = field.field('encoding').string();
  if (encoding !== 'stored' && encoding !== 'deflate-raw') {
    return field.field('encoding').fail('"stored" or "deflate-raw"');
  }
  return {
    chunk: field.field('chunk').integer(),
    byteLength: bounded(field.field('byteLength'), limit),
    encoding,
  };
}

function bounded(field: JsonCursor, limit: number): number {
  const actual = field.integer();
  if (actual > limit) {
    throw new LimitError(
      `${field.file}: ${field.path}: ${actual} bytes; at most ${limit} are read`,
      limit,
      actual,
    );
  }
  return actual;
}

/**
 * The index as canonical JSON (docs/spec/archive.md §4.8): no white space, the fields of version 1 in the
 * order of the spec, all other keys in code-point order, numbers and strings as ECMAScript writes them.
 * Equal indexes give equal bytes.
 */
import { compareCodePoints } from '../compare-code-points.js';
import type {
  ArchiveIndex,
  ArchiveLossyLevel,
  ArchiveQuality,
  ArchiveSideFile,
  ArchiveTensor,
  ArchiveTerm,
  ArchiveWeightFile,
  ChunkBlob,
} from './archive-index.js';

/**
 * UTF-8 bytes of the index. The rules of the spec are not checked here: parse what was written.
 * @throws TypeError for a value that JSON cannot hold (NaN, infinities, undefined, functions).
 */
export function serializeIndex(index: ArchiveIndex): Uint8Array {
  const text = record([
    ['generator', json(index.generator)],
    ['encoding', json(index.encoding)],
    [
      'base',
      record([
        ['name', json(index.base.name)],
        ['revision', optionalJson(index.base.revision)],
        ['digest', json(index.base.digest)],
        ['tensorCount', json(index.base.tensorCount)],
      ]),
    ],
    [
      'decoded',
      record([
        ['digest', json(index.decoded.digest)],
        ['lossyDigest', optionalJson(index.decoded.lossyDigest)],
        ['squaredResidual', optionalJson(index.decoded.squaredResidual)],
      ]),
    ],
    ['codecs', json(index.codecs)],
    ['files', list(index.files.map(weightFile))],
    ['sideFiles', list(index.sideFiles.map(sideFile))],
    ['tensors', list(index.tensors.map(tensor))],
    ['removed', json(index.removed)],
    ['chunks', json(index.chunks)],
    ['extensions', optionalJson(index.extensions)],
  ]);
  return new TextEncoder().encode(text);
}

function weightFile(file: ArchiveWeightFile): string {
  return record([
    ['path', json(file.path)],
    ['byteLength', json(file.byteLength)],
    ['header', blob(file.header)],
  ]);
}

function sideFile(file: ArchiveSideFile): string {
  return record([
    ['path', json(file.path)],
    ['byteLength', json(file.byteLength)],
    ['digest', json(file.digest)],
    ['content', file.content && blob(file.content)],
  ]);
}

function blob({ chunk, byteLength, encoding }: ChunkBlob): string {
  return record([
    ['chunk', json(chunk)],
    ['byteLength', json(byteLength)],
    ['encoding', json(encoding)],
  ]);
}

function tensor(tensor: ArchiveTensor): string {
  const { name, dtype, shape, file, digest, base, columns, terms } = tensor;
  return record([
    ['name', json(name)],
    ['dtype', json(dtype)],
    ['shape', json(shape)],
    ['file', json(file)],
    ['digest', json(digest)],
    [
      'base',
      base &&
        record([
          ['name', optionalJson(base.name)],
          ['dtype', optionalJson(base.dtype)],
          ['shape', optionalJson(base.shape)],
          ['digest', json(base.digest)],
        ]),
    ],
    ['columns', json(columns)],
    ['terms', list(terms.map(term))],
    ['quality', tensor.quality && quality(tensor.quality)],
    ['lossy', tensor.lossy && lossyLevel(tensor.lossy)],
  ]);
}

function quality({ squaredError, squaredResidual, gaussianBits, estimated }: ArchiveQuality): string {
  return record([
    ['squaredError', json(squaredError)],
    ['squaredResidual', json(squaredResidual)],
    ['gaussianBits', optionalJson(gaussianBits)],
    ['estimated', optionalJson(estimated)],
  ]);
}

function lossyLevel(lossy: ArchiveLossyLevel): string {
  return record([
    ['terms', json(lossy.terms)],
    ['digest', json(lossy.digest)],
    ['quality', quality(lossy.quality)],
  ]);
}

function term({ codec, rows, chunks, missing, errorDrops, errorDrop, params }: ArchiveTerm): string {
  return record([
    ['codec', json(codec)],
    ['rows', optionalJson(rows)],
    ['chunks', json(chunks)],
    ['missing', optionalJson(missing)],
    ['errorDrops', optionalJson(errorDrops)],
    ['errorDrop', optionalJson(errorDrop)],
    ['params', json(params)],
  ]);
}

function record(fields: readonly (readonly [name: string, text: string | undefined])[]): string {
  const present = fields.filter(([, text]) => text !== undefined);
  return `{${present.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(',')}}`;
}

function list(items: readonly string[]): string {
  return `[${items.join(',')}]`;
}

function optionalJson(value: unknown): string | undefined {
  return value === undefined ? undefined : json(value);
}

/** Any JSON value, the keys of its objects in code-point order. */
function json(value: unknown): string {
  if (Array.isArray(value)) return list(value.map(json));
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, field]) => field !== undefined);
    entries.sort(([left], [right]) => compareCodePoints(left, right));
    return record(entries.map(([name, field]) => [name, json(field)]));
  }
  // JSON.stringify writes −0 as 0; parameters of a codec may mean it.
  if (Object.is(value, -0)) return '-0';
  const text = typeof value === 'number' && !Number.isFinite(value) ? undefined : JSON.stringify(value);
  if (text === undefined) throw new TypeError(`expected a JSON value in the index, got ${String(value)}`);
  return text;
}

/**
 * Manifests (docs/spec/store.md §5): what a version is, whatever way its tensors are stored. A version's id is the
 * SHA-256 of its manifest.
 */
import type { Dtype } from '../../formats/dtype.js';
import type { ArchiveLossyLevel, ArchiveQuality, Digest } from '../../formats/ere/archive-index.js';
import * as fields from '../../formats/ere/index-fields.js';
import type { JsonCursor } from '../../formats/ere/json-cursor.js';
import { IntegrityError } from '../../formats/errors.js';
import type { VersionId, VersionSummary } from './api.js';
import { hexOf } from './layout.js';
import { openRecord, type SealedRecord, sealRecord } from './record.js';

/** Bytes of an object, as they are or deflated. */
export interface StoredBlob {
  readonly object: Digest;
  /** After inflating. */
  readonly byteLength: number;
  readonly encoding: 'stored' | 'deflate-raw';
}

export interface ManifestTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Index into `files`. */
  readonly file: number;
  /** Of its bytes; names its recipe, or a tensor of a base. */
  readonly digest: Digest;
  /** As in an archive: what was lost when it was committed, against what it was coded against. */
  readonly quality?: ArchiveQuality;
  readonly lossy?: ArchiveLossyLevel;
}

export interface ManifestFile {
  readonly path: string;
  readonly byteLength: number;
  /** SHA-256 of the whole file as it decodes; absent where nobody has had it. */
  readonly digest?: Digest;
  readonly header: StoredBlob;
}

export interface ManifestSideFile {
  readonly path: string;
  readonly digest: Digest;
  readonly content: StoredBlob;
}

/** Everything but the id, which follows from it. */
export interface Manifest extends Omit<VersionSummary, 'id' | 'tensorCount'> {
  readonly encoding: Readonly<Record<string, string | number | boolean>>;
  readonly tensors: readonly ManifestTensor[];
  readonly files: readonly ManifestFile[];
  readonly sideFiles: readonly ManifestSideFile[];
  /** Sampled values, to find references by. */
  readonly sketch?: StoredBlob;
  /** Bytes that coding against the base alone is expected to take: the measure of `decodeCost`. */
  readonly directByteLength: number;
}

/** A version as it is in the store. */
export interface StoredVersion {
  readonly id: VersionId;
  readonly manifest: Manifest;
}

export function sealManifest(manifest: Manifest): SealedRecord {
  return sealRecord(manifest);
}

/** @throws FormatError, LimitError, IntegrityError: also where it is another version's */
export async function parseManifest(bytes: Uint8Array, id: VersionId, file: string): Promise<Manifest> {
  const { value, digest } = await openRecord(bytes, file);
  if (digest !== id) throw new IntegrityError(file, id, digest);
  return readManifest(value);
}

function readManifest(record: JsonCursor): Manifest {
  const { optional } = fields;
  return {
    ...readSummaryFields(record),
    encoding: Object.fromEntries(
      record.field('encoding').fields((field, name) => [name, fields.scalar(field)] as const),
    ),
    tensors: record.field('tensors').items(readTensor),
    files: record.field('files').items((file) => ({
      path: fields.path(file.field('path')),
      byteLength: file.field('byteLength').integer(),
      ...optional('digest', mapped(file.optional('digest'), fields.digest)),
      header: readBlob(file.field('header')),
    })),
    sideFiles: record.field('sideFiles').items((file) => ({
      path: fields.path(file.field('path')),
      digest: fields.digest(file.field('digest')),
      content: readBlob(file.field('content')),
    })),
    ...optional('sketch', mapped(record.optional('sketch'), readBlob)),
    directByteLength: record.field('directByteLength').magnitude(),
  };
}

function readTensor(field: JsonCursor): ManifestTensor {
  const { optional } = fields;
  return {
    name: field.field('name').string(),
    dtype: fields.dtype(field.field('dtype')),
    shape: fields.shape(field.field('shape')),
    file: field.field('file').integer(),
    digest: fields.digest(field.field('digest')),
    ...optional('quality', mapped(field.optional('quality'), fields.tensorQuality)),
    ...optional('lossy', mapped(field.optional('lossy'), fields.lossyLevel)),
  };
}

function readBlob(field: JsonCursor): StoredBlob {
  const encoding = field.field('encoding');
  const { value } = encoding;
  if (value !== 'stored' && value !== 'deflate-raw') return encoding.fail('"stored" or "deflate-raw"');
  return {
    object: fields.digest(field.field('object')),
    byteLength: field.field('byteLength').integer(),
    encoding: value,
  };
}

/** The fields that a manifest shares with a summary. */
export function readSummaryFields(record: JsonCursor): Omit<VersionSummary, 'id' | 'tensorCount'> {
  const kind = record.field('kind');
  if (kind.value !== 'version' && kind.value !== 'base') return kind.fail('"version" or "base"');
  return {
    kind: kind.value,
    model: record.field('model').string(),
    message: record.field('message').string(),
    createdAt: record.field('createdAt').string(),
    parents: record.field('parents').items(fields.digest),
    base: mapped(record.optional('base'), (field) => ({
      name: field.field('name').string(),
      id: fields.digest(field.field('id')),
    })),
    reference: mapped(record.optional('reference'), readReference),
    digest: fields.digest(record.field('digest')),
    fineTunedByteLength: record.field('fineTunedByteLength').integer(),
    addedByteLength: record.field('addedByteLength').integer(),
    relativeError: record.field('relativeError').magnitude(),
    decodeCost: record.field('decodeCost').magnitude(),
  };
}

function readReference(field: JsonCursor): NonNullable<VersionSummary['reference']> {
  const kind = field.field('kind');
  if (kind.value !== 'base' && kind.value !== 'version') return kind.fail('"base" or "version"');
  return { kind: kind.value, id: fields.digest(field.field('id')) };
}

function mapped<T>(field: JsonCursor | undefined, read: (field: JsonCursor) => T): T | undefined {
  return field === undefined ? undefined : read(field);
}

export function summaryOf({ id, manifest }: StoredVersion): VersionSummary {
  const { encoding, tensors, files, sideFiles, sketch, directByteLength, ...summary } = manifest;
  return { id, ...summary, tensorCount: tensors.length };
}

/** The first digits of an id: what people read and type. */
export function shortId(id: VersionId): string {
  return hexOf(id).slice(0, 12);
}

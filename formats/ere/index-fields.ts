/** Fields of an archive's index (docs/spec/archive.md §4) that the records of a store have as well: each reads and checks one. */
import { type Dtype, isDtype } from '../dtype.js';
import { LimitError, UnsupportedError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { assertSafeRelativePath } from '../relative-path.js';
import type { ArchiveLossyLevel, ArchiveQuality, ArchiveTerm, Digest } from './archive-index.js';
import { isDigest } from './digest.js';
import type { JsonCursor } from './json-cursor.js';

/** A term; its parameters are the codec's to check. */
export function term(field: JsonCursor): ArchiveTerm {
  const rows = field.optional('rows');
  return {
    codec: field.field('codec').string(),
    ...optional('rows', rows && pair(rows)),
    chunks: field.field('chunks').integers(),
    ...optional('missing', field.optional('missing')?.integer() || undefined),
    ...optional('errorDrops', field.optional('errorDrops')?.magnitudes()),
    ...optional('errorDrop', field.optional('errorDrop')?.magnitude()),
    params: field.field('params').foreignRecord(),
  };
}

/** What a tensor lost. */
export function tensorQuality(field: JsonCursor): ArchiveQuality {
  const gaussianBits = field.optional('gaussianBits');
  return {
    squaredError: field.field('squaredError').magnitude(),
    squaredResidual: field.field('squaredResidual').magnitude(),
    ...optional('gaussianBits', gaussianBits?.magnitude()),
    ...optional('estimated', field.optional('estimated')?.boolean() || undefined),
  };
}

/** The level below exact terms. */
export function lossyLevel(field: JsonCursor): ArchiveLossyLevel {
  return {
    terms: field.field('terms').integer(),
    digest: digest(field.field('digest')),
    quality: tensorQuality(field.field('quality')),
  };
}

/** A safe relative path. @throws FormatError */
export function path(field: JsonCursor): string {
  const value = field.string();
  assertSafeRelativePath(value, { format: 'ere', file: field.file });
  return value;
}

/** `sha256:` and 64 digits. */
export function digest(field: JsonCursor): Digest {
  return isDigest(field.value) ? field.value : field.fail('"sha256:" and 64 lower-case hexadecimal digits');
}

/** @throws UnsupportedError for one that this build does not know */
export function dtype(field: JsonCursor): Dtype {
  const name = field.string();
  if (isDtype(name)) return name;
  throw new UnsupportedError(
    `dtype ${JSON.stringify(name)}`,
    `${field.file}: ${field.path}: dtype ${JSON.stringify(name)} is not known to this build; use a newer version of ere`,
  );
}

/** @throws LimitError over LIMITS.dimensions */
export function shape(field: JsonCursor): number[] {
  const dimensions = field.integers();
  if (dimensions.length > LIMITS.dimensions) {
    throw new LimitError(
      `${field.file}: ${field.path}: ${dimensions.length} dimensions; at most ${LIMITS.dimensions} are read`,
      LIMITS.dimensions,
      dimensions.length,
    );
  }
  return dimensions;
}

/** [start, end]. */
export function pair(field: JsonCursor): [number, number] {
  const [start, end] = field.pair('[start, end]');
  return [start.integer(), end.integer()];
}

/** A string, a finite number or a boolean. */
export function scalar(field: JsonCursor): string | number | boolean {
  const { value } = field;
  if (typeof value === 'string') return field.string();
  if (typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))) return value;
  return field.fail('a string, a finite number, true or false');
}

/** A field that is left out rather than undefined. */
export function optional<K extends string, V>(key: K, value: V | undefined): { [key in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [key in K]: V });
}

/**
 * Recipes (docs/spec/store.md §6): how the tensor with a given digest is made from a reference tensor and terms of the
 * archive's codecs. A recipe may be replaced by another that gives the same bytes; payloads are objects.
 */
import { type Dtype, tensorByteLength } from '../../formats/dtype.js';
import type { ArchiveTerm, Digest } from '../../formats/ere/archive-index.js';
import { checkIndex } from '../../formats/ere/check-index.js';
import * as fields from '../../formats/ere/index-fields.js';
import type { JsonCursor } from '../../formats/ere/json-cursor.js';
import { IntegrityError } from '../../formats/errors.js';
import { LIMITS } from '../../formats/limits.js';
import { openRecord, sealRecord } from './record.js';

/** A chunk of a term: bytes of an object. */
export interface RecipeChunk {
  readonly object: Digest;
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly crc32: number;
}

export interface Recipe {
  /** Of the tensor that it makes: the recipe's own name. */
  readonly digest: Digest;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly columns: number;
  /** Absent where nothing is referred to. */
  readonly reference?: {
    readonly digest: Digest;
    readonly dtype: Dtype;
    readonly shape: readonly number[];
  };
  /** Chunk numbers index `chunks`. */
  readonly terms: readonly ArchiveTerm[];
  readonly chunks: readonly RecipeChunk[];
}

/** Steps of a chain at most, whatever a commit allows: a crafted store cannot make a reader recurse without end. */
export const MAX_DEPTH = 1000;

export function sealRecipe(recipe: Recipe): Uint8Array {
  const { chunks, ...rest } = recipe;
  const objects = [...new Set(chunks.map(({ object }) => object))];
  const numbers = new Map(objects.map((object, i) => [object, i]));
  return sealRecord({
    ...rest,
    objects,
    chunks: chunks.map(({ object, byteOffset, byteLength, crc32 }) => [
      numbers.get(object)!,
      byteOffset,
      byteLength,
      crc32,
    ]),
  }).bytes;
}

/** @throws FormatError, LimitError, IntegrityError: also where it makes another tensor */
export async function parseRecipe(bytes: Uint8Array, tensor: Digest, file: string): Promise<Recipe> {
  const { value: record } = await openRecord(bytes, file);
  const digest = fields.digest(record.field('digest'));
  if (digest !== tensor) throw new IntegrityError(file, `the recipe of ${tensor}`, `that of ${digest}`);
  const objects = record.field('objects').items(fields.digest);
  const reference = record.optional('reference');
  const recipe: Recipe = {
    digest,
    dtype: fields.dtype(record.field('dtype')),
    shape: fields.shape(record.field('shape')),
    columns: record.field('columns').integer(),
    ...(reference === undefined
      ? {}
      : {
          reference: {
            digest: fields.digest(reference.field('digest')),
            dtype: fields.dtype(reference.field('dtype')),
            shape: fields.shape(reference.field('shape')),
          },
        }),
    terms: record.field('terms').items(fields.term),
    chunks: record.field('chunks').items((field) => readChunk(field, objects)),
  };
  checkRecipe(recipe, file);
  return recipe;
}

/** The rules of a tensor in an archive's index: a decoder relies on them. @throws FormatError */
function checkRecipe(
  { digest, dtype, shape, columns, reference, terms, chunks }: Recipe,
  file: string,
): void {
  const header = { chunk: chunks.length, byteLength: 0, encoding: 'stored' } as const;
  let byteLength = 0;
  try {
    byteLength = tensorByteLength(dtype, shape) ?? 0;
  } catch {
    // What is wrong with the shape is told below.
  }
  const tensor = { name: digest, dtype, shape, file: 0, digest, columns, terms };
  const index = {
    generator: '',
    encoding: {},
    base: { name: '', digest, tensorCount: 0 },
    decoded: { digest },
    codecs: [...new Set(terms.map(({ codec }) => codec))],
    files: [{ path: 'recipe', byteLength, header }],
    sideFiles: [],
    tensors: [reference === undefined ? tensor : { ...tensor, base: reference }],
    removed: [],
    chunks: [...chunks.map(({ byteLength, crc32 }) => [byteLength, crc32] as const), [0, 0] as const],
  };
  checkIndex(index, { file });
}

function readChunk(field: JsonCursor, objects: readonly Digest[]): RecipeChunk {
  const numbers = field.integers();
  const [object = -1, byteOffset = -1, byteLength = -1, crc32 = -1] = numbers;
  const known = objects[object];
  const isFine = numbers.length === 4 && byteLength <= LIMITS.chunkByteLength && crc32 <= 0xffffffff;
  if (known === undefined || !isFine) return field.fail('[object, byteOffset, byteLength, crc32]');
  return { object: known, byteOffset, byteLength, crc32 };
}

/** Names a chunk: what several recipes have in common is stored once. */
export function chunkKey({ object, byteOffset, byteLength }: Omit<RecipeChunk, 'crc32'>): string {
  return `${object} ${byteOffset} ${byteLength}`;
}

/** Bytes of its own step. */
export function ownByteLength({ chunks }: Recipe): number {
  return chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

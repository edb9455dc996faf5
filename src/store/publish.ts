/**
 * From an archive to a store (docs/spec/store.md §7): payloads become objects, tensors recipes. The order is the store's
 * promise: an object before the recipe that names it, a recipe before the manifest, the manifest before the ref.
 */
import type { ArchiveTensor, Digest } from '../../formats/ere/archive-index.js';
import type { Archive } from '../../formats/ere/open-archive.js';
import { createNodeHasher } from '../io/node-hasher.js';
import type { StoreBackend } from './backend.js';
import { objectKey, recipeKey } from './layout.js';
import type { ManifestFile, ManifestTensor } from './manifest.js';
import { type WrittenObject, writeBlob, writeObject } from './objects.js';
import { MAX_DEPTH, type Recipe, type RecipeChunk, sealRecipe } from './recipe.js';
import type { StoreReader } from './store-reader.js';

export interface PublishedArchive {
  readonly tensors: readonly ManifestTensor[];
  readonly files: readonly ManifestFile[];
  /** Bytes of objects and recipes that were not there before. */
  readonly addedByteLength: number;
  /** Tensors that were not the base's and had a recipe already. */
  readonly sharedTensorCount: number;
}

/** Tensors that are written at once. */
const WRITES = 4;

export interface PublishOptions {
  /** Write recipes of these tensors, whether there are some or not. Their references must not lead back to them. */
  readonly replace?: (digest: Digest) => boolean;
}

/**
 * Writes everything of an archive but its side files; to be called under a shared lock, with a reader that has read
 * nothing before.
 *
 * A tensor of any base of the store gets no recipe: a base that is made from another, and one whose tensors occur in
 * versions of the other, would else refer to each other. A recipe that is there already is taken over only where its
 * chain is whole: what it refers to may have gone with a base, or with a gc that was killed.
 */
export async function publishArchive(
  reader: StoreReader,
  archive: Archive,
  { replace }: PublishOptions = {},
): Promise<PublishedArchive> {
  const { backend } = reader;
  const ofBases = new Set<Digest>();
  for (const { manifest } of await reader.bases()) {
    for (const { digest } of manifest.tensors) ofBases.add(digest);
  }
  const { index } = archive;
  let addedByteLength = 0;
  let sharedTensorCount = 0;
  const files: ManifestFile[] = [];
  for (const { path, byteLength, header } of index.files) {
    const written = await writeBlob(backend, await archive.readBlob(header));
    files.push({ path, byteLength, header: written.blob });
    addedByteLength += written.addedByteLength;
  }
  const shared = await publishShared(backend, archive);
  addedByteLength += shared.addedByteLength;

  // Of tensors with one digest the first.
  const byDigest = new Map<Digest, ArchiveTensor>();
  for (const tensor of index.tensors) if (!byDigest.has(tensor.digest)) byDigest.set(tensor.digest, tensor);
  const waiting = [...byDigest.values()];
  const publishNext = async (): Promise<void> => {
    for (let tensor = waiting.shift(); tensor !== undefined; tensor = waiting.shift()) {
      const { digest } = tensor;
      const isReplaced = replace?.(digest) === true;
      if (!isReplaced && ofBases.has(digest)) {
        await removeBroken(reader, digest, ofBases);
        continue;
      }
      if (isCopy(tensor)) continue;
      if (!isReplaced && (await isWhole(reader, digest, ofBases))) {
        sharedTensorCount++;
        continue;
      }
      const added = await publishTensor(reader, archive, tensor, shared.chunks);
      addedByteLength += added;
    }
  };
  // Nothing is written behind a failure, when the lock may be another's.
  const ends = await Promise.allSettled(Array.from({ length: WRITES }, publishNext));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
  return { tensors: index.tensors.map(manifestTensor), files, addedByteLength, sharedTensorCount };
}

/** Whether a tensor has a recipe, and what that refers to too, down to a base or one that refers to nothing. */
async function isWhole(reader: StoreReader, tensor: Digest, ofBases: ReadonlySet<Digest>): Promise<boolean> {
  let recipe = await reader.recipe(tensor);
  for (let i = 0; recipe !== undefined && i < MAX_DEPTH; i++) {
    if (recipe.reference === undefined) return true;
    const { digest } = recipe.reference;
    recipe = await reader.recipe(digest);
    if (recipe === undefined) return ofBases.has(digest);
  }
  return false;
}

/** A recipe goes before a base: one that leads nowhere would hide what the base has. */
async function removeBroken(
  reader: StoreReader,
  tensor: Digest,
  ofBases: ReadonlySet<Digest>,
): Promise<void> {
  if ((await reader.recipe(tensor)) === undefined || (await isWhole(reader, tensor, ofBases))) return;
  await reader.backend.remove(recipeKey(tensor));
}

/** Whether its bytes are those of what it is coded against. */
function isCopy({ digest, base }: ArchiveTensor): boolean {
  return base?.digest === digest;
}

function manifestTensor({ name, dtype, shape, file, digest, quality, lossy }: ArchiveTensor): ManifestTensor {
  return {
    name,
    dtype,
    shape,
    file,
    digest,
    ...(quality === undefined ? {} : { quality }),
    ...(lossy === undefined ? {} : { lossy }),
  };
}

/** Chunks of several tensors: an object each. */
async function publishShared(
  backend: StoreBackend,
  archive: Archive,
): Promise<{ readonly chunks: ReadonlyMap<number, RecipeChunk>; readonly addedByteLength: number }> {
  const users = new Map<number, number>();
  for (const tensor of archive.index.tensors) {
    for (const chunk of chunksOf(tensor)) users.set(chunk, (users.get(chunk) ?? 0) + 1);
  }
  const chunks = new Map<number, RecipeChunk>();
  let addedByteLength = 0;
  for (const [chunk, count] of users) {
    if (count === 1) continue;
    const bytes = await archive.readChunk(chunk);
    const written = await writeObject(backend, bytes);
    const crc32 = archive.index.chunks[chunk]![1];
    chunks.set(chunk, { object: written.digest, byteOffset: 0, byteLength: bytes.byteLength, crc32 });
    addedByteLength += written.addedByteLength;
  }
  return { chunks, addedByteLength };
}

/** In ascending order, each once. */
function chunksOf({ terms }: ArchiveTensor): number[] {
  return [...new Set(terms.flatMap(({ chunks }) => chunks))].sort((x, y) => x - y);
}

/** @returns bytes that were added */
async function publishTensor(
  reader: StoreReader,
  archive: Archive,
  tensor: ArchiveTensor,
  shared: ReadonlyMap<number, RecipeChunk>,
): Promise<number> {
  const numbers = chunksOf(tensor);
  const own = numbers.filter((chunk) => !shared.has(chunk));
  const payload = await writePayload(reader.backend, archive, own);
  const chunks = new Map(shared);
  let byteOffset = 0;
  for (const chunk of own) {
    const [byteLength, crc32] = archive.index.chunks[chunk]!;
    chunks.set(chunk, { object: payload.digest, byteOffset, byteLength, crc32 });
    byteOffset += byteLength;
  }
  const { digest, dtype, shape, columns, base, terms } = tensor;
  const recipe: Recipe = {
    digest,
    dtype,
    shape,
    columns,
    ...(base === undefined
      ? {}
      : { reference: { digest: base.digest, dtype: base.dtype ?? dtype, shape: base.shape ?? shape } }),
    terms: terms.map((term) => ({ ...term, chunks: term.chunks.map((chunk) => numbers.indexOf(chunk)) })),
    chunks: numbers.map((chunk) => chunks.get(chunk)!),
  };
  const bytes = sealRecipe(recipe);
  await reader.backend.write(recipeKey(digest), bytes);
  return payload.addedByteLength + bytes.byteLength;
}

/** Chunks back to back as one object; they are read twice, as its name is its digest. */
async function writePayload(
  backend: StoreBackend,
  archive: Archive,
  chunks: readonly number[],
): Promise<WrittenObject> {
  const hash = createNodeHasher();
  let byteLength = 0;
  for (const chunk of chunks) {
    const bytes = await archive.readChunk(chunk);
    hash.update(bytes);
    byteLength += bytes.byteLength;
  }
  const digest = hash.digest();
  if (chunks.length === 0) return { digest, addedByteLength: 0 };
  const key = objectKey(digest);
  const found = await backend.stat(key);
  if (found?.byteLength === byteLength) return { digest, addedByteLength: 0 };
  await backend.write(key, piecesOf(archive, chunks));
  return { digest, addedByteLength: byteLength };
}

async function* piecesOf(
  archive: Archive,
  chunks: readonly number[],
): AsyncGenerator<Uint8Array, void, void> {
  for (const chunk of chunks) yield await archive.readChunk(chunk);
}

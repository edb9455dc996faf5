/**
 * gc: removes what nothing needs, and codes anew what takes too long to decode (docs/spec/store.md §11). What goes is
 * removed in the reverse of the order in which it was written, so that a process that is killed leaves only more to remove.
 */
import type { Digest } from '../../formats/ere/archive-index.js';
import { isEreError } from '../../formats/errors.js';
import type { GcOptions, GcReport } from './api.js';
import type { Key, StoreBackend, StoredValue } from './backend.js';
import { dependentsFirst } from './dependents-first.js';
import { digestOfKey, objectKey, recipeKey, removedKey, versionKey } from './layout.js';
import { EXCLUSIVE_KEY, withExclusiveLock } from './locks.js';
import { namedObjects, reachableVersions, tensorsOf } from './reachable.js';
import { reanchorVersions } from './reanchor.js';
import type { StoreReader } from './store-reader.js';
import { readSummaries, writeSummaries } from './summaries.js';

/** What was written so recently may be wanted again: a commit that was refused and is tried once more. */
const DEFAULT_GRACE_MS = 60 * 60 * 1000;

export async function collectGarbage(reader: StoreReader, options: GcOptions): Promise<GcReport> {
  const { backend } = reader;
  // What needs no room comes first: a full disk is what gc is called for.
  if (options.dryRun !== true) await backend.removeLeftovers();
  const first = await removeGarbage(reader, options);
  const reanchoredCount = await reanchorVersions(reader, options);
  if (reanchoredCount === 0 || options.dryRun === true) return { ...first, reanchoredCount };
  const second = await removeGarbage(reader, options);
  return {
    ...second,
    removedCount: first.removedCount + second.removedCount,
    removedByteLength: first.removedByteLength + second.removedByteLength,
    reanchoredCount,
  };
}

async function removeGarbage(
  reader: StoreReader,
  options: GcOptions,
): Promise<Omit<GcReport, 'reanchoredCount'>> {
  const { backend } = reader;
  const { dryRun = false, graceMs = DEFAULT_GRACE_MS } = options;
  return withExclusiveLock(backend, options, async (lock) => {
    reader.refresh();
    const youngerThan = (await nowOf(backend)) - graceMs;
    const sweep = await findGarbage(reader, youngerThan);
    if (!dryRun) {
      for (const { key } of sweep.garbage) {
        lock.assertHeld();
        await backend.remove(key);
      }
      await writeSummaries(reader, await readSummaries(reader));
    }
    return {
      removedCount: sweep.garbage.length,
      removedByteLength: sum(sweep.garbage),
      youngCount: sweep.youngCount,
      keptCount: sweep.kept.length,
      keptByteLength: sum(sweep.kept),
    };
  });
}

/** In the order in which they are emptied. */
const FOLDERS = ['versions', 'removed', 'tensors', 'objects'] as const;

/** Records that are read at once. */
const READS = 16;

/** The backend's clock, by which values are dated: the lock was written just now. */
async function nowOf(backend: StoreBackend): Promise<number> {
  return (await backend.stat(EXCLUSIVE_KEY))?.modifiedMs ?? Date.now();
}

interface Sweep {
  /** In the order in which it may be removed. */
  readonly garbage: readonly StoredValue[];
  readonly kept: readonly StoredValue[];
  readonly youngCount: number;
}

async function findGarbage(reader: StoreReader, youngerThan: number): Promise<Sweep> {
  const { backend } = reader;
  const isYoung = ({ modifiedMs }: StoredValue): boolean => modifiedMs > youngerThan;
  const list = async (folder: string): Promise<StoredValue[]> => {
    const values: StoredValue[] = [];
    for await (const value of backend.list(folder)) values.push(value);
    return values;
  };
  const digestsOf = (values: readonly StoredValue[]): Digest[] =>
    values.map(({ key }) => digestOfKey(key, backend.location));
  const versions = await list('versions');
  const recipes = await list('tensors');
  // What is young is kept with everything that it needs.
  const { versions: living, removed: tombstones } = await reachableVersions(
    reader,
    digestsOf(versions.filter(isYoung)),
  );
  const youngRecipes = digestsOf(recipes.filter(isYoung));
  const trace = await reader.trace([...tensorsOf(living.values()), ...youngRecipes]);
  const needed = new Set<Key>();
  for (const id of living.keys()) needed.add(versionKey(id));
  for (const id of tombstones) needed.add(removedKey(id));
  for (const digest of trace.recipes.keys()) needed.add(recipeKey(digest));
  for (const object of namedObjects(living.values(), trace)) needed.add(objectKey(object));

  const garbage = new Map<Key, StoredValue>();
  const kept: StoredValue[] = [];
  let youngCount = 0;
  const values = {
    versions,
    removed: await list('removed'),
    tensors: recipes,
    objects: await list('objects'),
  };
  for (const folder of FOLDERS) {
    for (const value of values[folder]) {
      const isNeeded = needed.has(value.key);
      if (!isNeeded && isYoung(value)) youngCount++;
      if (isNeeded || isYoung(value)) kept.push(value);
      else garbage.set(value.key, value);
    }
  }
  return { garbage: await inOrderOfRemoval(reader, garbage), kept, youngCount };
}

/**
 * Folders stay in their order. In each a value goes before what it refers to: versions before their parents and bases,
 * recipes before those of their references.
 */
async function inOrderOfRemoval(
  reader: StoreReader,
  garbage: ReadonlyMap<Key, StoredValue>,
): Promise<StoredValue[]> {
  const needs = new Map<Key, readonly Key[]>();
  const readNext = async (keys: Key[]): Promise<void> => {
    for (let key = keys.pop(); key !== undefined; key = keys.pop())
      needs.set(key, await referredTo(reader, key));
  };
  const keys = [...garbage.keys()];
  await Promise.all(Array.from({ length: READS }, () => readNext(keys)));
  const ordered = dependentsFirst(garbage.keys(), (key) => needs.get(key)!).map((key) => garbage.get(key)!);
  return FOLDERS.flatMap((folder) => ordered.filter(({ key }) => key.startsWith(`${folder}/`)));
}

/** Keys of the same folder; none where the value is damaged, as nothing can be made from it then. */
async function referredTo(reader: StoreReader, key: Key): Promise<readonly Key[]> {
  try {
    const digest = digestOfKey(key, reader.backend.location);
    if (key.startsWith('versions/')) {
      const { parents, base } = (await reader.version(digest)).manifest;
      return [...parents, ...(base === undefined ? [] : [base.id])].map(versionKey);
    }
    if (key.startsWith('tensors/')) {
      const reference = (await reader.recipe(digest))?.reference;
      return reference === undefined ? [] : [recipeKey(reference.digest)];
    }
    return [];
  } catch (error) {
    if (isEreError(error, 'ERE_FORMAT', 'ERE_INTEGRITY', 'ERE_LIMIT')) return [];
    throw error;
  }
}

function sum(values: readonly StoredValue[]): number {
  return values.reduce((total, { byteLength }) => total + byteLength, 0);
}

/**
 * gc: codes anew what takes too long to decode, then removes what nothing needs (docs/spec/store.md §11). What goes is
 * removed in the reverse of the order in which it was written, so that a process that is killed leaves only more to remove.
 */
import type { Digest } from '../../formats/ere/archive-index.js';
import type { GcOptions, GcReport } from './api.js';
import type { Key, StoreBackend, StoredValue } from './backend.js';
import { digestOfKey, objectKey, recipeKey, removedKey, versionKey } from './layout.js';
import { withExclusiveLock } from './locks.js';
import { namedObjects, reachableVersions, tensorsOf } from './reachable.js';
import { reanchorVersions } from './reanchor.js';
import type { StoreReader } from './store-reader.js';
import { readSummaries, writeSummaries } from './summaries.js';

/** Long enough for a checkout of a version that was just removed. */
const DEFAULT_GRACE_MS = 60 * 60 * 1000;

export async function collectGarbage(reader: StoreReader, options: GcOptions): Promise<GcReport> {
  const { backend } = reader;
  const { dryRun = false, graceMs = DEFAULT_GRACE_MS } = options;
  const reanchoredCount = await reanchorVersions(reader, options);
  return withExclusiveLock(backend, options, async () => {
    reader.refresh();
    const youngerThan = (await nowOf(backend)) - graceMs;
    const sweep = await findGarbage(reader, youngerThan);
    if (!dryRun) {
      for (const { key } of sweep.garbage) await backend.remove(key);
      await backend.removeLeftovers();
      await writeSummaries(reader, await readSummaries(reader));
    }
    return {
      removedCount: sweep.garbage.length,
      removedByteLength: sum(sweep.garbage),
      youngCount: sweep.youngCount,
      reanchoredCount,
      keptCount: sweep.kept.length,
      keptByteLength: sum(sweep.kept),
    };
  });
}

/** The backend's clock, by which values are dated: the lock was written just now. */
async function nowOf(backend: StoreBackend): Promise<number> {
  return (await backend.stat('locks/exclusive'))?.modifiedMs ?? Date.now();
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
  const { versions: living, removed } = await reachableVersions(reader, digestsOf(versions.filter(isYoung)));
  const youngRecipes = digestsOf(recipes.filter(isYoung));
  const trace = await reader.trace([...tensorsOf(living.values()), ...youngRecipes]);
  const needed = new Set<Key>();
  for (const id of living.keys()) needed.add(versionKey(id));
  for (const id of removed) needed.add(removedKey(id));
  for (const digest of trace.recipes.keys()) needed.add(recipeKey(digest));
  for (const object of namedObjects(living.values(), trace)) needed.add(objectKey(object));

  const garbage: StoredValue[] = [];
  const kept: StoredValue[] = [];
  let youngCount = 0;
  for (const values of [versions, await list('removed'), recipes, await list('objects')]) {
    for (const value of values) {
      const isNeeded = needed.has(value.key);
      if (!isNeeded && isYoung(value)) youngCount++;
      (isNeeded || isYoung(value) ? kept : garbage).push(value);
    }
  }
  return { garbage, kept, youngCount };
}

function sum(values: readonly StoredValue[]): number {
  return values.reduce((total, { byteLength }) => total + byteLength, 0);
}

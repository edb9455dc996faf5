/** openStore: a versioned store of fine-tunes (docs/spec/store.md), as one object. */
import { ConflictError } from '../../formats/errors.js';
import type { Store } from './api.js';
import type { StoreBackend } from './backend.js';
import { openBackend } from './backends/open-backend.js';
import { FORMAT_KEY, FORMAT_TEXT } from './layout.js';
import { assertFormat, baseSummary, StoreReader } from './store-reader.js';

/**
 * Makes a store.
 * @param location a folder, which is made where there is none, `s3://bucket/prefix`, or a backend that is open
 * @throws RangeError for a malformed URL; ConflictError where there is a store already
 */
export async function initStore(location: string | StoreBackend): Promise<Store> {
  const backend = typeof location === 'string' ? await openBackend(location, { create: true }) : location;
  const format = new TextEncoder().encode(FORMAT_TEXT);
  if (!(await backend.compareAndSwap(FORMAT_KEY, undefined, format))) {
    throw new ConflictError(`${backend.location}: there is a store already`);
  }
  return storeOf(backend);
}

/**
 * Opens a store.
 * @param location a folder, `s3://bucket/prefix`, the URL of a published store, or a backend that is open
 * @throws RangeError for a malformed URL; NotFoundError where there is none; UnsupportedError for one of another layout version
 */
export async function openStore(location: string | StoreBackend): Promise<Store> {
  const backend = typeof location === 'string' ? await openBackend(location) : location;
  try {
    await assertFormat(backend);
  } catch (error) {
    await backend.close().catch(() => {});
    throw error;
  }
  return storeOf(backend);
}

/** Operations are imported when they are called: `log` takes no encoder along. */
function storeOf(backend: StoreBackend): Store {
  // Each operation reads anew: others may have written since the last one.
  const reader = (): StoreReader => new StoreReader(backend);
  const commit: Store['commit'] = async (path, options) =>
    (await import('./commit.js')).commitVersion(reader(), path, options);
  return {
    location: backend.location,
    addBase: async (name, path, options = {}) =>
      (await import('./add-base.js')).addBase(reader(), name, path, options),
    bases: async () => (await reader().bases()).map(baseSummary),
    commit,
    log: async (options = {}) => (await import('./log.js')).logVersions(reader(), options),
    show: async (ref) => (await import('./show.js')).showVersion(reader(), ref),
    diff: async (from, to, options = {}) =>
      (await import('./diff-versions.js')).diffVersions(reader(), from, to, options),
    checkout: async (ref, options) => {
      const { checkoutVersion } = await import('./checkout.js');
      const current = reader();
      return checkoutVersion(current, await current.resolve(ref), options);
    },
    refs: async () => (await import('./change-refs.js')).listNames(reader()),
    tag: async (name, ref, options = {}) =>
      (await import('./change-refs.js')).pointAt(reader(), 'tag', name, ref, options),
    branch: async (name, ref, options = {}) =>
      (await import('./change-refs.js')).pointAt(reader(), 'model', name, ref, options),
    remove: async (ref, options = {}) => (await import('./change-refs.js')).removeRef(reader(), ref, options),
    gc: async (options = {}) => (await import('./gc.js')).collectGarbage(reader(), options),
    fsck: async (options = {}) => (await import('./fsck.js')).checkStore(reader(), options),
    stats: async () => (await import('./stats.js')).storeStats(reader()),
    export: async (ref, options) => {
      const { exportVersion } = await import('./export.js');
      const current = reader();
      return exportVersion(current, await current.resolve(ref), options);
    },
    import: async (archive, options = {}) =>
      (await import('./import.js')).importArchive(reader(), archive, options),
    writeInventory: async ({ signal } = {}) => {
      const { writeInventory } = await import('./backends/inventory.js');
      return { valueCount: await writeInventory(backend, { signal }) };
    },
    put: commit,
    get: async (ref, options = {}) => {
      const { openStored } = await import('./get.js');
      const current = reader();
      return openStored(current, await current.resolve(ref), options);
    },
    close: () => backend.close(),
  };
}

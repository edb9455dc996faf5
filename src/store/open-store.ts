/** openStore: a versioned store of fine-tunes (docs/spec/store.md), as one object. */
import { ConflictError } from '../../formats/errors.js';
import { addBase } from './add-base.js';
import type { Store } from './api.js';
import type { StoreBackend } from './backend.js';
import { openFolderBackend } from './backends/file-system.js';
import { listNames, pointAt, removeRef } from './change-refs.js';
import { checkoutVersion } from './checkout.js';
import { commitVersion } from './commit.js';
import { diffVersions } from './diff-versions.js';
import { exportVersion } from './export.js';
import { checkStore } from './fsck.js';
import { collectGarbage } from './gc.js';
import { openStored } from './get.js';
import { importArchive } from './import.js';
import { FORMAT_KEY, FORMAT_TEXT } from './layout.js';
import { logVersions } from './log.js';
import { showVersion } from './show.js';
import { storeStats } from './stats.js';
import { assertFormat, baseSummary, StoreReader } from './store-reader.js';

/** Name of a store's folder inside the folder it belongs to. */
export const STORE_FOLDER = '.ere-store';

/**
 * Makes a store.
 * @param location a folder, which is made where there is none, or a backend that is open
 * @throws ConflictError where there is a store already
 */
export async function initStore(location: string | StoreBackend): Promise<Store> {
  const backend =
    typeof location === 'string' ? await openFolderBackend(location, { create: true }) : location;
  const format = new TextEncoder().encode(FORMAT_TEXT);
  if (!(await backend.compareAndSwap(FORMAT_KEY, undefined, format))) {
    throw new ConflictError(`${backend.location}: there is a store already`);
  }
  return storeOf(backend);
}

/**
 * Opens a store.
 * @param location a folder, or a backend that is open
 * @throws NotFoundError where there is none; UnsupportedError for one of another layout version
 */
export async function openStore(location: string | StoreBackend): Promise<Store> {
  const backend = typeof location === 'string' ? await openFolderBackend(location) : location;
  try {
    await assertFormat(backend);
  } catch (error) {
    await backend.close().catch(() => {});
    throw error;
  }
  return storeOf(backend);
}

function storeOf(backend: StoreBackend): Store {
  // Each operation reads anew: others may have written since the last one.
  const reader = (): StoreReader => new StoreReader(backend);
  return {
    location: backend.location,
    addBase: (name, path, options = {}) => addBase(reader(), name, path, options),
    bases: async () => (await reader().bases()).map(baseSummary),
    commit: (path, options) => commitVersion(reader(), path, options),
    log: (options = {}) => logVersions(reader(), options),
    show: (ref) => showVersion(reader(), ref),
    diff: (from, to, options = {}) => diffVersions(reader(), from, to, options),
    checkout: async (ref, options) => {
      const current = reader();
      return checkoutVersion(current, await current.resolve(ref), options);
    },
    refs: () => listNames(reader()),
    tag: (name, ref, options = {}) => pointAt(reader(), 'tag', name, ref, options),
    branch: (name, ref, options = {}) => pointAt(reader(), 'model', name, ref, options),
    remove: (ref, options = {}) => removeRef(reader(), ref, options),
    gc: (options = {}) => collectGarbage(reader(), options),
    fsck: (options = {}) => checkStore(reader(), options),
    stats: () => storeStats(reader()),
    export: async (ref, options) => {
      const current = reader();
      return exportVersion(current, await current.resolve(ref), options);
    },
    import: (archive, options = {}) => importArchive(reader(), archive, options),
    put: (path, options) => commitVersion(reader(), path, options),
    get: async (ref, options = {}) => {
      const current = reader();
      return openStored(current, await current.resolve(ref), options);
    },
    close: () => backend.close(),
  };
}

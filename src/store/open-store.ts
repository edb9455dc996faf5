/** openStore: a versioned store of fine-tunes (docs/spec/store.md), as one object. */
import { ConflictError } from '../../formats/errors.js';
import { addBase } from './add-base.js';
import type { Store } from './api.js';
import type { StoreBackend } from './backend.js';
import { openFolderBackend } from './backends/file-system.js';
import { checkoutVersion } from './checkout.js';
import { commitVersion } from './commit.js';
import { FORMAT_KEY, FORMAT_TEXT } from './layout.js';
import { assertFormat, baseSummary, StoreReader } from './store-reader.js';

/** Name of a store's folder inside the folder it belongs to. */
export const STORE_FOLDER = '.ere-store';

/**
 * Makes a store.
 * @param location a folder, which is made where there is none
 * @throws ConflictError where there is a store already
 */
export async function initStore(location: string): Promise<Store> {
  const backend = await openFolderBackend(location, { create: true });
  const format = new TextEncoder().encode(FORMAT_TEXT);
  if (!(await backend.compareAndSwap(FORMAT_KEY, undefined, format))) {
    throw new ConflictError(`${location}: there is a store already`);
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
  const store: Pick<Store, 'location'|'addBase'|'bases'|'commit'|'checkout'|'put'|'close'> = storeParts();
  /** A reader that has seen nothing yet: others may have written since the last operation. */
  const fresh = (): StoreReader => new StoreReader(backend);
  return store as Store;
  function storeParts(): typeof store { return {
    location: backend.location,
    addBase: (name, path, options = {}) => addBase(fresh(), name, path, options),
    bases: async () => (await fresh().bases()).map(baseSummary),
    commit: (path, options) => commitVersion(fresh(), path, options),
    checkout: async (ref, options) => {
      const current = fresh();
      return checkoutVersion(current, await current.resolve(ref), options);
    },
    put: (path, options) => commitVersion(fresh(), path, options),
    close: () => backend.close(),
  };}
}

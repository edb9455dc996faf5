/**
 * Reading without a lock (docs/spec/store.md §10): gc may code a version anew and remove what it was decoded from while
 * it is read. Its new recipes are there before the old objects go, so that whoever reads it begins again with them.
 */
import { isEreError, NotFoundError } from '../../formats/errors.js';
import { type StoredVersion, shortId } from './manifest.js';
import type { StoreReader } from './store-reader.js';
import { neededKeys } from './version-sources.js';

/** Each time gc has to have coded the version anew meanwhile. */
const MAX_TRIES = 5;

/**
 * Runs `work`, which reads a version, again where what it reads has been replaced.
 * @throws NotFoundError also where the version was removed meanwhile
 */
export async function whileStored<T>(
  reader: StoreReader,
  version: StoredVersion,
  work: () => Promise<T>,
): Promise<T> {
  for (let i = 1; ; i++) {
    const before = await currentKeys(reader, version);
    try {
      return await work();
    } catch (error) {
      if (!isEreError(error, 'ERE_NOT_FOUND') || i === MAX_TRIES) throw error;
      if ((await reader.findVersion(version.id)) === undefined) {
        const what = `version ${shortId(version.id)} was removed while it was read`;
        throw new NotFoundError(`${reader.backend.location}: ${what}`, { cause: error });
      }
      reader.refresh();
      if ((await currentKeys(reader, version)) === before) throw error;
    }
  }
}

async function currentKeys(reader: StoreReader, version: StoredVersion): Promise<string> {
  const trace = await reader.trace(version.manifest.tensors.map(({ digest }) => digest));
  return neededKeys(version, trace).sort().join();
}

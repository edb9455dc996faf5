/** Removing what killed writers have left under `tmp/` (docs/spec/store-backends.md §3.3). */
import { lstat, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { throwIfAborted } from '../../io/abort.js';
import { isSystemError } from '../../io/io-error.js';
import { freeOrHolder, namesIn } from './key-lock.js';
import { isOfGoneWriter, isOfRunningWriter } from './writer-names.js';

/**
 * Of processes of other hosts nothing is known but when they did something last. One that writes again after a day
 * finds its file gone, and fails without harm.
 */
const FOREIGN_AGE_MS = 24 * 60 * 60 * 1000;

/** Removes the temporary files and locks of processes that are gone. @returns bytes of the files; system errors unchanged */
export async function removeFolderLeftovers(
  temporaryFolder: string,
  signal: AbortSignal | undefined,
): Promise<number> {
  let byteLength = 0;
  for (const name of (await namesIn(temporaryFolder)) ?? []) {
    throwIfAborted(signal);
    const path = join(temporaryFolder, name);
    const info = await statIfThere(path);
    if (info === undefined) continue;
    const isOld = Date.now() - info.mtimeMs > FOREIGN_AGE_MS;
    const isLeft = (writer: string) => isOfGoneWriter(writer) || (isOld && !isOfRunningWriter(writer));
    if (name.startsWith('lock-')) {
      await freeOrHolder(path, isLeft);
    } else if (isLeft(name)) {
      await rm(path, { recursive: true, force: true });
      if (info.isFile()) byteLength += info.size;
    }
  }
  return byteLength;
}

async function statIfThere(path: string) {
  try {
    return await lstat(path);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Flushing files and folders to the disk, so that a rename never shows a name without its bytes. */
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError } from './io-error.js';

/** What systems without the operation answer: Windows cannot open a folder, some network shares cannot flush one. */
const UNSUPPORTED = ['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'EISDIR', 'EPERM', 'EACCES', 'ENOSYS'];

/** Flushes the bytes of a file. */
export async function syncFile(path: string): Promise<void> {
  // Windows flushes only what is open for writing; elsewhere the file may be read-only by now.
  const handle = await open(path, process.platform === 'win32' ? 'r+' : 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Flushes a folder's list of names; does nothing where the system has no such operation. */
export async function syncFolder(path: string): Promise<void> {
  try {
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (!isSystemError(error, ...UNSUPPORTED)) throw error;
  }
}

/** Flushes every file and folder under `path`, and itself last. */
export async function syncTree(path: string): Promise<void> {
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const entryPath = join(path, entry.name);
    if (entry.isDirectory()) await syncTree(entryPath);
    else if (entry.isFile()) await syncFile(entryPath);
  }
  await syncFolder(path);
}

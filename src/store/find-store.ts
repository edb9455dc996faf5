/** Where the store of a folder is: as git finds its repository, in the folder itself or the nearest one above. */
import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { isSystemError, toIoError } from '../io/io-error.js';
import { STORE_FOLDER } from './store-folder.js';

/**
 * Path of the nearest `.ere-store`, in `folder` or one above it; undefined where there is none.
 * @throws IoError where a folder cannot be looked into
 */
export async function findStore(folder: string): Promise<string | undefined> {
  let at = resolve(folder);
  for (;;) {
    const candidate = join(at, STORE_FOLDER);
    if (await isFolder(candidate)) return candidate;
    const above = dirname(at);
    if (above === at) return undefined;
    at = above;
  }
}

/** Whether there is something at a path, of any kind; what cannot be looked at is not there. */
export async function pathExists(path: string): Promise<boolean> {
  return (await statOf(path)) !== undefined;
}

async function isFolder(path: string): Promise<boolean> {
  return (await statOf(path))?.isDirectory() ?? false;
}

/** Undefined where there is nothing, or nothing that is open to us: a folder above may be closed. */
async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'ELOOP', 'ENAMETOOLONG'))
      return undefined;
    throw toIoError(error, 'look', path);
  }
}

/** The archives in a folder, and in folders in it: `name.ere` and `user/name.ere`. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError, withIoErrors } from './io-error.js';

export interface ArchiveFile {
  /** Path in the folder with `/`, without the extension. */
  readonly name: string;
  readonly path: string;
  readonly byteLength: number;
  /** ISO 8601, UTC. */
  readonly changedAt: string;
}

const EXTENSION = '.ere';

/** Sorted by name; hidden ones are left out. @throws NotFoundError, IoError */
export async function listArchiveFiles(folder: string): Promise<ArchiveFile[]> {
  const found: ArchiveFile[] = [];
  const look = async (prefix: string, depth: number): Promise<void> => {
    const path = join(folder, prefix);
    for (const entry of await withIoErrors('list', path, () => readdir(path, { withFileTypes: true }))) {
      if (entry.name.startsWith('.')) continue;
      const relative = `${prefix}${entry.name}`;
      if (entry.isDirectory() && depth > 1) await look(`${relative}/`, depth - 1);
      else if (relative.endsWith(EXTENSION)) {
        const file = await fileAt(join(folder, relative));
        if (file !== undefined) found.push({ name: relative.slice(0, -EXTENSION.length), ...file });
      }
    }
  };
  await look('', 2);
  return found.sort((x, y) => (x.name < y.name ? -1 : 1));
}

/** Undefined for what is no file, or gone again. */
async function fileAt(path: string): Promise<Omit<ArchiveFile, 'name'> | undefined> {
  try {
    const info = await stat(path);
    return info.isFile() ? { path, byteLength: info.size, changedAt: info.mtime.toISOString() } : undefined;
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ELOOP', 'EACCES')) return undefined;
    throw error;
  }
}

/**
 * The layout of the local Hugging Face cache (huggingface_hub, "Understand caching"):
 * models--ORG--NAME/ refs/main → revision · snapshots/REVISION/… → symbolic links into · blobs/DIGEST
 */
import { readdir, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { NotFoundError } from '../../formats/errors.js';
import { readSmallFile } from './file-source.js';
import { withIoErrors } from './io-error.js';

/** A revision is a commit hash of 40 digits. */
const REVISION_BYTE_LENGTH = 256;

/**
 * The snapshot that a repository folder of the cache stands for: that of `main`, or the only one.
 * Any other folder comes back unchanged.
 * @throws NotFoundError when it has no snapshot, or several and no `main`
 */
export async function resolveHubCacheFolder(folder: string): Promise<string> {
  const snapshots = join(folder, 'snapshots');
  if (!(await isFolder(snapshots)) || !(await isFolder(join(folder, 'blobs')))) return folder;
  const revisions = await withIoErrors('list', snapshots, () => readdir(snapshots));
  const main = await readRevision(join(folder, 'refs', 'main'));
  if (main !== undefined && revisions.includes(main)) return join(snapshots, main);
  if (revisions.length === 1) return join(snapshots, revisions[0]);
  const found = revisions.length === 0 ? 'none' : revisions.sort().join(', ');
  throw new NotFoundError(
    `${folder}: expected a snapshot of main; name one of its snapshots, found ${found}`,
  );
}

/**
 * The folder that the files of a snapshot link into; undefined for a folder outside of the cache.
 * @param realFolder a path without symbolic links
 */
export function hubCacheBlobs(realFolder: string): string | undefined {
  const segments = realFolder.split(sep);
  const snapshots = segments.lastIndexOf('snapshots');
  if (snapshots < 1 || !segments[snapshots - 1].startsWith('models--')) return undefined;
  return [...segments.slice(0, snapshots), 'blobs'].join(sep);
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}

async function readRevision(path: string): Promise<string | undefined> {
  try {
    return new TextDecoder().decode(await readSmallFile(path, REVISION_BYTE_LENGTH)).trim();
  } catch {
    return undefined;
  }
}

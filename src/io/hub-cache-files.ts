/**
 * Writing the local Hugging Face cache as huggingface_hub does, so that it and we use each other's downloads:
 * blobs/ETAG hold contents, snapshots/COMMIT/PATH are links to them, refs/REVISION tell commits. A blob gets its name
 * only when its length and hash are right; until then it is `ETAG.….ere.incomplete`, and a later run goes on with it.
 */
import { createHash, type Hash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import {
  copyFile,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { IntegrityError, IoError } from '../../formats/errors.js';
import { readSmallFile } from './file-source.js';
import type { GrowingFile } from './growing-file.js';
import { isSystemError, toIoError, withIoErrors } from './io-error.js';
import { handleOutput } from './output-file.js';
import { hasEnded, processTag } from './process-identity.js';

/** A blob of the cache, by what the Hub says of it. */
export interface CacheBlob {
  /** Folder of the repository: `models--org--name`. */
  readonly folder: string;
  /** Name of the contents: their SHA-256, or git's blob hash; anything else cannot be checked. */
  readonly etag: string;
  readonly byteLength: number;
  /** For messages. */
  readonly shown: string;
}

const READ_BYTE_LENGTH = 4 << 20;
const COMMIT = /^[0-9a-f]{40}$/;

/** Folder of a repository in the cache. */
export function hubCacheRepo(cacheFolder: string, repo: string): string {
  return join(cacheFolder, `models--${repo.replaceAll('/', '--')}`);
}

/** Folder of a commit's files; nothing need be there. */
export function hubCacheSnapshot(repoFolder: string, commit: string): string {
  return join(repoFolder, 'snapshots', commit);
}

/** The commit that a branch or tag was when it was last asked for; undefined where it never was. */
export async function readHubCacheRef(repoFolder: string, revision: string): Promise<string | undefined> {
  try {
    const bytes = await readSmallFile(join(repoFolder, 'refs', ...revision.split('/')), 256);
    const commit = new TextDecoder().decode(bytes).trim();
    return COMMIT.test(commit) ? commit : undefined;
  } catch {
    return undefined;
  }
}

/** Records the commit of a branch or tag. */
export async function writeHubCacheRef(repoFolder: string, revision: string, commit: string): Promise<void> {
  const path = join(repoFolder, 'refs', ...revision.split('/'));
  await withIoErrors('write', path, async () => {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, commit);
  });
}

/** Length of the file that a snapshot has at a path; undefined where it has none. */
export async function hubCacheFileLength(snapshot: string, path: string): Promise<number | undefined> {
  try {
    const info = await stat(join(snapshot, path));
    return info.isFile() ? info.size : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the contents are in the cache already. */
export async function hasHubCacheBlob({ folder, etag, byteLength }: CacheBlob): Promise<boolean> {
  const info = await stat(join(folder, 'blobs', etag)).catch(() => undefined);
  return info?.isFile() === true && info.size === byteLength;
}

/**
 * Fills a blob, going on behind what an earlier run has left; runs at the same time do not meet.
 * @param fetchFrom gives out all bytes from an offset on
 * @param reader is told what is in the file
 * @throws IntegrityError where the bytes have another length or hash than the Hub told; they are removed then
 */
export async function fillHubCacheBlob(
  blob: CacheBlob,
  fetchFrom: (offset: number, sink: (piece: Uint8Array) => Promise<void>) => Promise<void>,
  reader?: GrowingFile,
): Promise<void> {
  const blobs = join(blob.folder, 'blobs');
  await withIoErrors('create', blobs, () => mkdir(blobs, { recursive: true }));
  const part = await claimPart(blobs, blob.etag);
  try {
    await fillPart(blob, part, fetchFrom, reader);
  } catch (error) {
    // For the next run; the first error is the one to tell.
    await rename(part, join(blobs, `${blob.etag}${PART_SUFFIX}`)).catch(() => {});
    throw error;
  }
  const path = join(blobs, blob.etag);
  await withIoErrors('write', path, () => rename(part, path));
}

/** Of parts that nobody works on; with the tag of a process and a number before it, of those that it does. */
const PART_SUFFIX = '.ere.incomplete';
const CLAIM = /^\.([0-9a-f]+-\d+-\d+)\.[0-9a-f]{8}$/;

/** A file that is this call's alone: what an earlier run has left, or an empty one. Renaming lets one claim win. */
async function claimPart(blobs: string, etag: string): Promise<string> {
  const own = join(blobs, `${etag}.${processTag()}.${randomBytes(4).toString('hex')}${PART_SUFFIX}`);
  const names = await withIoErrors('list', blobs, () => readdir(blobs));
  for (const name of names) {
    if (!name.startsWith(etag) || !name.endsWith(PART_SUFFIX)) continue;
    const claim = name.slice(etag.length, -PART_SUFFIX.length);
    const tag = CLAIM.exec(claim)?.[1];
    if (claim !== '' && (tag === undefined || !hasEnded(tag))) continue;
    try {
      await rename(join(blobs, name), own);
      return own;
    } catch (error) {
      if (!isSystemError(error, 'ENOENT')) throw toIoError(error, 'write', join(blobs, name));
    }
  }
  return own;
}

async function fillPart(
  blob: CacheBlob,
  part: string,
  fetchFrom: (offset: number, sink: (piece: Uint8Array) => Promise<void>) => Promise<void>,
  reader: GrowingFile | undefined,
): Promise<void> {
  // Not in append mode, where the system ignores positions; not truncated either.
  const flags = constants.O_RDWR | constants.O_CREAT;
  const handle = await withIoErrors('create', part, () => open(part, flags));
  try {
    const found = (await handle.stat()).size;
    // Longer than the whole: of something else.
    if (found > blob.byteLength) await withIoErrors('write', part, () => handle.truncate(0));
    let position = found > blob.byteLength ? 0 : found;
    const hash = contentHash(blob);
    const room = Buffer.allocUnsafe(Math.min(READ_BYTE_LENGTH, position));
    for (let at = 0; at < position; ) {
      const wanted = Math.min(room.length, position - at);
      const { bytesRead } = await withIoErrors('read', part, () => handle.read(room, 0, wanted, at));
      if (bytesRead === 0) throw new IoError(`${part}: became shorter while it was read`);
      hash?.update(room.subarray(0, bytesRead));
      at += bytesRead;
    }
    await reader?.begin(part, position);
    const output = handleOutput(handle, part);
    if (position < blob.byteLength) {
      await fetchFrom(position, async (piece) => {
        await output.writeAt(position, piece);
        hash?.update(piece);
        position += piece.byteLength;
        reader?.wrote(position);
      });
    }
    await withIoErrors('write', part, () => handle.sync());
    await assertContents(blob, position, hash, part);
  } finally {
    await handle.close();
  }
}

async function assertContents(
  { etag, byteLength, shown }: CacheBlob,
  found: number,
  hash: Hash | undefined,
  incomplete: string,
): Promise<void> {
  const actual = hash?.digest('hex') ?? etag;
  if (found === byteLength && actual === etag) return;
  await rm(incomplete, { force: true });
  if (found !== byteLength) throw new IntegrityError(shown, `${byteLength} bytes`, `${found}`);
  throw new IntegrityError(shown, `hash ${etag}`, actual, 'what came over the network was damaged');
}

/** SHA-256 of LFS objects; of others git's: SHA-1 over "blob", length, NUL and the contents. */
function contentHash({ etag, byteLength }: CacheBlob): Hash | undefined {
  if (/^[0-9a-f]{64}$/.test(etag)) return createHash('sha256');
  if (/^[0-9a-f]{40}$/.test(etag)) return createHash('sha1').update(`blob ${byteLength}\0`);
  return undefined;
}

/** Makes a blob a file of a commit: a link, or a copy where the system has no links. */
export async function linkHubCacheFile(blob: CacheBlob, commit: string, path: string): Promise<string> {
  const target = join(blob.folder, 'blobs', blob.etag);
  const link = join(hubCacheSnapshot(blob.folder, commit), path);
  await withIoErrors('create', link, async () => {
    await mkdir(dirname(link), { recursive: true });
    const info = await lstat(link).catch(() => undefined);
    if (info !== undefined) await rm(link);
    try {
      await symlink(relative(dirname(link), target), link);
    } catch (error) {
      if (isSystemError(error, 'EEXIST')) return;
      if (!isSystemError(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EACCES')) throw error;
      await copyFile(target, link);
    }
  });
  return link;
}

/** Every file of a snapshot, as sorted relative paths; none where there is no such folder. */
export async function listHubCacheFiles(snapshot: string): Promise<string[]> {
  const paths: string[] = [];
  const walk = async (prefix: string): Promise<void> => {
    const entries = await readdir(join(snapshot, prefix), { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      if (entry.isDirectory()) await walk(`${prefix}${entry.name}/`);
      else paths.push(`${prefix}${entry.name}`);
    }
  };
  await walk('');
  return paths.sort();
}

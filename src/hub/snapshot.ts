/** Files of a commit in the local cache: taken from there, or downloaded to it in the standard layout. */
import { HubError, isEreError } from '../../formats/errors.js';
import { assertSafeRelativePath } from '../../formats/relative-path.js';
import type { GrowingFile } from '../io/growing-file.js';
import {
  type CacheBlob,
  fillHubCacheBlob,
  hasHubCacheBlob,
  hubCacheFileLength,
  hubCacheRepo,
  hubCacheSnapshot,
  linkHubCacheFile,
  readHubCacheRef,
  writeHubCacheRef,
} from '../io/hub-cache-files.js';
import type { Progress } from '../residual/api.js';
import { findCommit, resolveCommit } from './client.js';
import { downloadRange, type HubFile, statHubFile } from './hub-file.js';
import { isCommitHash, type RepoRevision } from './repo-name.js';
import type { HubAccess } from './request.js';

/** A repository at a commit. */
export interface PinnedRepo {
  readonly repo: string;
  readonly commit: string;
}

/** Damage on the way is rare and passes; damage twice is of the file. */
const DOWNLOAD_ATTEMPTS = 2;

/**
 * The commit of a revision: itself, as the Hub tells, or offline as the cache remembers.
 * @throws HubError where nobody knows it
 */
export async function pinRepo(access: HubAccess, { repo, revision }: RepoRevision): Promise<PinnedRepo> {
  if (revision !== undefined && isCommitHash(revision)) return { repo, commit: revision };
  const name = revision ?? 'main';
  const folder = hubCacheRepo(access.cacheFolder, repo);
  if (!access.isOffline) {
    const commit = await resolveCommit(access, repo, name);
    return { repo, commit };
  }
  const commit = await readHubCacheRef(folder, name);
  if (commit !== undefined) return { repo, commit };
  throw new HubError(
    `${repo}@${name}: is not in the cache ${access.cacheFolder}, and HF_HUB_OFFLINE forbids to ask the Hub`,
  );
}

/** As `pinRepo`; undefined where the Hub has no such repository or revision. */
export async function findPinned(
  access: HubAccess,
  { repo, revision = 'main' }: RepoRevision,
): Promise<PinnedRepo | undefined> {
  const commit = await findCommit(access, repo, revision);
  return commit === undefined ? undefined : { repo, commit };
}

/** Folder of the commit in the cache; nothing need be there. */
export function snapshotFolder(access: HubAccess, { repo, commit }: PinnedRepo): string {
  return hubCacheSnapshot(hubCacheRepo(access.cacheFolder, repo), commit);
}

/** Records which commit a branch or tag is, for offline runs. */
export async function rememberRevision(
  access: HubAccess,
  { repo, commit }: PinnedRepo,
  revision: string | undefined,
): Promise<void> {
  const name = revision ?? 'main';
  if (!isCommitHash(name)) await writeHubCacheRef(hubCacheRepo(access.cacheFolder, repo), name, commit);
}

export interface FetchedFiles {
  /** Folder that holds them. */
  readonly folder: string;
  /** Bytes that came over the network. */
  readonly downloadedByteLength: number;
}

export interface FetchOptions {
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Is told what of a single file is there while it is downloaded; where that was damaged, not of the second time. */
  readonly reader?: GrowingFile;
}

/**
 * Brings files of a commit into the cache, those that are not there yet.
 * @throws HubError, IntegrityError when a file comes damaged twice; IoError
 */
export async function fetchSnapshot(
  access: HubAccess,
  pinned: PinnedRepo,
  paths: readonly string[],
  { onProgress, reader }: FetchOptions = {},
): Promise<FetchedFiles> {
  const folder = snapshotFolder(access, pinned);
  const missing: HubFile[] = [];
  for (const path of paths) {
    assertSafeRelativePath(path, { format: 'hub', file: pinned.repo });
    if ((await hubCacheFileLength(folder, path)) !== undefined) continue;
    missing.push(await statHubFile(access, pinned.repo, pinned.commit, path));
  }
  const totalByteLength = missing.reduce((sum, { byteLength }) => sum + byteLength, 0);
  let doneByteLength = 0;
  let downloadedByteLength = 0;
  for (const file of missing) {
    const before = doneByteLength;
    const onPiece = (position: number, byteLength: number): void => {
      doneByteLength = before + position;
      downloadedByteLength += byteLength;
      onProgress?.({ phase: 'download', doneByteLength, totalByteLength, tensor: file.path });
    };
    await fetchFile(access, file, onPiece, reader);
    doneByteLength = before + file.byteLength;
  }
  return { folder, downloadedByteLength };
}

/** @param onPiece is told where in the file a piece ended, and its length */
async function fetchFile(
  access: HubAccess,
  file: HubFile,
  onPiece: (position: number, byteLength: number) => void,
  reader: GrowingFile | undefined,
): Promise<void> {
  const folder = hubCacheRepo(access.cacheFolder, file.repo);
  const { etag, byteLength } = file;
  const blob: CacheBlob = { folder, etag, byteLength, shown: `${file.repo}/${file.path}` };
  for (let attempt = 1; !(await hasHubCacheBlob(blob)); attempt++) {
    try {
      const fetchFrom: Parameters<typeof fillHubCacheBlob>[1] = async (offset, sink) => {
        let position = offset;
        await downloadRange(access, file, { offset, end: byteLength }, async (piece) => {
          await sink(piece);
          position += piece.byteLength;
          onPiece(position, piece.byteLength);
        });
      };
      await fillHubCacheBlob(blob, fetchFrom, attempt === 1 ? reader : undefined);
    } catch (error) {
      if (!isEreError(error, 'ERE_INTEGRITY') || attempt >= DOWNLOAD_ATTEMPTS) throw error;
    }
  }
  await linkHubCacheFile(blob, file.commit, file.path);
}

/** The base of an archive in the local Hub cache, completed by what is missing there. */

import { join } from 'node:path';
import type { ArchiveIndex } from '../../formats/ere/archive-index.js';
import { HubError, isEreError } from '../../formats/errors.js';
import { LIMITS } from '../../formats/limits.js';
import { parseShardIndex, shardPaths } from '../../formats/safetensors/shard-index.js';
import { chooseWeights } from '../io/choose-weights.js';
import { readSmallFile } from '../io/file-source.js';
import { hubCacheFileLength } from '../io/hub-cache-files.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import type { Progress } from '../residual/api.js';
import { isHubStatus, listRepoFiles } from './client.js';
import type { HubAccess } from './request.js';
import { type FetchedFiles, fetchSnapshot, type PinnedRepo, snapshotFolder } from './snapshot.js';

/** Small files that make a folder of weights a model, where nothing says which are needed. */
const MODEL_FILES = /^(?:[^/]+\.(?:json|txt|model|jinja|py)|merges\.txt|vocab\.[a-z]+)$/;

/**
 * Makes sure that weights, and the side files that an archive takes from its base, are in the cache.
 * @param index default: all small files of the model are fetched too
 * @throws HubError, IntegrityError, IoError
 */
export async function fetchBase(
  access: HubAccess,
  pinned: PinnedRepo,
  index: ArchiveIndex | undefined,
  onProgress?: (progress: Progress) => void,
): Promise<FetchedFiles> {
  const folder = snapshotFolder(access, pinned);
  const shared = index?.sideFiles.flatMap(({ path, content }) => (content === undefined ? [path] : []));
  if (shared !== undefined && (await isComplete(folder, shared))) return { folder, downloadedByteLength: 0 };
  if (access.isOffline) {
    if (shared === undefined && (await isComplete(folder, []))) return { folder, downloadedByteLength: 0 };
    throw new HubError(
      `${pinned.repo}@${pinned.commit}: is not whole in the cache ${access.cacheFolder}, and HF_HUB_OFFLINE forbids to ask the Hub`,
    );
  }
  const files = await listBaseFiles(access, pinned);
  const choice = chooseWeights(`${pinned.repo}@${pinned.commit}`, {
    files: files.filter((path) => !path.includes('/')),
    folders: [],
  });
  const small = shared ?? files.filter((path) => MODEL_FILES.test(path));
  const first = choice.kind === 'index' ? [choice.index, ...small] : [...choice.files, ...small];
  const wanted = [...new Set(first)].filter((path) => files.includes(path));
  const fetched = await fetchSnapshot(access, pinned, wanted, { onProgress });
  if (choice.kind === 'files') return fetched;
  const indexPath = join(folder, choice.index);
  const shards = shardPaths(
    parseShardIndex(await readSmallFile(indexPath, LIMITS.sideFileByteLength), indexPath),
  );
  const rest = await fetchSnapshot(access, pinned, shards, { onProgress });
  return {
    folder,
    downloadedByteLength: fetched.downloadedByteLength + rest.downloadedByteLength,
  };
}

async function listBaseFiles(access: HubAccess, pinned: PinnedRepo): Promise<string[]> {
  try {
    return (await listRepoFiles(access, pinned.repo, pinned.commit)).map(({ path }) => path);
  } catch (error) {
    if (!isHubStatus(error, 401, 403, 404)) throw error;
    const { statusCode, retryable, message } = error;
    throw new HubError(
      `${message}; this is the base: if it is gated, accept its licence on the Hub, or give a local copy with --base`,
      { statusCode, retryable, cause: error },
    );
  }
}

/** Whether a snapshot opens as a checkpoint and has the side files; digests are checked when it is used. */
async function isComplete(folder: string, sideFiles: readonly string[]): Promise<boolean> {
  try {
    await (await openCheckpoint(folder)).close();
  } catch (error) {
    if (!isEreError(error)) throw error;
    return false;
  }
  for (const path of sideFiles) {
    if ((await hubCacheFileLength(folder, path)) === undefined) return false;
  }
  return true;
}

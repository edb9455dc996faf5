/** Whether the Hub's base is the one an archive was made against. */
import type { Checkpoint } from '../../formats/checkpoint.js';
import type { ArchiveIndex } from '../../formats/ere/archive-index.js';
import { isEreError } from '../../formats/errors.js';
import { throwIfAborted } from '../io/abort.js';
import { createNodeHasher } from '../io/node-hasher.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import type { CommonOptions } from '../residual/api.js';
import { assertBaseDigest, assertBaseLayout, baseTensorOf } from '../residual/archive-base.js';
import { digestTensor } from '../residual/digest-tensor.js';
import { listRepoFiles } from './client.js';
import type { HubAccess } from './request.js';
import { type PinnedRepo, snapshotFolder } from './snapshot.js';

/**
 * Compares what the cache has of a base with the digests of an archive; weights that are not there are not fetched for that.
 * @returns what could not be checked, and what the Hub's base lacks; one sentence each
 * @throws CheckpointMismatchError
 */
export async function compareWithHub(
  access: HubAccess,
  base: PinnedRepo,
  index: ArchiveIndex,
  { signal, onProgress }: CommonOptions,
): Promise<string[]> {
  const warnings: string[] = [];
  const shared = index.sideFiles.flatMap(({ path, content }) => (content === undefined ? [path] : []));
  if (shared.length > 0) {
    const paths = new Set((await listRepoFiles(access, base.repo, base.commit)).map(({ path }) => path));
    const missing = shared.filter((path) => !paths.has(path));
    if (missing.length > 0) {
      warnings.push(
        `the archive takes ${missing.join(', ')} from its base, where ${base.repo} has none: it can only be pulled without side files`,
      );
    }
  }
  const checkpoint = await openCached(snapshotFolder(access, base));
  if (checkpoint === undefined) {
    return [
      ...warnings,
      `${base.repo}@${base.commit} is not in the local cache, so its weights were not compared with the archive's digests; whoever pulls does so`,
    ];
  }
  try {
    await assertBase(index, checkpoint, { ...(signal && { signal }), ...(onProgress && { onProgress }) });
  } finally {
    await checkpoint.close();
  }
  return warnings;
}

async function assertBase(
  index: ArchiveIndex,
  checkpoint: Checkpoint,
  { signal, onProgress }: CommonOptions,
): Promise<void> {
  assertBaseLayout(index, checkpoint);
  const pairs = index.tensors.flatMap((tensor) => {
    const found = baseTensorOf(checkpoint, tensor);
    return found === undefined ? [] : [{ tensor, found }];
  });
  const totalByteLength = pairs.reduce((sum, { found }) => sum + found.byteLength, 0);
  let doneByteLength = 0;
  for (const { tensor, found } of pairs) {
    throwIfAborted(signal);
    const digest = await digestTensor(checkpoint, found, { createHasher: createNodeHasher });
    assertBaseDigest(index, checkpoint, tensor, digest);
    doneByteLength += found.byteLength;
    onProgress?.({ phase: 'verify', doneByteLength, totalByteLength, tensor: tensor.name });
  }
}

async function openCached(folder: string): Promise<Checkpoint | undefined> {
  try {
    return await openCheckpoint(folder);
  } catch (error) {
    if (!isEreError(error)) throw error;
    return undefined;
  }
}

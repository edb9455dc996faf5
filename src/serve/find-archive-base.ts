/** The base of an archive among those that are at hand: the one whose tensors have the digests that the archive names. */
import { join } from 'node:path';
import type { ArchiveIndex } from '../../formats/ere/archive-index.js';
import type { Archive } from '../../formats/ere/open-archive.js';
import { isEreError, NotFoundError } from '../../formats/errors.js';
import { relativePathProblem } from '../../formats/relative-path.js';
import { hubCacheRepo, hubCacheSnapshot } from '../io/hub-cache-files.js';
import { createNodeHasher } from '../io/node-hasher.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import { assertBaseDigest, assertBaseLayout, baseTensorOf, describeBase } from '../residual/archive-base.js';
import { digestTensor } from '../residual/digest-tensor.js';

export interface BaseCandidates {
  /** Paths of checkpoints. */
  readonly bases: readonly string[];
  /** Folder of `models--org--name`: the local cache of the Hub, where repositories that archives name are looked for. */
  readonly hubCacheFolder?: string | undefined;
}

/**
 * Bytes whose digests are compared, which takes a moment; every tensor that is rebuilt is checked anyway. A single candidate
 * is told from a mistake by few. Of several some may be fine-tunes of one another, which share most of their tensors.
 */
const TELLING_BYTE_LENGTH = { ofOne: 32 << 20, ofSeveral: 256 << 20 } as const;

/** @returns its path. @throws NotFoundError that says what each candidate is not */
export async function findArchiveBase(
  { index, source }: Archive,
  { bases, hubCacheFolder }: BaseCandidates,
): Promise<string> {
  const { name, revision } = index.base;
  const problems: string[] = [];
  const cached = hubCacheFolder === undefined ? [] : cachedPaths(hubCacheFolder, name, revision);
  const paths = [...bases, ...cached];
  const byteLength = paths.length > 1 ? TELLING_BYTE_LENGTH.ofSeveral : TELLING_BYTE_LENGTH.ofOne;
  for (const path of paths) {
    try {
      await assertIsBase(index, path, byteLength);
      return path;
    } catch (error) {
      if (!isEreError(error)) throw error;
      problems.push(error.message);
    }
  }
  const found = problems.length === 0 ? 'none was given' : problems.join('; ');
  throw new NotFoundError(
    `${source.name}: its base ${describeBase(index)} is not at hand: ${found}; give its path with --base`,
  );
}

/** Where the cache would have the repository. */
function cachedPaths(cacheFolder: string, name: string, revision: string | undefined): string[] {
  if (!/^[^/]+\/[^/]+$/.test(name) || relativePathProblem(name) !== undefined) return [];
  const repo = hubCacheRepo(cacheFolder, name);
  if (revision === undefined) return [repo];
  return relativePathProblem(revision) === undefined ? [join(hubCacheSnapshot(repo, revision))] : [];
}

/** @param byteLength of tensors to compare at most */
async function assertIsBase(index: ArchiveIndex, path: string, byteLength: number): Promise<void> {
  const base = await openCheckpoint(path);
  try {
    assertBaseLayout(index, base);
    // The order of digests: one that has nothing to do with what tensors are for, as which of them were tuned does.
    const tensors = index.tensors
      .filter((tensor) => tensor.base !== undefined)
      .sort((x, y) => (x.base!.digest < y.base!.digest ? -1 : 1));
    let left = byteLength;
    for (const tensor of tensors) {
      const found = baseTensorOf(base, tensor);
      if (found === undefined || found.byteLength > left) continue;
      left -= found.byteLength;
      const digest = await digestTensor(base, found, { createHasher: createNodeHasher });
      assertBaseDigest(index, base, tensor, digest);
    }
  } finally {
    await base.close();
  }
}

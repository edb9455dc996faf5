/** The base of an archive among those that are at hand: the one whose tensors have the digests that the archive names. */
import { join } from 'node:path';
import type { TensorInfo } from '../../formats/checkpoint.js';
import type { ArchiveTensor } from '../../formats/ere/archive-index.js';
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

/** A tensor up to this length tells bases apart in a moment; every tensor that is rebuilt is checked anyway. */
const MAX_TELLING_BYTE_LENGTH = 32 << 20;

/** @returns its path. @throws NotFoundError that says what each candidate is not */
export async function findArchiveBase(
  { index, source }: Archive,
  { bases, hubCacheFolder }: BaseCandidates,
): Promise<string> {
  const { name, revision } = index.base;
  const problems: string[] = [];
  const cached = hubCacheFolder === undefined ? [] : cachedPaths(hubCacheFolder, name, revision);
  for (const path of [...bases, ...cached]) {
    try {
      await assertIsBase({ index, source }, path);
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

async function assertIsBase({ index }: Pick<Archive, 'index' | 'source'>, path: string): Promise<void> {
  const base = await openCheckpoint(path);
  try {
    assertBaseLayout(index, base);
    let telling: { readonly tensor: ArchiveTensor; readonly found: TensorInfo } | undefined;
    for (const tensor of index.tensors) {
      const found = baseTensorOf(base, tensor);
      if (found === undefined || found.byteLength > MAX_TELLING_BYTE_LENGTH) continue;
      if (telling === undefined || found.byteLength > telling.found.byteLength) telling = { tensor, found };
    }
    if (telling === undefined) return;
    const digest = await digestTensor(base, telling.found, { createHasher: createNodeHasher });
    assertBaseDigest(index, base, telling.tensor, digest);
  } finally {
    await base.close();
  }
}

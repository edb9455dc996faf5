/** The base of an archive among those that are at hand: the one whose tensors have the digests that the archive names. */
import { join } from 'node:path';
import type { Checkpoint, TensorInfo } from '../../formats/checkpoint.js';
import type { ArchiveIndex, ArchiveTensor, Digest } from '../../formats/ere/archive-index.js';
import type { Archive } from '../../formats/ere/open-archive.js';
import { isEreError, NotFoundError } from '../../formats/errors.js';
import { relativePathProblem } from '../../formats/relative-path.js';
import { hubCacheRepo, hubCacheSnapshot } from '../io/hub-cache-files.js';
import { createNodeHasher } from '../io/node-hasher.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import { weightsState } from '../io/weights-state.js';
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

/** Candidates whose digests are remembered. */
const MAX_KNOWN = 256;

/**
 * @param known kept between archives
 * @returns its path
 * @throws NotFoundError that says what each candidate is not
 */
export async function findArchiveBase(
  { index, source }: Archive,
  { bases, hubCacheFolder }: BaseCandidates,
  known = new KnownDigests(),
): Promise<string> {
  const { name, revision } = index.base;
  const problems: string[] = [];
  const cached = hubCacheFolder === undefined ? [] : cachedPaths(hubCacheFolder, name, revision);
  const paths = [...bases, ...cached];
  const byteLength = paths.length > 1 ? TELLING_BYTE_LENGTH.ofSeveral : TELLING_BYTE_LENGTH.ofOne;
  for (const path of paths) {
    try {
      await assertIsBase(index, path, byteLength, known);
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
async function assertIsBase(
  index: ArchiveIndex,
  path: string,
  byteLength: number,
  known: KnownDigests,
): Promise<void> {
  const base = await openCheckpoint(path);
  try {
    assertBaseLayout(index, base);
    const telling = tellingTensors(index, base, byteLength);
    const state = await weightsState(base);
    const digests = known.of(path, state);
    if (telling.every(([, { name }]) => digests.has(name))) {
      for (const [tensor, { name }] of telling)
        assertBaseDigest(index, base, tensor, await digests.get(name)!);
      return;
    }
    // Opened after that: files that were replaced since `base` was opened would be remembered by what it still reads.
    const now = await openCheckpoint(path);
    try {
      for (const [tensor, { name }] of telling) {
        const found = now.tensors.get(name);
        if (found === undefined) break;
        assertBaseDigest(index, now, tensor, await known.digestOf(digests, now, found));
      }
    } finally {
      const isSame = await weightsState(now).then(
        (after) => after === state,
        () => false,
      );
      if (!isSame) known.forget(path);
      await now.close();
    }
  } finally {
    await base.close();
  }
}

/** Tensors of the archive, and those of the base that they are coded against. */
function tellingTensors(
  index: ArchiveIndex,
  base: Checkpoint,
  byteLength: number,
): (readonly [ArchiveTensor, TensorInfo])[] {
  // The order of digests: one that has nothing to do with what tensors are for, as which of them were tuned does.
  const tensors = index.tensors
    .filter((tensor) => tensor.base !== undefined)
    .sort((x, y) => (x.base!.digest < y.base!.digest ? -1 : 1));
  let left = byteLength;
  return tensors.flatMap((tensor) => {
    const found = baseTensorOf(base, tensor);
    if (found === undefined || found.byteLength > left) return [];
    left -= found.byteLength;
    return [[tensor, found] as const];
  });
}

type Digests = Map<string, Promise<Digest>>;

/** Digests of tensors of candidates, while their files stay as they are: archives of one base are compared with the same few. */
export class KnownDigests {
  /** By path, in the order of their first use. */
  readonly #known = new Map<string, { readonly state: string; readonly digests: Digests }>();

  /** By name of the tensor. */
  of(path: string, state: string): Digests {
    const known = this.#known.get(path);
    if (known?.state === state) return known.digests;
    const digests: Digests = new Map();
    this.#known.delete(path);
    this.#known.set(path, { state, digests });
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MAX_KNOWN) break;
      this.#known.delete(oldest);
    }
    return digests;
  }

  /** Hashed once, however many ask meanwhile. */
  digestOf(digests: Digests, base: Checkpoint, tensor: TensorInfo): Promise<Digest> {
    const { name } = tensor;
    let digest = digests.get(name);
    if (digest === undefined) {
      digest = digestTensor(base, tensor, { createHasher: createNodeHasher });
      digests.set(name, digest);
      digest.catch(() => digests.delete(name));
    }
    return digest;
  }

  forget(path: string): void {
    this.#known.delete(path);
  }
}

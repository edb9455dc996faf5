/** Bases that a version needs, found where they lie (docs/spec/store.md §5). */
import type { Checkpoint } from '../../formats/checkpoint.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import { CheckpointMismatchError, isEreError, NotFoundError } from '../../formats/errors.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import type { VersionId } from './api.js';
import type { StoredBase, StoreReader } from './store-reader.js';
import type { LocatedBase } from './tensor-source.js';

/** Where a base lies, and which one it is; structured-cloneable. */
export interface BasePlace {
  readonly path: string;
  /** Digests of its tensors by name. */
  readonly names: ReadonlyMap<Digest, string>;
}

/**
 * Places of bases that have the tensors. Bases share some, such as norms that are all one: what a version's own base has
 * is taken from there, and a base that is nowhere is missed only for what no other has.
 * @param own the version's base
 * @param basePath where to look first
 * @throws NotFoundError for a base that is nowhere, or a tensor that no base has
 */
export async function locateBases(
  reader: StoreReader,
  roots: ReadonlySet<Digest>,
  own: VersionId | undefined,
  basePath: string | undefined,
): Promise<BasePlace[]> {
  const places: BasePlace[] = [];
  const missing = new Set(roots);
  const bases = missing.size === 0 ? [] : await reader.bases();
  let problem: unknown;
  for (const base of bases.sort((x, y) => Number(y.id === own) - Number(x.id === own))) {
    const names = new Map<Digest, string>();
    for (const { digest, name } of base.manifest.tensors) if (missing.has(digest)) names.set(digest, name);
    if (names.size === 0) continue;
    try {
      places.push({ path: await locateBase(reader, base, basePath), names });
    } catch (error) {
      if (!isEreError(error, 'ERE_NOT_FOUND')) throw error;
      problem ??= error;
      continue;
    }
    for (const digest of names.keys()) missing.delete(digest);
  }
  const [first] = missing;
  if (first === undefined) return places;
  if (problem !== undefined) throw problem;
  throw new NotFoundError(
    `${reader.backend.location}: ${missing.size} tensors are neither in the store nor in one of its bases, such as ${first}; look at it with fsck`,
  );
}

export async function openPlaces(
  places: readonly BasePlace[],
): Promise<{ readonly bases: LocatedBase[]; close(): Promise<void> }> {
  const bases: LocatedBase[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(bases.map(({ checkpoint }) => checkpoint.close()));
  };
  try {
    for (const { path, names } of places) bases.push({ checkpoint: await openCheckpoint(path), names });
  } catch (error) {
    await close().catch(() => {});
    throw error;
  }
  return { bases, close };
}

/** The first of its places that still holds a checkpoint with the base's tensors. @throws NotFoundError */
export async function locateBase(
  reader: StoreReader,
  base: StoredBase,
  basePath: string | undefined,
): Promise<string> {
  const { name, locations } = base.ref;
  const problems: string[] = [];
  for (const path of [...(basePath === undefined ? [] : [basePath]), ...locations]) {
    const problem = await problemAt(path, base);
    if (problem === undefined) return path;
    problems.push(problem);
  }
  const { location } = reader.backend;
  const found = problems.length === 0 ? 'it was not registered with a path' : problems.join('; ');
  throw new NotFoundError(
    `${location}: base "${name}" (${base.manifest.digest}) is not at hand: ${found}; give its path, or register it again with base add`,
  );
}

/** Why a path is not the base, as far as headers tell; every tensor that is decoded from it is checked by digest. */
async function problemAt(path: string, { manifest }: StoredBase): Promise<string | undefined> {
  let checkpoint: Checkpoint;
  try {
    checkpoint = await openCheckpoint(path);
  } catch (error) {
    if (isEreError(error)) return error.message;
    throw error;
  }
  try {
    for (const { name, dtype, shape } of manifest.tensors) {
      const found = checkpoint.tensors.get(name);
      if (found?.dtype !== dtype || found.shape.join() !== shape.join()) {
        return `${path} holds another model: tensor "${name}" is ${found === undefined ? 'not there' : `${found.dtype} [${found.shape.join()}]`}, expected ${dtype} [${shape.join()}]`;
      }
    }
    return undefined;
  } finally {
    await checkpoint.close();
  }
}

/** @throws CheckpointMismatchError where the tensors' digests are not those of the base */
export function assertIsBase(base: StoredBase, path: string, digest: Digest): void {
  if (digest === base.manifest.digest) return;
  throw new CheckpointMismatchError(
    `${path} is not base "${base.ref.name}": expected ${base.manifest.digest}, found ${digest}`,
    { expected: base.manifest.digest, found: digest },
  );
}

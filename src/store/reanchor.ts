/** Coding versions anew, from the base in one step, where their chains take too long to decode. */
import { join } from 'node:path';
import type { Digest } from '../../formats/ere/archive-index.js';
import type { Archive } from '../../formats/ere/open-archive.js';
import { isEreError } from '../../formats/errors.js';
import { encode } from '../residual/encode.js';
import type { GcOptions } from './api.js';
import { basePathOf } from './base-path.js';
import { checkoutVersion, commonOptions } from './checkout.js';
import { decodeCost } from './decode-cost.js';
import { withExclusiveLock, withSharedLock } from './locks.js';
import { type StoredVersion, shortId } from './manifest.js';
import { publishArchive } from './publish.js';
import { reachableVersions } from './reachable.js';
import { withArchive } from './record-version.js';
import type { StoredBase, StoreReader } from './store-reader.js';
import { withTemporaryFolder } from './temporary.js';
import { chainCost, chainOf } from './trace-cost.js';

/** Decode cost of a version at most, unless told otherwise. */
export const DEFAULT_MAX_DECODE_COST = 2;

/** Rounding of what a commit took for within its limit. */
const TOLERANCE = 1.02;

/** @returns the number of tensors that were coded anew, or with `dryRun` would be */
export async function reanchorVersions(reader: StoreReader, options: GcOptions): Promise<number> {
  const limit = (options.maxDecodeCost ?? DEFAULT_MAX_DECODE_COST) * TOLERANCE;
  // Another gc must not come between a ref and what it leads to.
  const { versions } = await withSharedLock(reader.backend, options, () => reachableVersions(reader));
  let count = 0;
  // The oldest first: what is coded anew shortens the chains of those behind it.
  const byTime = [...versions.values()].sort((x, y) =>
    x.manifest.createdAt < y.manifest.createdAt ? -1 : 1,
  );
  for (const version of byTime) {
    const { manifest } = version;
    if (manifest.base === undefined || manifest.directByteLength === 0) continue;
    const cost = decodeCost(await chainCost(reader, manifest.tensors), manifest.directByteLength);
    if (cost <= limit) continue;
    try {
      count += await reanchor(reader, version, options);
    } catch (error) {
      // A base that is not at hand, or a version that was removed meanwhile: nothing that keeps garbage from being removed.
      if (!isEreError(error, 'ERE_NOT_FOUND')) throw error;
      const message = `version ${shortId(version.id)} is not coded anew, though it takes long to decode: ${error.message}`;
      options.onEvent?.({ kind: 'warning', message });
    }
  }
  return count;
}

async function reanchor(reader: StoreReader, version: StoredVersion, options: GcOptions): Promise<number> {
  const { backend } = reader;
  const bases = await reader.bases();
  const base = bases.find(({ id }) => id === version.manifest.base!.id);
  const deep = await deepTensors(reader, version);
  if (options.dryRun === true || deep.size === 0 || base === undefined) return deep.size;
  return withTemporaryFolder(backend, async (folder) => {
    const output = join(folder, 'decoded');
    await checkoutVersion(reader, version, { ...commonOptions(options), output, sideFiles: false });
    const archive = join(folder, 'version.ere');
    await encode(output, {
      ...commonOptions(options),
      base: await basePathOf(reader, base, folder, options),
      lossless: true,
      sideFiles: false,
      output: archive,
    });
    // Alone: of two that replace recipes at once each could make its own lead to the other's.
    return withExclusiveLock(backend, options, () =>
      withArchive(archive, (opened) => replaceRecipes(reader, version, base, opened)),
    );
  });
}

/** Tensors that are not coded against a base in one step. */
async function deepTensors(reader: StoreReader, { manifest }: StoredVersion): Promise<Set<Digest>> {
  const deep = new Set<Digest>();
  for (const { digest } of manifest.tensors) {
    if ((await chainOf(reader, digest)).depth > 1) deep.add(digest);
  }
  return deep;
}

/** @returns the number of tensors that have another recipe now */
async function replaceRecipes(
  reader: StoreReader,
  version: StoredVersion,
  base: StoredBase,
  archive: Archive,
): Promise<number> {
  reader.refresh();
  for (const { id } of [version, base]) if ((await reader.findVersion(id)) === undefined) return 0;
  const deep = await deepTensors(reader, version);
  const replaced = new Set<Digest>();
  for (const { digest, base: reference } of archive.index.tensors) {
    if (!deep.has(digest)) continue;
    // The base may itself be made of what is in the store, even of these tensors.
    const below = await reader.trace(reference === undefined ? [] : [reference.digest]);
    if (![...below.recipes.keys()].some((tensor) => deep.has(tensor))) replaced.add(digest);
  }
  await publishArchive(reader, archive, { replace: (digest) => replaced.has(digest) });
  reader.refresh();
  return replaced.size;
}

/** Coding versions anew, from the base in one step, where their chains take too long to decode. */
import { join } from 'node:path';
import { openArchive } from '../../formats/ere/open-archive.js';
import { KNOWN_CODECS } from '../codecs/known-codecs.js';
import { openFileSource } from '../io/file-source.js';
import { inflateAtOnce } from '../io/inflate-at-once.js';
import { encode } from '../residual/encode.js';
import type { GcOptions } from './api.js';
import { basePathOf } from './base-path.js';
import { checkoutVersion, commonOptions } from './checkout.js';
import { decodeCost } from './decode-cost.js';
import { withSharedLock } from './locks.js';
import type { StoredVersion } from './manifest.js';
import { publishArchive } from './publish.js';
import { reachableVersions } from './reachable.js';
import type { StoreReader } from './store-reader.js';
import { withTemporaryFolder } from './temporary.js';
import { chainCost, chainOf } from './trace-cost.js';

/** Decode cost of a version at most, unless told otherwise. */
export const DEFAULT_MAX_DECODE_COST = 2;

/** Rounding of what a commit took for within its limit. */
const TOLERANCE = 1.02;

/** @returns the number of tensors that were coded anew, or with `dryRun` would be */
export async function reanchorVersions(reader: StoreReader, options: GcOptions): Promise<number> {
  const limit = (options.maxDecodeCost ?? DEFAULT_MAX_DECODE_COST) * TOLERANCE;
  const { versions } = await reachableVersions(reader);
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
    count += await reanchor(reader, version, options);
  }
  return count;
}

async function reanchor(reader: StoreReader, version: StoredVersion, options: GcOptions): Promise<number> {
  const { backend } = reader;
  const deep = new Set<string>();
  for (const { digest } of version.manifest.tensors) {
    if ((await chainOf(reader, digest)).depth > 1) deep.add(digest);
  }
  if (options.dryRun === true) return deep.size;
  const bases = await reader.bases();
  const base = bases.find(({ id }) => id === version.manifest.base!.id)!;
  await withTemporaryFolder(backend, async (folder) => {
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
    const source = await openFileSource(archive);
    try {
      const opened = await openArchive(source, { codecs: KNOWN_CODECS, inflate: inflateAtOnce });
      await withSharedLock(backend, options, () =>
        publishArchive(reader, opened, (digest) => !deep.has(digest), { replace: true }),
      );
    } finally {
      await source.close();
    }
  });
  reader.refresh();
  return deep.size;
}

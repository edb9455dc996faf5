/** What refs lead to, and what that needs: everything else may go (docs/spec/store.md §11). */
import type { Digest } from '../../formats/ere/archive-index.js';
import { NotFoundError } from '../../formats/errors.js';
import type { VersionId } from './api.js';
import { type StoredVersion, shortId } from './manifest.js';
import { listRefs } from './refs.js';
import type { StoreReader, Trace } from './store-reader.js';

/** Versions that models, tags and bases lead to, and the removed ones on the way. */
export interface ReachableVersions {
  readonly versions: ReadonlyMap<VersionId, StoredVersion>;
  readonly removed: ReadonlySet<VersionId>;
}

/**
 * @param more ids that count as refs
 * @throws NotFoundError where a manifest was lost
 */
export async function reachableVersions(
  reader: StoreReader,
  more: Iterable<VersionId> = [],
): Promise<ReachableVersions> {
  const kinds = ['model', 'tag', 'base'] as const;
  const refs = (await Promise.all(kinds.map((kind) => listRefs(reader.backend, kind)))).flat();
  const versions = new Map<VersionId, StoredVersion>();
  const removed = new Set<VersionId>();
  const waiting = [...refs.map(({ id }) => id), ...more];
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (versions.has(id) || removed.has(id)) continue;
    const version = await reader.findVersion(id);
    if (version === undefined) {
      const parents = await reader.parents(id);
      if (parents === undefined) throw lost(reader, id);
      removed.add(id);
      waiting.push(...parents);
      continue;
    }
    versions.set(id, version);
    const { parents, base } = version.manifest;
    waiting.push(...parents, ...(base === undefined ? [] : [base.id]));
  }
  return { versions, removed };
}

/** Without its manifest nobody knows what came before it: taken for nothing, its history would go as garbage. */
function lost(reader: StoreReader, id: VersionId): NotFoundError {
  return new NotFoundError(
    `${reader.backend.location}: version ${shortId(id)} is not there, though others lead to it, and what came before it is not known; mend the store with fsck`,
  );
}

/** Objects that versions and recipes name. */
export function namedObjects(versions: Iterable<StoredVersion>, { recipes }: Trace): Set<Digest> {
  const objects = new Set<Digest>();
  for (const { manifest } of versions) {
    for (const { header } of manifest.files) objects.add(header.object);
    for (const { content } of manifest.sideFiles) objects.add(content.object);
    if (manifest.sketch !== undefined) objects.add(manifest.sketch.object);
  }
  for (const { chunks } of recipes.values()) for (const { object } of chunks) objects.add(object);
  return objects;
}

/** Digests of all tensors of versions. */
export function* tensorsOf(versions: Iterable<StoredVersion>): Generator<Digest, void, void> {
  for (const { manifest } of versions) for (const { digest } of manifest.tensors) yield digest;
}

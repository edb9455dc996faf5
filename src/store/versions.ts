/** Writing versions: manifests, and the refs that lead to them. */
import { ConflictError } from '../../formats/errors.js';
import type { VersionId } from './api.js';
import type { StoreBackend } from './backend.js';
import { versionKey } from './layout.js';
import { type Manifest, type StoredVersion, sealManifest, shortId } from './manifest.js';
import { type StoredRef, updateRef } from './refs.js';

/** Writes a manifest; its tensors and blobs are there. */
export async function writeVersion(backend: StoreBackend, manifest: Manifest): Promise<StoredVersion> {
  const { bytes, digest } = sealManifest(manifest);
  await backend.write(versionKey(digest), bytes);
  return { id: digest, manifest };
}

/**
 * Makes a version the newest of its model.
 * @param expected what is the newest now; undefined for a new model
 * @throws ConflictError where another writer came first: its version stays, and this one is nobody's
 */
export async function advanceModel(
  backend: StoreBackend,
  model: string,
  expected: VersionId | undefined,
  id: VersionId,
): Promise<StoredRef | undefined> {
  return updateRef(backend, 'model', model, (current) => {
    if (current?.id === expected) return { id };
    const found = current === undefined ? 'none' : shortId(current.id);
    throw new ConflictError(
      `${backend.location}: model ${model} has changed meanwhile: expected ${expected === undefined ? 'none' : shortId(expected)} as its newest version, found ${found}; commit again`,
    );
  });
}

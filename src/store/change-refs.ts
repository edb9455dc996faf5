/** tag, branch and rm: changes of names, and the removal of versions. */
import { ConflictError, NotFoundError } from '../../formats/errors.js';
import type { Ref, RefEntry, StoreOptions } from './api.js';
import { assertName, type RefKind, removedKey, versionKey } from './layout.js';
import { withExclusiveLock, withSharedLock } from './locks.js';
import { type StoredVersion, shortId } from './manifest.js';
import { sealRecord } from './record.js';
import { listRefs, updateRef } from './refs.js';
import type { StoreReader } from './store-reader.js';

/** @throws ConflictError for a tag or model that is there, unless a tag is forced */
export async function pointAt(
  reader: StoreReader,
  kind: 'tag' | 'model',
  name: string,
  ref: Ref,
  options: StoreOptions & { readonly force?: boolean },
): Promise<RefEntry> {
  assertName(kind, name);
  return withSharedLock(reader.backend, options, async () => {
    const { id, manifest } = await reader.resolve(ref);
    if (kind === 'model' && manifest.kind === 'base') {
      throw new ConflictError(
        `${reader.backend.location}: ${ref} is a base; a model begins with a version, made by commit`,
      );
    }
    await updateRef(reader.backend, kind, name, (current) => {
      if (current !== undefined && current.id !== id && options.force !== true) {
        throw new ConflictError(
          `${reader.backend.location}: ${kind} ${name} is ${shortId(current.id)} already; remove it first${kind === 'tag' ? ', or force' : ''}`,
        );
      }
      return { id };
    });
    return { kind, name, id };
  });
}

/** Every model, tag and base. */
export async function listNames(reader: StoreReader): Promise<RefEntry[]> {
  const kinds: readonly RefKind[] = ['model', 'tag', 'base'];
  const refs = await Promise.all(kinds.map((kind) => listRefs(reader.backend, kind)));
  return refs.flat().map(({ kind, name, id }) => ({ kind, name, id }));
}

/**
 * Removes a model, tag or base by its name, or a version by its id. A version leaves its parents behind, so that the
 * history of its children goes on; its tensors stay as long as another version is made from them.
 * @throws ConflictError for a base that versions are made from
 */
export async function removeRef(
  reader: StoreReader,
  ref: Ref,
  options: StoreOptions,
): Promise<{ readonly removed: string }> {
  // Of a base alone: a commit against it may be under way.
  const isBase = (await reader.resolve(ref)).manifest.kind === 'base';
  const withLock = isBase ? withExclusiveLock : withSharedLock;
  return withLock(reader.backend, options, async () => {
    const version = await reader.resolve(ref);
    if ((version.manifest.kind === 'base') !== isBase) {
      throw new ConflictError(`${reader.backend.location}: ${ref} was changed meanwhile; try again`);
    }
    const { ref: named } = version;
    const hasSteps = /~\d*$/.test(ref);
    if (named !== undefined && !hasSteps) {
      if (named.kind === 'base') await assertUnusedBase(reader, version);
      await updateRef(reader.backend, named.kind, named.name, (current) => {
        if (current === undefined)
          throw new NotFoundError(
            `${reader.backend.location}: ${named.kind} ${named.name} was removed meanwhile`,
          );
        return undefined;
      });
      return { removed: `${named.kind} ${named.name}` };
    }
    if (version.manifest.kind === 'base') await assertUnusedBase(reader, version);
    const { bytes } = sealRecord({ parents: version.manifest.parents, model: version.manifest.model });
    await reader.backend.write(removedKey(version.id), bytes);
    await reader.backend.remove(versionKey(version.id));
    return { removed: `version ${shortId(version.id)}` };
  });
}

/** Neither coded against it, nor made of a tensor that is nowhere else. */
async function assertUnusedBase(reader: StoreReader, { id, manifest }: StoredVersion): Promise<void> {
  const only = new Set(manifest.tensors.map(({ digest }) => digest));
  for (const base of await reader.bases()) {
    if (base.id !== id) for (const { digest } of base.manifest.tensors) only.delete(digest);
  }
  for (const other of await reader.versionIds()) {
    const version = other === id ? undefined : await reader.findVersion(other);
    if (version === undefined || version.manifest.kind === 'base') continue;
    const isMadeFrom = async (): Promise<boolean> => {
      const { roots } = await reader.trace(version.manifest.tensors.map(({ digest }) => digest));
      return [...roots].some((digest) => only.has(digest));
    };
    if (version.manifest.base?.id !== id && !(await isMadeFrom())) continue;
    throw new ConflictError(
      `${reader.backend.location}: base "${manifest.model}" is what version ${shortId(other)} and maybe others are made from; remove these first`,
    );
  }
}

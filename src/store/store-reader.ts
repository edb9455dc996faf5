/** Reading a store's records: versions, recipes, bases, and everything that a version needs. */
import type { Digest } from '../../formats/ere/archive-index.js';
import * as fields from '../../formats/ere/index-fields.js';
import { isEreError, NotFoundError, UnsupportedError } from '../../formats/errors.js';
import { unlessMissing } from '../io/unless-missing.js';
import type { BaseSummary, Ref, VersionId } from './api.js';
import type { StoreBackend } from './backend.js';
import { digestOfKey, FORMAT_KEY, FORMAT_TEXT, recipeKey, removedKey, versionKey } from './layout.js';
import { parseManifest, type StoredVersion, shortId } from './manifest.js';
import { parseRecipe, type Recipe } from './recipe.js';
import { openRecord } from './record.js';
import { listRefs, resolveName, type StoredRef } from './refs.js';

/** Everything that versions are made of. */
export interface Trace {
  readonly recipes: ReadonlyMap<Digest, Recipe>;
  /** Tensors without a recipe: those of bases, or missing. */
  readonly roots: ReadonlySet<Digest>;
}

/** A base of the store: its ref and its manifest. */
export interface StoredBase extends StoredVersion {
  readonly ref: StoredRef;
}

/** @throws NotFoundError without a store; UnsupportedError for one of another layout version */
export async function assertFormat(backend: StoreBackend): Promise<void> {
  let text: string;
  try {
    text = new TextDecoder().decode(await backend.read(FORMAT_KEY, { maxByteLength: 1024 }));
  } catch (error) {
    if (!isEreError(error, 'ERE_NOT_FOUND')) throw error;
    throw new NotFoundError(`${backend.location}: no store; make one with init`, { cause: error });
  }
  if (text === FORMAT_TEXT) return;
  throw new UnsupportedError(
    `store layout ${JSON.stringify(text.trim())}`,
    `${backend.location}: expected a store of layout ${JSON.stringify(FORMAT_TEXT.trim())}, found ${JSON.stringify(text.trim())}; use a newer version of ere`,
  );
}

export class StoreReader {
  readonly backend: StoreBackend;
  readonly #recipes = new Map<Digest, Promise<Recipe | undefined>>();

  constructor(backend: StoreBackend) {
    this.backend = backend;
  }

  /** @throws NotFoundError for one that is not there or was removed */
  async version(id: VersionId): Promise<StoredVersion> {
    const key = versionKey(id);
    const bytes = await this.backend.read(key, { maxByteLength: 1 << 28 });
    return { id, manifest: await parseManifest(bytes, id, `${this.backend.location}, ${key}`) };
  }

  async findVersion(id: VersionId): Promise<StoredVersion | undefined> {
    return unlessMissing(this.version(id));
  }

  /** Ids of all versions and bases. */
  async versionIds(): Promise<VersionId[]> {
    const ids: VersionId[] = [];
    for await (const { key } of this.backend.list('versions'))
      ids.push(digestOfKey(key, this.backend.location));
    return ids;
  }

  /** Parents of a version, also of one that was removed; undefined for one that was never there. */
  async parents(id: VersionId): Promise<readonly VersionId[] | undefined> {
    const version = await this.findVersion(id);
    if (version !== undefined) return version.manifest.parents;
    const key = removedKey(id);
    const bytes = await unlessMissing(this.backend.read(key));
    if (bytes === undefined) return undefined;
    const { value } = await openRecord(bytes, `${this.backend.location}, ${key}`);
    return value.field('parents').items(fields.digest);
  }

  /** The version that a ref stands for. @throws NotFoundError, ConflictError */
  async resolve(ref: Ref): Promise<StoredVersion & { readonly ref: StoredRef | undefined }> {
    const { id, back, ref: found } = await resolveName(this.backend, ref);
    let current = await this.#living(id, ref);
    for (let i = 0; i < back; i++) {
      const [parent] = current.manifest.parents;
      if (parent === undefined)
        throw new NotFoundError(`${this.backend.location}: ${ref} goes back behind the first version`);
      current = await this.#living(parent, ref);
    }
    return { ...current, ref: found };
  }

  /** The version, or the nearest before it that was not removed; undefined where there is none. */
  async findLiving(id: VersionId): Promise<StoredVersion | undefined> {
    const seen = new Set<VersionId>();
    let next: VersionId | undefined = id;
    while (next !== undefined && !seen.has(next)) {
      seen.add(next); // What is left of removed versions is named by them, not by its content.
      const version: StoredVersion | undefined = await this.findVersion(next);
      if (version !== undefined) return version;
      next = (await this.parents(next))?.[0];
    }
    return undefined;
  }

  async #living(id: VersionId, ref: Ref): Promise<StoredVersion> {
    const version = await this.findLiving(id);
    if (version !== undefined) return version;
    throw new NotFoundError(`${this.backend.location}: ${ref} is version ${shortId(id)}, which is not there`);
  }

  /** Undefined for a tensor that has none. Read once. */
  recipe(digest: Digest): Promise<Recipe | undefined> {
    let recipe = this.#recipes.get(digest);
    if (recipe === undefined) {
      const key = recipeKey(digest);
      recipe = unlessMissing(this.backend.read(key)).then(
        (bytes) => bytes && parseRecipe(bytes, digest, `${this.backend.location}, ${key}`),
      );
      this.#recipes.set(digest, recipe);
      recipe.catch(() => this.#recipes.delete(digest));
    }
    return recipe;
  }

  /** Forgets what it has read of tensors: others may have written meanwhile. */
  refresh(): void {
    this.#recipes.clear();
  }

  /** All recipes behind the tensors. @throws FormatError, IntegrityError */
  async trace(tensors: Iterable<Digest>): Promise<Trace> {
    const recipes = new Map<Digest, Recipe>();
    const roots = new Set<Digest>();
    const waiting = [...new Set(tensors)];
    const seen = new Set(waiting);
    while (waiting.length > 0) {
      const batch = waiting.splice(0, 64);
      const found = await Promise.all(batch.map((digest) => this.recipe(digest)));
      for (const [i, recipe] of found.entries()) {
        if (recipe === undefined) {
          roots.add(batch[i]!);
          continue;
        }
        recipes.set(batch[i]!, recipe);
        const next = recipe.reference?.digest;
        if (next !== undefined && !seen.has(next)) {
          seen.add(next);
          waiting.push(next);
        }
      }
    }
    return { recipes, roots };
  }

  async bases(): Promise<StoredBase[]> {
    const refs = await listRefs(this.backend, 'base');
    return Promise.all(refs.map(async (ref) => ({ ref, ...(await this.version(ref.id)) })));
  }
}

export function baseSummary({ ref, id, manifest }: StoredBase): BaseSummary {
  return {
    name: ref.name,
    id,
    digest: manifest.digest,
    tensorCount: manifest.tensors.length,
    byteLength: manifest.fineTunedByteLength,
    locations: ref.locations,
    isKept: ref.isKept,
  };
}

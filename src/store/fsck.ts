/** fsck: whether everything that a store says it has is there and whole (docs/spec/store.md §12). */
import type { Digest } from '../../formats/ere/archive-index.js';
import { EreError, isEreError } from '../../formats/errors.js';
import { createNodeHasher } from '../io/node-hasher.js';
import { unlessMissing } from '../io/unless-missing.js';
import { decodeArchive } from '../residual/decode-archive.js';
import { digestRange } from '../residual/digest-tensor.js';
import { selectUsable } from '../residual/select-tensors.js';
import type { FsckOptions, FsckReport, VersionId } from './api.js';
import type { Key, StoreBackend } from './backend.js';
import { commonOptions } from './checkout.js';
import {
  digestOfKey,
  nameOfRefKey,
  objectKey,
  type RefKind,
  recipeKey,
  refPrefix,
  removedKey,
  SUMMARIES_KEY,
  TALLIES_KEY,
  versionKey,
} from './layout.js';
import { withExclusiveLock, withSharedLock } from './locks.js';
import { type Manifest, type StoredVersion, shortId } from './manifest.js';
import { namedObjects, tensorsOf } from './reachable.js';
import type { Recipe } from './recipe.js';
import { openRecord, sealRecord } from './record.js';
import { readRef, type StoredRef, updateRef } from './refs.js';
import type { StoreReader } from './store-reader.js';
import { openVersion } from './version-sources.js';

type Problem = FsckReport['problems'][number];

/**
 * Checks everything. Nothing is removed meanwhile, so that what lacks something lacks it for good; with `repair` nobody
 * else changes the store at all.
 */
export async function checkStore(reader: StoreReader, options: FsckOptions): Promise<FsckReport> {
  const check = async (): Promise<FsckReport> => {
    reader.refresh();
    return new StoreCheck(reader, options).run();
  };
  if (options.repair === true) return withExclusiveLock(reader.backend, options, check);
  return reader.backend.isReadOnly ? check() : withSharedLock(reader.backend, options, check);
}

class StoreCheck {
  readonly #reader: StoreReader;
  readonly #backend: StoreBackend;
  readonly #options: FsckOptions;
  readonly #problems: Problem[] = [];
  readonly #versions = new Map<VersionId, StoredVersion>();
  readonly #recipes = new Map<Digest, Recipe>();
  /** Byte lengths of objects whose bytes are right. */
  readonly #objects = new Map<Digest, number>();
  #checkedByteLength = 0;

  constructor(reader: StoreReader, options: FsckOptions) {
    this.#reader = reader;
    this.#backend = reader.backend;
    this.#options = options;
  }

  async run(): Promise<FsckReport> {
    // What was removed after it was listed is passed over. In the order of writing: what a version that is committed meanwhile needs is listed after its manifest.
    await this.#checkVersions();
    await this.#checkRefs();
    await this.#checkRecipes();
    await this.#checkObjects();
    this.#checkNeeds();
    await this.#checkCache();
    if (this.#options.full === true) await this.#decodeAll();
    if (this.#options.repair === true) await this.#backend.removeLeftovers();
    const trace = { recipes: this.#neededRecipes(), roots: new Set<Digest>() };
    const named = namedObjects(this.#versions.values(), trace);
    return {
      isSound: this.#problems.every(({ isRepaired }) => isRepaired),
      versionCount: this.#versions.size,
      objectCount: this.#objects.size,
      checkedByteLength: this.#checkedByteLength,
      problems: this.#problems,
      unreferencedCount: [...this.#objects.keys()].filter((digest) => !named.has(digest)).length,
    };
  }

  #report(subject: string, message: string, versions: readonly VersionId[] = [], isRepaired = false): void {
    this.#problems.push({ subject, message, versions, isRepaired });
  }

  /** Runs a check; an error of ours is a problem. @returns whether there was none */
  async #try(subject: string, work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (!(error instanceof EreError) || error.code === 'ERE_ABORTED') throw error;
      this.#report(subject, error.message);
      return false;
    }
  }

  async #checkVersions(): Promise<void> {
    for await (const { key, byteLength } of this.#backend.list('versions')) {
      await this.#try(key, async () => {
        const id = digestOfKey(key, this.#backend.location);
        const version = await unlessMissing(this.#reader.version(id));
        if (version !== undefined) this.#versions.set(id, version);
        this.#checkedByteLength += byteLength;
      });
    }
    for await (const { key } of this.#backend.list('removed')) {
      await this.#try(key, async () => {
        const bytes = await unlessMissing(this.#backend.read(key));
        if (bytes !== undefined) await openRecord(bytes, `${this.#backend.location}, ${key}`);
      });
    }
  }

  /** Refs and parents lead to versions, or to what is left of removed ones. */
  async #checkRefs(): Promise<void> {
    for (const kind of ['model', 'tag', 'base'] as const satisfies readonly RefKind[]) {
      for await (const { key } of this.#backend.list(refPrefix(kind))) {
        await this.#try(key, async () => {
          const ref = await readRef(this.#backend, kind, nameOfRefKey(kind, key, this.#backend.location));
          if (ref !== undefined && !(await this.#isThere(ref.id))) await this.#mendRef(ref);
        });
      }
    }
    for (const [id, { manifest }] of this.#versions) {
      for (const parent of manifest.parents) {
        if (!(await this.#isThere(parent))) await this.#mendHistory(id, manifest, parent);
      }
      const base = manifest.base?.id;
      if (base !== undefined && !(await this.#isThere(base))) {
        this.#report(versionKey(id), `expected its base ${base}, found none`, [id]);
      }
    }
  }

  async #isThere(id: VersionId): Promise<boolean> {
    if (this.#versions.has(id)) return true;
    const keys: readonly Key[] = [versionKey(id), removedKey(id)];
    for (const key of keys) if ((await this.#backend.stat(key)) !== undefined) return true;
    return false;
  }

  /** A name of nothing is no loss; but a model's goes to the newest of its versions that are left, and keeps them. */
  async #mendRef({ kind, name, id }: StoredRef): Promise<void> {
    const isRepaired = this.#options.repair === true;
    const newest = kind === 'model' ? this.#newestOf(name) : undefined;
    const next = newest && { id: newest.id, locations: [] };
    if (isRepaired) {
      await updateRef(this.#backend, kind, name, (current) => (current?.id === id ? next : current));
    }
    const mended = newest === undefined ? 'its name is dropped' : `it goes on from ${shortId(newest.id)}`;
    const message = `expected version ${id}, found none${isRepaired ? `; ${mended}` : ''}`;
    this.#report(`${kind} ${name}`, message, [], isRepaired);
  }

  /** What came before a lost version is kept by what stands in its place, as for one that was removed. */
  async #mendHistory(id: VersionId, { model, createdAt }: Manifest, parent: VersionId): Promise<void> {
    const isRepaired = this.#options.repair === true;
    const before = this.#newestOf(model, createdAt);
    const parents = before === undefined ? [] : [before.id];
    if (isRepaired) await this.#backend.write(removedKey(parent), sealRecord({ parents, model }).bytes);
    const rest = before === undefined ? 'ends here' : `goes on from ${shortId(before.id)}`;
    const message = `expected its parent ${parent}, found nothing of it${isRepaired ? `: history ${rest}` : ''}`;
    this.#report(versionKey(id), message, [], isRepaired);
  }

  /** The newest version of a model that no other one follows. */
  #newestOf(model: string, before?: string): StoredVersion | undefined {
    const own = [...this.#versions.values()].filter(
      ({ manifest }) => manifest.kind === 'version' && manifest.model === model,
    );
    const parents = new Set(own.flatMap(({ manifest }) => manifest.parents));
    return own
      .filter(({ id, manifest }) => !parents.has(id) && (before === undefined || manifest.createdAt < before))
      .sort((x, y) => (x.manifest.createdAt < y.manifest.createdAt ? 1 : -1))[0];
  }

  async #checkRecipes(): Promise<void> {
    for await (const { key, byteLength } of this.#backend.list('tensors')) {
      await this.#try(key, async () => {
        const digest = digestOfKey(key, this.#backend.location);
        const recipe = await this.#reader.recipe(digest);
        if (recipe !== undefined) this.#recipes.set(digest, recipe);
        this.#checkedByteLength += byteLength;
      });
    }
  }

  async #checkObjects(): Promise<void> {
    for await (const { key, byteLength } of this.#backend.list('objects')) {
      await this.#try(key, async () => {
        const digest = digestOfKey(key, this.#backend.location);
        const found = await unlessMissing(this.#hash(key));
        if (found === undefined) return;
        this.#checkedByteLength += byteLength;
        if (found === digest) this.#objects.set(digest, byteLength);
        else this.#report(key, `expected bytes of ${digest}, found ${found}`);
      });
    }
  }

  async #hash(key: Key): Promise<Digest> {
    const value = await this.#backend.open(key);
    try {
      const read = (offset: number, length: number) => value.read(offset, length);
      return await digestRange(read, value.byteLength, { createHasher: createNodeHasher });
    } finally {
      await value.close();
    }
  }

  /** Everything that a version needs: recipes down to tensors of bases, objects long enough for their chunks. */
  #checkNeeds(): void {
    const ofBases = new Set<Digest>();
    for (const { manifest } of this.#versions.values()) {
      if (manifest.kind === 'base') for (const { digest } of manifest.tensors) ofBases.add(digest);
    }
    const problems = new Map<string, { readonly message: string; readonly versions: VersionId[] }>();
    const add = (subject: string, message: string, id: VersionId): void => {
      const known = problems.get(subject);
      if (known === undefined) problems.set(subject, { message, versions: [id] });
      else if (known.versions.at(-1) !== id) known.versions.push(id);
    };
    for (const [id, version] of this.#versions) {
      for (const object of namedObjects([version], { recipes: new Map(), roots: new Set() })) {
        if (!this.#objects.has(object))
          add(objectKey(object), 'expected an object that is whole, found none', id);
      }
      if (version.manifest.kind === 'base') continue;
      for (const tensor of tensorsOf([version])) {
        for (const [subject, message] of this.#missingFor(tensor, ofBases)) add(subject, message, id);
      }
    }
    for (const [subject, { message, versions }] of problems) this.#report(subject, message, versions);
  }

  *#missingFor(tensor: Digest, ofBases: ReadonlySet<Digest>): Generator<[string, string], void, void> {
    const seen = new Set<Digest>();
    let next: Digest | undefined = tensor;
    // As readers do: a recipe goes before a base.
    while (next !== undefined) {
      const recipe: Recipe | undefined = this.#recipes.get(next);
      if (recipe === undefined && ofBases.has(next)) return;
      if (recipe === undefined) {
        yield [recipeKey(next), 'expected a recipe, found none that is whole'];
        return;
      }
      if (seen.has(next)) {
        yield [recipeKey(next), 'expected a chain that ends at a base, found one that leads back to itself'];
        return;
      }
      seen.add(next);
      for (const { object, byteOffset, byteLength } of recipe.chunks) {
        const found = this.#objects.get(object);
        const end = byteOffset + byteLength;
        if (found === undefined) yield [objectKey(object), 'expected an object that is whole, found none'];
        else if (end > found) yield [objectKey(object), `expected at least ${end} bytes, found ${found}`];
      }
      next = recipe.reference?.digest;
    }
  }

  #neededRecipes(): Map<Digest, Recipe> {
    const needed = new Map<Digest, Recipe>();
    const waiting = [...tensorsOf(this.#versions.values())];
    for (let digest = waiting.pop(); digest !== undefined; digest = waiting.pop()) {
      const recipe = this.#recipes.get(digest);
      if (recipe === undefined || needed.has(digest)) continue;
      needed.set(digest, recipe);
      if (recipe.reference !== undefined) waiting.push(recipe.reference.digest);
    }
    return needed;
  }

  /** What is derived may be dropped. */
  async #checkCache(): Promise<void> {
    for (const key of [SUMMARIES_KEY, TALLIES_KEY]) {
      const bytes = await unlessMissing(this.#backend.read(key, { maxByteLength: 1 << 28 }));
      if (bytes === undefined) continue;
      try {
        await openRecord(bytes, `${this.#backend.location}, ${key}`);
      } catch (error) {
        if (!isEreError(error)) throw error;
        const isRepaired = this.#options.repair === true;
        if (isRepaired) await this.#backend.remove(key);
        this.#report(key, error.message, [], isRepaired);
      }
    }
  }

  async #decodeAll(): Promise<void> {
    for (const version of this.#versions.values()) {
      if (version.manifest.kind === 'base') continue;
      const subject = versionKey(version.id);
      await this.#try(subject, async () => {
        const sources = await openVersion(this.#reader, version, {});
        try {
          const { archive, base, workers } = sources;
          await decodeArchive({
            archive,
            base,
            workers,
            outputs: [],
            placements: archive.index.tensors.map((_, tensor) => ({
              tensor,
              output: undefined,
              outputOffset: 0,
            })),
            selection: selectUsable(archive, 'best'),
            phase: 'verify',
            options: commonOptions(this.#options),
          });
        } finally {
          await sources.close();
        }
      });
    }
  }
}

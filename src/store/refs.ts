/** Refs (docs/spec/store.md §9): names of versions, the only values of a store that change their meaning. */
import type { Digest } from '../../formats/ere/archive-index.js';
import * as fields from '../../formats/ere/index-fields.js';
import { JsonCursor } from '../../formats/ere/json-cursor.js';
import { ConflictError, FormatError, NotFoundError } from '../../formats/errors.js';
import { unlessMissing } from '../io/unless-missing.js';
import type { Ref, VersionId } from './api.js';
import type { RequestOptions, StoreBackend } from './backend.js';
import { isKey } from './keys.js';
import { digestOfKey, hexOf, nameOfRefKey, type RefKind, refKey, refPrefix, removedKey } from './layout.js';
import { shortId } from './manifest.js';

export interface StoredRef {
  readonly kind: RefKind;
  readonly name: string;
  readonly id: VersionId;
  /** Of a base: where it was seen, the latest first. */
  readonly locations: readonly string[];
  /** Of a base: whether the store holds its tensors. */
  readonly isKept: boolean;
}

/** What of a ref may change. */
export type RefValue = Pick<StoredRef, 'id'> & Partial<Pick<StoredRef, 'locations' | 'isKept'>>;

/** A ref, and its bytes as they were read. */
interface ReadRef {
  readonly ref: StoredRef;
  readonly bytes: Uint8Array;
}

export async function readRef(
  backend: StoreBackend,
  kind: RefKind,
  name: string,
  options?: RequestOptions,
): Promise<StoredRef | undefined> {
  return (await findRef(backend, kind, name, options))?.ref;
}

/** All refs of one kind, by name in code-unit order. */
export async function listRefs(
  backend: StoreBackend,
  kind: RefKind,
  options?: RequestOptions,
): Promise<StoredRef[]> {
  const names: string[] = [];
  for await (const { key } of backend.list(refPrefix(kind), options))
    names.push(nameOfRefKey(kind, key, backend.location));
  const refs = await Promise.all(names.sort().map((name) => readRef(backend, kind, name, options)));
  return refs.filter((ref) => ref !== undefined); // Removed meanwhile.
}

/** Times that a change is tried again because another writer's came first. */
const MAX_TRIES = 50;

/**
 * Sets a ref to what `change` makes of it, or removes it.
 * @param change may be called several times; throws to refuse
 */
export async function updateRef(
  backend: StoreBackend,
  kind: RefKind,
  name: string,
  change: (current: StoredRef | undefined) => RefValue | undefined,
  options?: RequestOptions,
): Promise<StoredRef | undefined> {
  for (let i = 0; i < MAX_TRIES; i++) {
    const current = await findRef(backend, kind, name, options);
    const next = change(current?.ref);
    const bytes = next && serializeRef(next);
    if (await backend.compareAndSwap(refKey(kind, name), current?.bytes, bytes, options)) {
      return next && { kind, name, locations: [], isKept: false, ...next };
    }
  }
  throw new ConflictError(`${backend.location}: other writers keep changing ${kind} ${name}; try again`);
}

async function findRef(
  backend: StoreBackend,
  kind: RefKind,
  name: string,
  options?: RequestOptions,
): Promise<ReadRef | undefined> {
  const key = refKey(kind, name);
  const bytes = await unlessMissing(backend.read(key, options));
  if (bytes === undefined) return undefined;
  const file = `${backend.location}, ${key}`;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new FormatError('ere-store', 'expected a ref in JSON', { file, cause });
  }
  const record = new JsonCursor(value, file, 'ref');
  const id = fields.digest(record.field('version'));
  const locations = record.optional('locations')?.items((item) => item.string()) ?? [];
  const isKept = record.optional('kept')?.boolean() ?? false;
  return { ref: { kind, name, id, locations, isKept }, bytes };
}

function serializeRef({ id, locations = [], isKept = false }: RefValue): Uint8Array {
  const value = {
    version: id,
    ...(locations.length === 0 ? {} : { locations }),
    ...(isKept ? { kept: true } : {}),
  };
  return new TextEncoder().encode(`${JSON.stringify(value)}\n`);
}

/** Fewest digits of an id that a ref may be. */
const MIN_ID_DIGITS = 6;

/** What a ref stands for, as far as that is known without manifests. */
export interface ResolvedName {
  readonly id: VersionId;
  /** Of `~N`. */
  readonly back: number;
  /** Undefined for an id. */
  readonly ref: StoredRef | undefined;
}

/** @throws NotFoundError, ConflictError for digits that several ids begin with */
export async function resolveName(
  backend: StoreBackend,
  ref: Ref,
  options?: RequestOptions,
): Promise<ResolvedName> {
  const [, name = ref, steps] = /^(.*?)(?:~(\d{0,6}))?$/su.exec(ref) ?? [];
  const back = steps === undefined ? 0 : steps === '' ? 1 : Number(steps);
  for (const [kind, bare] of candidatesOf(name)) {
    if (!isKey(refKey(kind, bare))) continue; // Nothing has such a name.
    const found = await readRef(backend, kind, bare, options);
    if (found !== undefined) return { id: found.id, back, ref: found };
  }
  const digits = name.replace(/^sha256:/, '');
  if (/^[0-9a-f]+$/.test(digits) && digits.length >= MIN_ID_DIGITS && digits.length <= 64) {
    const ids = await idsThatBegin(backend, digits, options);
    if (ids.length === 1) return { id: ids[0]!, back, ref: undefined };
    if (ids.length > 1) {
      const shown = ids.slice(0, 3).map(shortId).join(', ');
      throw new ConflictError(
        `${backend.location}: ${ids.length} versions begin with ${digits}: ${shown}; give more digits`,
      );
    }
    if ((await backend.stat(removedKey(`sha256:${digits}`))) !== undefined) {
      throw new NotFoundError(`${backend.location}: version ${digits.slice(0, 12)} was removed`);
    }
  }
  throw new NotFoundError(
    `${backend.location}: no model, tag, base or version "${ref}"; see what there is with log`,
  );
}

function candidatesOf(name: string): readonly (readonly [RefKind, string])[] {
  const [, prefix, rest = ''] = /^(model|tag|base):(.*)$/su.exec(name) ?? [];
  if (prefix !== undefined) return [[prefix as RefKind, rest]];
  return [
    ['model', name],
    ['tag', name],
    ['base', name],
  ];
}

async function idsThatBegin(
  backend: StoreBackend,
  digits: string,
  options?: RequestOptions,
): Promise<Digest[]> {
  const ids: Digest[] = [];
  for await (const { key } of backend.list('versions', options)) {
    const id = digestOfKey(key, backend.location);
    if (hexOf(id).startsWith(digits)) ids.push(id);
  }
  return ids.sort();
}

/** Where things lie in a store (docs/spec/store.md §3). */
import type { Digest } from '../../formats/ere/archive-index.js';
import { FormatError } from '../../formats/errors.js';
import type { Key } from './backend.js';
import { MAX_SEGMENT_LENGTH } from './keys.js';

/** Layout version, first value of every store: what another one holds is not guessed at. */
export const FORMAT_KEY: Key = 'format';
export const FORMAT_TEXT = 'ere-store 1\n';

/** Summaries of versions: derived from the manifests, and dropped at will. */
export const SUMMARIES_KEY: Key = 'cache/summaries';

/** Numbers and bytes of the values in each folder: counted from them, and dropped at will. */
export const TALLIES_KEY: Key = 'cache/tallies';

/** The 64 hexadecimal digits of a digest. */
export function hexOf(digest: Digest): string {
  return digest.slice('sha256:'.length);
}

/** Bytes named by their SHA-256; write-once. */
export function objectKey(digest: Digest): Key {
  const hex = hexOf(digest);
  return `objects/${hex.slice(0, 2)}/${hex.slice(2)}`;
}

/** How the tensor with this digest is made. */
export function recipeKey(tensor: Digest): Key {
  const hex = hexOf(tensor);
  return `tensors/${hex.slice(0, 2)}/${hex.slice(2)}`;
}

/** The manifest of a version; write-once. */
export function versionKey(id: Digest): Key {
  return `versions/${hexOf(id)}`;
}

/** What is left of a version that was removed: its parents. */
export function removedKey(id: Digest): Key {
  return `removed/${hexOf(id)}`;
}

export type RefKind = 'model' | 'tag' | 'base';

const REF_FOLDERS = { model: 'models', tag: 'tags', base: 'bases' } as const;

export function refKey(kind: RefKind, name: string): Key {
  return `refs/${REF_FOLDERS[kind]}/${encodeName(name)}`;
}

export function refPrefix(kind: RefKind): string {
  return `refs/${REF_FOLDERS[kind]}`;
}

/** The digest that a key of objects/, tensors/, versions/ or removed/ ends in. @throws FormatError */
export function digestOfKey(key: Key, location: string): Digest {
  const hex = key.slice(key.indexOf('/') + 1).replace('/', '');
  if (!/^[0-9a-f]{64}$/.test(hex)) {
    throw new FormatError('ere-store', `expected a key that ends in 64 hexadecimal digits, found ${key}`, {
      file: location,
    });
  }
  return `sha256:${hex}`;
}

/** Names of models, tags and bases: what a ref can say without being taken for something else. */
const NAME = /^[\p{L}\p{N}_][\p{L}\p{N}._+@-]*(\/[\p{L}\p{N}_][\p{L}\p{N}._+@-]*)*$/u;
const MAX_NAME_LENGTH = 100;

/** @throws RangeError */
export function assertName(kind: RefKind, name: string): void {
  const isDigits = kind !== 'base' && /^(sha256:)?[0-9a-f]{6,64}$/.test(name);
  const isShort = name.length <= MAX_NAME_LENGTH && encodeName(name).length <= MAX_SEGMENT_LENGTH;
  if (isShort && NAME.test(name) && !isDigits) return;
  throw new RangeError(
    `expected a ${kind} name of at most ${MAX_NAME_LENGTH} letters, digits and ._+@-/ (fewer of other scripts than Latin) that does not look like a version's id, got ${JSON.stringify(name)}`,
  );
}

/** Keys are lower case, ASCII and without '.' at their ends: everything else, '/' and '%' included, as %xx of its UTF-8. */
function encodeName(name: string): string {
  const bytes = [...new TextEncoder().encode(name)];
  return bytes
    .map((byte, i) => {
      const character = String.fromCharCode(byte);
      const isInside = i > 0 && i < bytes.length - 1;
      if (/[a-z0-9_-]/.test(character) || (character === '.' && isInside)) return character;
      return `%${byte.toString(16).padStart(2, '0')}`;
    })
    .join('');
}

/** The name that a ref's key stands for. @throws FormatError */
export function nameOfRefKey(kind: RefKind, key: Key, location: string): string {
  const encoded = key.slice(refPrefix(kind).length + 1);
  try {
    return decodeURIComponent(encoded);
  } catch (cause) {
    throw new FormatError('ere-store', `expected an encoded name, found ${key}`, { file: location, cause });
  }
}

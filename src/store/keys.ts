/** Keys of a store's values (docs/spec/store-backends.md §1): names that every backend can hold, each only once. */
import { quoteName } from '../../formats/errors.js';
import type { Key } from './backend.js';

/** Leaves room for a folder before it in the 1,024 bytes that S3 allows. */
const MAX_KEY_LENGTH = 512;
/** NAME_MAX of the file systems. */
export const MAX_SEGMENT_LENGTH = 255;
/** No '.' at either end: hidden files are the file system's own, and Windows drops one at the end. */
const SEGMENT = /^[a-z0-9_%=~-](?:[a-z0-9._%=~-]*[a-z0-9_%=~-])?$/;
/** First segment of what backends keep for themselves: half-written values, locks. */
export const RESERVED_SEGMENT = 'tmp';

/** True for a well-formed key. */
export function isKey(text: string): boolean {
  if (text.length > MAX_KEY_LENGTH) return false;
  const segments = text.split('/');
  return (
    segments[0] !== RESERVED_SEGMENT &&
    segments.every((segment) => segment.length <= MAX_SEGMENT_LENGTH && SEGMENT.test(segment))
  );
}

/** @throws RangeError for a key that is not well-formed */
export function assertKey(key: Key): void {
  if (typeof key === 'string' && isKey(key)) return;
  throw new RangeError(
    `expected a key: segments of a-z 0-9 . _ % = ~ - without '.' at their ends, joined by '/', the first one not ` +
      `'${RESERVED_SEGMENT}', at most ${MAX_KEY_LENGTH} characters; got ${quoteName(String(key))}`,
  );
}

/** @throws RangeError for what is neither '' nor a well-formed key */
export function assertPrefix(prefix: string): void {
  if (prefix !== '') assertKey(prefix);
}

/** Whether `list(prefix)` gives this key. */
export function isUnder(key: Key, prefix: string): boolean {
  return prefix === '' || key.startsWith(`${prefix}/`);
}

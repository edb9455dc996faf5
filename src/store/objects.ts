/** Objects of a store: bytes named by their SHA-256 (docs/spec/store.md §4), written once and read in parts. */
import { bytesSource } from '../../formats/byte-source.js';
import { inflateRaw } from '../../formats/deflate.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import { IntegrityError, IoError, isEreError } from '../../formats/errors.js';
import { LIMITS } from '../../formats/limits.js';
import { inflateAtOnce } from '../io/inflate-at-once.js';
import { digestOf } from '../io/node-hasher.js';
import { packBlob } from '../residual/assemble-archive.js';
import type { OpenValue, StoreBackend } from './backend.js';
import { objectKey } from './layout.js';
import type { StoredBlob } from './manifest.js';

/** What a writer put in, and what of it was new. */
export interface WrittenObject {
  readonly digest: Digest;
  /** 0 where the object was there already. */
  readonly addedByteLength: number;
}

export async function writeObject(backend: StoreBackend, bytes: Uint8Array): Promise<WrittenObject> {
  const digest = digestOf(bytes);
  const key = objectKey(digest);
  const found = await backend.stat(key);
  if (found?.byteLength === bytes.byteLength) return { digest, addedByteLength: 0 };
  await backend.write(key, bytes);
  return { digest, addedByteLength: bytes.byteLength };
}

/** A blob as an object, deflated where that helps. */
export async function writeBlob(
  backend: StoreBackend,
  content: Uint8Array,
): Promise<{ readonly blob: StoredBlob; readonly addedByteLength: number }> {
  const { bytes, byteLength, encoding } = await packBlob(content);
  const { digest, addedByteLength } = await writeObject(backend, bytes);
  return { blob: { object: digest, byteLength, encoding }, addedByteLength };
}

/** Side files are smaller, and headers at most 8 bytes longer than their JSON. */
const MAX_BLOB_BYTE_LENGTH = LIMITS.safetensorsHeaderByteLength + 8;

/** A whole object, checked against its name. @throws NotFoundError, IntegrityError, LimitError */
export async function readObject(backend: StoreBackend, object: Digest): Promise<Uint8Array> {
  const key = objectKey(object);
  const bytes = await backend.read(key, { maxByteLength: MAX_BLOB_BYTE_LENGTH });
  const found = digestOf(bytes);
  if (found === object) return bytes;
  throw new IntegrityError(`${backend.location}, ${key}`, object, found, 'the store is damaged');
}

/** @throws NotFoundError, IntegrityError, FormatError, LimitError */
export async function readBlob(backend: StoreBackend, blob: StoredBlob): Promise<Uint8Array> {
  const bytes = await readObject(backend, blob.object);
  const file = `${backend.location}, ${objectKey(blob.object)}`;
  if (blob.encoding === 'stored') return bytes;
  return inflateRaw(bytes, blob.byteLength, { format: 'ere-store', file, part: 'object' }, inflateAtOnce);
}

interface Entry {
  readonly value: Promise<OpenValue>;
  users: number;
}

/** Open objects at most that nobody reads from. */
const MAX_IDLE = 32;

/** Objects of at most so many bytes are read at once: that takes less than reading their chunks one by one. */
const MAX_WHOLE_BYTE_LENGTH = 1 << 18;

async function openObject(backend: StoreBackend, object: Digest): Promise<OpenValue> {
  const key = objectKey(object);
  try {
    const bytes = await backend.read(key, { maxByteLength: MAX_WHOLE_BYTE_LENGTH });
    return { ...bytesSource(`${backend.location}, ${key}`, bytes), close: async () => {} };
  } catch (error) {
    if (!isEreError(error, 'ERE_LIMIT')) throw error;
    return backend.open(key);
  }
}

/** Reads ranges of objects, and keeps the last ones open. */
export class ObjectReader {
  readonly #backend: StoreBackend;
  /** In the order of their last use. */
  readonly #open = new Map<Digest, Entry>();
  #isClosed = false;

  constructor(backend: StoreBackend) {
    this.#backend = backend;
  }

  /** @throws NotFoundError, IntegrityError where the object is shorter; IoError */
  async read(object: Digest, byteOffset: number, byteLength: number, room?: Uint8Array): Promise<Uint8Array> {
    const entry = this.#entry(object);
    entry.users++;
    try {
      const value = await entry.value;
      if (byteOffset + byteLength > value.byteLength) {
        const expected = `at least ${byteOffset + byteLength} bytes`;
        throw new IntegrityError(value.name, expected, `${value.byteLength}`, 'the store is damaged');
      }
      return await value.read(byteOffset, byteLength, room);
    } catch (error) {
      if (isEreError(error, 'ERE_NOT_FOUND')) this.#open.delete(object);
      throw error;
    } finally {
      entry.users--;
      this.#closeIdle();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const entries = [...this.#open.values()];
    this.#open.clear();
    await Promise.all(entries.map(({ value }) => value.then((open) => open.close()).catch(() => {})));
  }

  #entry(object: Digest): Entry {
    // Reads ahead of work that failed may come late.
    if (this.#isClosed) throw new IoError(`${this.#backend.location}: cannot read: it was closed`);
    const found = this.#open.get(object);
    const entry = found ?? { value: openObject(this.#backend, object), users: 0 };
    entry.value.catch(() => {}); // Whoever reads is told.
    this.#open.delete(object);
    this.#open.set(object, entry);
    return entry;
  }

  #closeIdle(): void {
    for (const [object, entry] of this.#open) {
      if (this.#open.size <= MAX_IDLE) return;
      if (entry.users > 0) continue;
      this.#open.delete(object);
      void entry.value.then((open) => open.close()).catch(() => {});
    }
  }
}

/** A store in memory, for tests and for passing through: gone with its object. */
import { assertRange } from '../../../formats/byte-source.js';
import { IoError, NotFoundError } from '../../../formats/errors.js';
import { throwIfAborted } from '../../io/abort.js';
import type { Content, Key, OpenValue, RequestOptions, StoreBackend, StoredValue } from '../backend.js';
import { assertKey, assertPrefix, isUnder } from '../keys.js';
import { assertReadable, DEFAULT_MAX_BYTE_LENGTH, equalContents, joinPieces } from './content.js';

/** @param name shown in messages, as `memory:NAME` */
export function createMemoryBackend(name = 'store'): StoreBackend {
  return new MemoryBackend(`memory:${name}`);
}

interface Kept {
  /** Never written to: a new value is another array, so that an open one keeps its bytes. */
  readonly bytes: Uint8Array;
  readonly modifiedMs: number;
}

class MemoryBackend implements StoreBackend {
  readonly location: string;
  readonly isReadOnly = false;
  readonly #values = new Map<Key, Kept>();

  constructor(location: string) {
    this.location = location;
  }

  async read(
    key: Key,
    options: RequestOptions & { readonly maxByteLength?: number } = {},
  ): Promise<Uint8Array> {
    const { bytes } = this.#get(key, options.signal);
    assertReadable(this.#shown(key), bytes.byteLength, options.maxByteLength ?? DEFAULT_MAX_BYTE_LENGTH);
    return bytes.slice();
  }

  async open(key: Key, options: RequestOptions = {}): Promise<OpenValue> {
    const { bytes } = this.#get(key, options.signal);
    const name = this.#shown(key);
    let isClosed = false;
    return {
      name,
      byteLength: bytes.byteLength,
      async read(offset, length, room) {
        assertRange(name, bytes.byteLength, offset, length);
        if (isClosed) throw new IoError(`${name}: cannot read: the value is closed`);
        const part = bytes.subarray(offset, offset + length);
        if (room?.byteLength !== length) return part.slice();
        room.set(part);
        return room;
      },
      async close() {
        isClosed = true;
      },
    };
  }

  async stat(key: Key, options: RequestOptions = {}): Promise<StoredValue | undefined> {
    assertKey(key);
    throwIfAborted(options.signal);
    const kept = this.#values.get(key);
    return kept && { key, byteLength: kept.bytes.byteLength, modifiedMs: kept.modifiedMs };
  }

  async *list(prefix: string, options: RequestOptions = {}): AsyncGenerator<StoredValue, void, void> {
    assertPrefix(prefix);
    for (const [key, { bytes, modifiedMs }] of [...this.#values]) {
      throwIfAborted(options.signal);
      if (isUnder(key, prefix)) yield { key, byteLength: bytes.byteLength, modifiedMs };
    }
  }

  async write(key: Key, content: Content, options: RequestOptions = {}): Promise<void> {
    assertKey(key);
    const bytes = await joinPieces(content, options.signal);
    throwIfAborted(options.signal);
    this.#set(key, bytes);
  }

  async compareAndSwap(
    key: Key,
    expected: Uint8Array | undefined,
    next: Uint8Array | undefined,
    options: RequestOptions = {},
  ): Promise<boolean> {
    assertKey(key);
    throwIfAborted(options.signal);
    if (!equalContents(this.#values.get(key)?.bytes, expected)) return false;
    if (next === undefined) this.#values.delete(key);
    else this.#set(key, next.slice());
    return true;
  }

  async remove(key: Key, options: RequestOptions = {}): Promise<void> {
    assertKey(key);
    throwIfAborted(options.signal);
    this.#values.delete(key);
  }

  /** Nothing is left: what is half-written is in no map. */
  async removeLeftovers(options: RequestOptions = {}): Promise<number> {
    throwIfAborted(options.signal);
    return 0;
  }

  async close(): Promise<void> {}

  #get(key: Key, signal: AbortSignal | undefined): Kept {
    assertKey(key);
    throwIfAborted(signal);
    const kept = this.#values.get(key);
    if (kept === undefined) throw new NotFoundError(`${this.#shown(key)}: there is no such value`);
    return kept;
  }

  #set(key: Key, bytes: Uint8Array): void {
    this.#values.set(key, { bytes, modifiedMs: Date.now() });
  }

  #shown(key: Key): string {
    return `${this.location}/${key}`;
  }
}

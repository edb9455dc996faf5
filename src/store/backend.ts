/**
 * Where a store keeps its bytes (docs/spec/store-backends.md): named values, most of them written once. A file system, memory,
 * an S3 bucket and plain HTTP all stand behind this interface; test/conformance/backend-suite.ts holds each to it.
 */
import type { ByteSource } from '../../formats/byte-source.js';

/**
 * Name of a value: segments of a-z 0-9 . _ % = ~ -, of at most 255 characters, without '.' at either end, joined by
 * '/', at most 512 characters in all. The first one is not `tmp`, which backends keep for themselves, and no key is a
 * folder of another. Lower case only, so that no two are one on a file system that ignores case.
 */
export type Key = string;

export interface StoredValue {
  readonly key: Key;
  readonly byteLength: number;
  /** When it was written, by the clock of the backend, in milliseconds since 1970. */
  readonly modifiedMs: number;
}

/** An open value: whatever happens to its key, reads give the bytes it had when it was opened, or throw. */
export interface OpenValue extends ByteSource {
  close(): Promise<void>;
}

/** Content to write: at once, or in pieces of which none is kept. */
export type Content = Uint8Array | AsyncIterable<Uint8Array>;

export interface RequestOptions {
  /** Given to `open`, it ends the reads of the open value too where they need the network. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * @throws NotFoundError where a key has no value; IoError when the system or the network fails, a full disk included;
 * UnsupportedError for a change to a backend that is read-only; EreError with code ERE_ABORTED; RangeError for a
 * malformed key.
 */
export interface StoreBackend {
  /** For messages: a path or a URL, without credentials. */
  readonly location: string;
  readonly isReadOnly: boolean;
  /** Path of the folder, where the backend is one: worker threads open it for themselves. */
  readonly folder?: string;

  /**
   * The whole value, for small ones.
   * @throws LimitError when it has more than `maxByteLength` bytes (default 64 MiB)
   */
  read(key: Key, options?: RequestOptions & { readonly maxByteLength?: number }): Promise<Uint8Array>;
  /** A value to read parts of. */
  open(key: Key, options?: RequestOptions): Promise<OpenValue>;
  /** Undefined where there is no value. */
  stat(key: Key, options?: RequestOptions): Promise<StoredValue | undefined>;
  /**
   * Every value whose key begins with the folder `prefix` and '/', or all for ''; in no order. What is written or
   * removed meanwhile may be in it or not; everything else is.
   */
  list(prefix: string, options?: RequestOptions): AsyncIterable<StoredValue>;
  /**
   * When a value right in a folder was last added, replaced or removed, where the backend knows; undefined where there is
   * no such folder.
   */
  changedMs?(folder: string, options?: RequestOptions): Promise<number | undefined>;

  /**
   * Writes a value whole or not at all, durable when the promise resolves. One that is there is replaced: keys of
   * write-once values follow from their content, so that both are the same.
   */
  write(key: Key, content: Content, options?: RequestOptions): Promise<void>;
  /**
   * Sets a small value to `next`, or removes it for undefined, if it is `expected` now (undefined: if there is none),
   * as one step that no other one comes between; durable when the promise resolves. A key that is changed by it is
   * changed by nothing else while others may.
   * @returns whether it was
   * @throws ConflictError when another process holds the key for long
   */
  compareAndSwap(
    key: Key,
    expected: Uint8Array | undefined,
    next: Uint8Array | undefined,
    options?: RequestOptions,
  ): Promise<boolean>;
  /** Removes a value; nothing happens where there is none. */
  remove(key: Key, options?: RequestOptions): Promise<void>;
  /**
   * Removes what writers that were killed left half-written, where that can be told; for whoever changes the store
   * alone. Returns its bytes.
   */
  removeLeftovers(options?: RequestOptions): Promise<number>;
  close(): Promise<void>;
}

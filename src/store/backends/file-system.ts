/**
 * A store in a folder (docs/spec/store-backends.md §3): the value of a key is the file `<folder>/<key>`.
 * A file gets its name only when all of its bytes are on the disk, so that a process may be killed between any two
 * system calls: a key has its old value or the new one. What it leaves is under `<folder>/tmp/`.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, rename, rm, stat, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { ConflictError, NotFoundError } from '../../../formats/errors.js';
import { throwIfAborted } from '../../io/abort.js';
import type { FileSource } from '../../io/file-source.js';
import { flushAhead } from '../../io/flush-ahead.js';
import { isSystemError, toIoError, withIoErrors } from '../../io/io-error.js';
import { handleOutput } from '../../io/output-file.js';
import { syncFolder } from '../../io/sync.js';
import type { Content, Key, RequestOptions, StoreBackend, StoredValue } from '../backend.js';
import { assertKey, assertPrefix, isKey, RESERVED_SEGMENT } from '../keys.js';
import { assertReadable, contentPieces, DEFAULT_MAX_BYTE_LENGTH, equalContents } from './content.js';
import { type DurableFolders, durableFolders, makeDurably } from './durable-folders.js';
import { entriesOf, openValue, readSmallValue, statsOf, statValue } from './folder-values.js';
import { withKeyLock } from './key-lock.js';
import { removeFolderLeftovers } from './leftovers.js';
import { newWriterName } from './writer-names.js';

export interface FolderBackendOptions {
  /** Make the folder, and those on the way to it, where there is none. Default false. */
  readonly create?: boolean;
  /** How long compareAndSwap waits for other processes, in milliseconds. Default 30 s: they need milliseconds. */
  readonly lockTimeoutMs?: number;
}

/**
 * Files whose sizes are asked for before other work has its turn. In this thread it takes 3 µs a file; through the pool
 * that asynchronous calls go through, ten times as long, and stores have many files.
 */
const STATS_AT_ONCE = 512;

/**
 * Opens a folder as a store's backend.
 * @throws NotFoundError when there is none and `create` is not set; ConflictError when something else is there; IoError
 */
export async function openFolderBackend(
  path: string,
  options: FolderBackendOptions = {},
): Promise<StoreBackend> {
  const folder = resolve(path);
  await withIoErrors('open', path, async () => {
    if (options.create === true) await makeDurably(folder);
    // A link is followed here: a store may be elsewhere; only its values are never links.
    if (!(await stat(folder)).isDirectory()) {
      throw new ConflictError(`${path}: expected a folder, found something else`);
    }
  });
  return new FolderBackend(path, folder, options.lockTimeoutMs ?? 30_000);
}

class FolderBackend implements StoreBackend {
  readonly location: string;
  readonly isReadOnly = false;
  readonly folder: string;
  readonly #lockTimeoutMs: number;
  readonly #folders: DurableFolders;
  readonly #temporaryFolder: string;

  constructor(location: string, folder: string, lockTimeoutMs: number) {
    this.location = location;
    this.folder = folder;
    this.#lockTimeoutMs = lockTimeoutMs;
    this.#folders = durableFolders(folder);
    this.#temporaryFolder = join(folder, RESERVED_SEGMENT);
  }

  async read(
    key: Key,
    options: RequestOptions & { readonly maxByteLength?: number } = {},
  ): Promise<Uint8Array> {
    const { maxByteLength = DEFAULT_MAX_BYTE_LENGTH, signal } = options;
    assertKey(key);
    throwIfAborted(signal);
    const small = readSmallValue(this.#path(key));
    if (small !== undefined) {
      assertReadable(this.#shown(key), small.byteLength, maxByteLength);
      return small;
    }
    const value = await this.open(key, options);
    try {
      assertReadable(value.name, value.byteLength, maxByteLength);
      return await value.read(0, value.byteLength);
    } finally {
      await value.close();
    }
  }

  async open(key: Key, options: RequestOptions = {}): Promise<FileSource> {
    assertKey(key);
    throwIfAborted(options.signal);
    const shown = this.#shown(key);
    const value = await withIoErrors('open', shown, () => openValue(this.#path(key), shown));
    if (value === undefined) throw new NotFoundError(`${shown}: there is no such value`);
    return value;
  }

  async stat(key: Key, options: RequestOptions = {}): Promise<StoredValue | undefined> {
    assertKey(key);
    throwIfAborted(options.signal);
    return this.#stat(key);
  }

  async *list(prefix: string, options: RequestOptions = {}): AsyncGenerator<StoredValue, void, void> {
    assertPrefix(prefix);
    const folders = [prefix];
    let count = 0;
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      throwIfAborted(options.signal);
      for (const entry of this.#entries(folder)) {
        const key = folder === '' ? entry.name : `${folder}/${entry.name}`;
        if (!isKey(key)) continue;
        if (entry.isDirectory()) folders.push(key);
        if (!entry.isFile()) continue;
        if (++count % STATS_AT_ONCE === 0) {
          await setImmediate();
          throwIfAborted(options.signal);
        }
        const value = this.#stat(key);
        if (value !== undefined) yield value;
      }
    }
  }

  /** Values are renamed into their folders, also over others: that is a change of the folder. */
  async changedMs(folder: string, options: RequestOptions = {}): Promise<number | undefined> {
    assertPrefix(folder);
    throwIfAborted(options.signal);
    const info = await withIoErrors('open', this.#shown(folder), async () =>
      statsOf(join(this.folder, folder)),
    );
    return info?.isDirectory() ? info.mtimeMs : undefined;
  }

  async write(key: Key, content: Content, options: RequestOptions = {}): Promise<void> {
    assertKey(key);
    throwIfAborted(options.signal);
    await this.#replace(key, content, options.signal);
  }

  async compareAndSwap(
    key: Key,
    expected: Uint8Array | undefined,
    next: Uint8Array | undefined,
    options: RequestOptions = {},
  ): Promise<boolean> {
    assertKey(key);
    const { signal } = options;
    throwIfAborted(signal);
    const shown = this.#shown(key);
    return withIoErrors('write', shown, async () => {
      if (!(await this.#holds(key, expected))) return false;
      await this.#makeTemporaryFolder();
      const lock = {
        temporaryFolder: this.#temporaryFolder,
        path: join(this.#temporaryFolder, lockName(key)),
        shown,
        deadlineMs: Date.now() + this.#lockTimeoutMs,
        signal,
      };
      return withKeyLock(lock, async (isHeld) => {
        throwIfAborted(signal);
        if (!(await this.#holds(key, expected))) return false;
        const assertHeld = async (): Promise<void> => {
          if (await isHeld()) return;
          throw new ConflictError(`${shown}: cannot write: took so long that another process changed it`);
        };
        if (next !== undefined) {
          await this.#replace(key, next, signal, assertHeld);
        } else if (expected !== undefined) {
          await assertHeld();
          await this.#unlink(key);
        }
        return true;
      });
    });
  }

  async remove(key: Key, options: RequestOptions = {}): Promise<void> {
    assertKey(key);
    throwIfAborted(options.signal);
    await withIoErrors('remove', this.#shown(key), () => this.#unlink(key));
  }

  async removeLeftovers(options: RequestOptions = {}): Promise<number> {
    throwIfAborted(options.signal);
    const shown = join(this.location, RESERVED_SEGMENT);
    return withIoErrors('remove', shown, () => removeFolderLeftovers(this.#temporaryFolder, options.signal));
  }

  async close(): Promise<void> {}

  /** Writes a temporary file, flushes it and renames it. On any error it is removed, and the key is as it was. */
  async #replace(
    key: Key,
    content: Content,
    signal: AbortSignal | undefined,
    beforeMove?: () => Promise<void>,
  ): Promise<void> {
    const shown = this.#shown(key);
    const temporary = join(this.#temporaryFolder, newWriterName());
    await withIoErrors('write', shown, async () => {
      try {
        await this.#fill(temporary, shown, content, signal);
        throwIfAborted(signal);
        await beforeMove?.();
        await this.#moveTo(key, temporary);
      } catch (error) {
        // The first error is the one to tell.
        await rm(temporary, { force: true }).catch(() => {});
        throw error;
      }
    });
  }

  async #fill(
    temporary: string,
    shown: string,
    content: Content,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const handle = await open(temporary, 'wx').catch(async (error: unknown) => {
      if (!isSystemError(error, 'ENOENT')) throw error;
      await this.#makeTemporaryFolder();
      return open(temporary, 'wx');
    });
    try {
      const file = handleOutput(handle, temporary, shown);
      const ahead = flushAhead([file]);
      try {
        for await (const piece of contentPieces(content, signal)) {
          await file.write(piece);
          ahead.wrote(file.position);
        }
      } finally {
        await ahead.settle();
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  /** From the rename on the key has its new value; the promise waits until the disk knows. */
  async #moveTo(key: Key, temporary: string): Promise<void> {
    const path = this.#path(key);
    const folder = dirname(path);
    const move = async () => {
      await this.#folders.ensure(folder);
      await rename(temporary, path);
    };
    try {
      await move().catch((error: unknown) => {
        if (!isSystemError(error, 'ENOENT')) throw error;
        // Somebody removed a folder that is taken for known.
        this.#folders.forget(folder);
        return move();
      });
    } catch (error) {
      if (!isSystemError(error, 'EISDIR', 'ENOTDIR', 'EEXIST', 'ENOTEMPTY')) throw error;
      const shown = this.#shown(key);
      throw new ConflictError(
        `${shown}: cannot write: it is a folder of other values, or inside of a value`,
        {
          cause: error,
        },
      );
    }
    await syncFolder(folder);
  }

  /** Nothing in it is kept, so that it need not be durable. */
  async #makeTemporaryFolder(): Promise<void> {
    await mkdir(this.#temporaryFolder).catch((error: unknown) => {
      if (!isSystemError(error, 'EEXIST')) throw error;
    });
  }

  async #unlink(key: Key): Promise<void> {
    const path = this.#path(key);
    try {
      // A folder is no value, and some systems unlink one for root.
      if (!statsOf(path)?.isFile()) return;
      await unlink(path);
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return;
      throw error;
    }
    await syncFolder(dirname(path));
  }

  async #holds(key: Key, expected: Uint8Array | undefined): Promise<boolean> {
    const value = await openValue(this.#path(key), this.#shown(key));
    if (value === undefined || expected === undefined) {
      await value?.close();
      return value === undefined && expected === undefined;
    }
    try {
      if (value.byteLength !== expected.byteLength) return false;
      return equalContents(await value.read(0, value.byteLength), expected);
    } finally {
      await value.close();
    }
  }

  #stat(key: Key): StoredValue | undefined {
    try {
      return statValue(this.#path(key), key);
    } catch (error) {
      throw toIoError(error, 'open', this.#shown(key));
    }
  }

  #entries(folder: string) {
    try {
      return entriesOf(join(this.folder, folder), folder === '');
    } catch (error) {
      throw toIoError(error, 'list', folder === '' ? this.location : this.#shown(folder));
    }
  }

  #path(key: Key): string {
    return join(this.folder, key);
  }

  #shown(key: Key): string {
    return join(this.location, key);
  }
}

/** Locks are not in the folders of their keys, so that they are no values and no folders are made for them. */
function lockName(key: Key): string {
  return `lock-${createHash('sha256').update(key).digest('hex').slice(0, 40)}`;
}

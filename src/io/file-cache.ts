/**
 * A folder of files that are made when somebody first wants to read them, of bounded size: what was used last stays. A
 * file is made once however many want it, at most so many at a time, and read only when it is whole. The folder is the
 * process's own and is gone with it; that of a killed process is removed by the next one.
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { IoError, LimitError } from '../../formats/errors.js';
import { withIoErrors } from './io-error.js';
import { hasEnded, processTag } from './process-identity.js';

/** What a file of the cache holds. */
export interface CacheItem {
  /** Names the bytes: items of one key have the same ones. */
  readonly key: string;
  readonly byteLength: number;
  /** Share of the concurrency that making it takes; default 1. */
  readonly weight?: number;
  /** Fills the file, which is there and empty. */
  make(path: string): Promise<void>;
}

/** Somebody's interest in an item: it is made, or kept in line for that, until it is released. */
export interface Want {
  /**
   * Reads bytes of the item as soon as it is made, also where it was dropped meanwhile and is made again.
   * @param room filled to its end
   * @throws what making it threw; CacheBusyError; IoError
   */
  read(byteOffset: number, room: Uint8Array): Promise<void>;
  release(): void;
}

export interface FileCacheOptions {
  /** Made where there is none. */
  readonly folder: string;
  /** Bytes of all files, those that are being made as well. */
  readonly maxByteLength: number;
  /** Files that are made at a time. */
  readonly concurrency: number;
  /** Files that wait to be made; default 1000. */
  readonly maxWaiting?: number;
}

export interface FileCacheStats {
  readonly byteLength: number;
  readonly maxByteLength: number;
  readonly fileCount: number;
  /** Being made, and waiting for it. */
  readonly makingCount: number;
  readonly waitingCount: number;
  /** Wants that found the file there, and that did not. */
  readonly hitCount: number;
  readonly missCount: number;
  readonly evictedCount: number;
}

/** Too many files wait to be made: ask again later. */
export class CacheBusyError extends Error {
  override readonly name = 'CacheBusyError';
}

/** Handles that stay open. */
const MAX_HANDLES = 256;
const DEFAULT_MAX_WAITING = 1000;
const FOLDER_PREFIX = 'served-';

interface Entry {
  readonly item: CacheItem;
  readonly path: string;
  state: 'waiting' | 'making' | 'ready' | 'gone';
  /** Wants; without one it is not made. */
  interest: number;
  /** Reads that wait or run; with one it is not dropped. */
  readers: number;
  readonly made: Promise<void>;
  readonly settle: (error?: unknown) => void;
  handle: Promise<FileHandle> | undefined;
}

export class FileCache {
  readonly #options: FileCacheOptions;
  readonly #folder: string;
  /** In order of their last use. */
  readonly #entries = new Map<string, Entry>();
  readonly #waiting: Entry[] = [];
  readonly #making = new Set<Promise<void>>();
  readonly #removing = new Set<Promise<void>>();
  #weight = 0;
  #byteLength = 0;
  #handleCount = 0;
  #fileNumber = 0;
  #counts = { hit: 0, miss: 0, evicted: 0 };
  #isClosed = false;

  private constructor(options: FileCacheOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
  }

  /** @throws IoError where the folder cannot be made */
  static async open(options: FileCacheOptions): Promise<FileCache> {
    const { folder } = options;
    await withIoErrors('create', folder, () => mkdir(folder, { recursive: true }));
    for (const name of await withIoErrors('list', folder, () => readdir(folder))) {
      const tag = name.startsWith(FOLDER_PREFIX) ? name.slice(FOLDER_PREFIX.length).split('.')[0]! : '';
      if (hasEnded(tag)) await rm(join(folder, name), { recursive: true, force: true });
    }
    const own = join(folder, `${FOLDER_PREFIX}${processTag()}.${randomBytes(4).toString('hex')}`);
    await withIoErrors('create', own, () => mkdir(own));
    return new FileCache(options, own);
  }

  /** @throws LimitError for an item larger than the cache; CacheBusyError */
  want(item: CacheItem): Want {
    let entry = this.#enter(item);
    if (entry.state === 'ready') this.#counts.hit++;
    else this.#counts.miss++;
    let isReleased = false;
    return {
      read: async (byteOffset, room) => {
        for (let isAgain = false; ; isAgain = true) {
          if (entry.state === 'gone') entry = this.#enter(item);
          const problem = await this.#read(entry, byteOffset, room);
          if (problem === undefined) return;
          // Whoever empties folders of caches need not ask: what was in them is made again.
          if (entry.state === 'ready') this.#remove(entry);
          if (isAgain || this.#isClosed) throw problem;
        }
      },
      release: () => {
        if (isReleased) return;
        isReleased = true;
        entry.interest--;
        this.#dropUnwanted(entry);
      },
    };
  }

  /** @throws LimitError for what is larger than the cache */
  assertFits(byteLength: number): void {
    const { maxByteLength } = this.#options;
    if (byteLength <= maxByteLength) return;
    throw new LimitError(
      `a file of ${byteLength} bytes does not fit into a cache of ${maxByteLength}: give it more room`,
      maxByteLength,
      byteLength,
    );
  }

  get stats(): FileCacheStats {
    const { hit, miss, evicted } = this.#counts;
    return {
      byteLength: this.#byteLength,
      maxByteLength: this.#options.maxByteLength,
      fileCount: this.#entries.size,
      makingCount: this.#making.size,
      waitingCount: this.#waiting.length,
      hitCount: hit,
      missCount: miss,
      evictedCount: evicted,
    };
  }

  /** Waits for what is being made, and removes the folder. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const entry of this.#waiting.splice(0)) this.#fail(entry, closedError());
    await Promise.all([...this.#making, ...this.#removing]);
    await Promise.all([...this.#entries.values()].map((entry) => closeHandle(entry)));
    this.#entries.clear();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #enter(item: CacheItem): Entry {
    const { maxWaiting = DEFAULT_MAX_WAITING } = this.#options;
    if (this.#isClosed) throw closedError();
    const found = this.#entries.get(item.key);
    if (found !== undefined) {
      found.interest++;
      this.#touch(found);
      return found;
    }
    this.assertFits(item.byteLength);
    if (this.#waiting.length >= maxWaiting)
      throw new CacheBusyError(`${maxWaiting} files wait to be made already`);
    let settle!: (error?: unknown) => void;
    const made = new Promise<void>((resolve, reject) => {
      settle = (error) => (error === undefined ? resolve() : reject(error));
    });
    made.catch(() => {}); // Whoever reads is told.
    const path = join(this.#folder, `${this.#fileNumber++}`);
    const entry: Entry = {
      item,
      path,
      state: 'waiting',
      interest: 1,
      readers: 0,
      made,
      settle,
      handle: undefined,
    };
    this.#entries.set(item.key, entry);
    this.#waiting.push(entry);
    this.#makeNext();
    return entry;
  }

  /** @returns what is wrong with its file. @throws what making it threw */
  async #read(entry: Entry, byteOffset: number, room: Uint8Array): Promise<unknown> {
    entry.readers++;
    try {
      await entry.made;
      this.#touch(entry);
      return await this.#fill(entry, byteOffset, room).catch((error: unknown) => error);
    } finally {
      entry.readers--;
      if (entry.readers === 0 && this.#waiting.length > 0) this.#makeNext();
    }
  }

  async #fill(entry: Entry, byteOffset: number, room: Uint8Array): Promise<void> {
    const handle = await this.#open(entry);
    for (let done = 0; done < room.byteLength; ) {
      const { bytesRead } = await withIoErrors('read', entry.path, () =>
        handle.read(room, done, room.byteLength - done, byteOffset + done),
      );
      if (bytesRead === 0) throw new IoError(`${entry.path}: ends at byte ${byteOffset + done}`);
      done += bytesRead;
    }
  }

  /** The most recently used is the last. */
  #touch(entry: Entry): void {
    const { key } = entry.item;
    if (this.#entries.get(key) !== entry) return;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
  }

  /** Begins what there is room for, in the order that it was asked for. */
  #makeNext(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const weight = Math.min(next.item.weight ?? 1, this.#options.concurrency);
      if (this.#weight + weight > this.#options.concurrency || !this.#makeRoom(next.item.byteLength)) return;
      this.#waiting.shift();
      const making = this.#make(next, weight).finally(() => {
        this.#making.delete(making);
        this.#makeNext();
      });
      this.#making.add(making);
    }
  }

  async #make(entry: Entry, weight: number): Promise<void> {
    const { item, path } = entry;
    entry.state = 'making';
    this.#weight += weight;
    this.#byteLength += item.byteLength;
    try {
      // Their bytes count no more, but they are still there.
      await Promise.all(this.#removing);
      await withIoErrors('create', this.#folder, () => mkdir(this.#folder, { recursive: true }));
      await withIoErrors('write', path, () => writeFile(path, '', { flag: 'wx' }));
      await item.make(path);
      entry.state = 'ready';
      entry.settle();
    } catch (error) {
      this.#byteLength -= item.byteLength;
      await rm(path, { force: true }).catch(() => {});
      this.#fail(entry, error);
    } finally {
      this.#weight -= weight;
    }
  }

  #fail(entry: Entry, error: unknown): void {
    entry.state = 'gone';
    this.#entries.delete(entry.item.key);
    entry.settle(error);
  }

  /** What nobody waits for any more is not made; what is being made is finished. */
  #dropUnwanted(entry: Entry): void {
    if (entry.state !== 'waiting' || entry.interest > 0) return;
    this.#waiting.splice(this.#waiting.indexOf(entry), 1);
    this.#fail(entry, new Error('nobody waits for it any more'));
    this.#makeNext();
  }

  /** Drops what was not used for longest until so many bytes fit. False, and drops none, where too much is in use. */
  #makeRoom(byteLength: number): boolean {
    let missing = this.#byteLength + byteLength - this.#options.maxByteLength;
    const idle: Entry[] = [];
    for (const entry of missing > 0 ? this.#entries.values() : []) {
      if (missing <= 0) break;
      if (entry.state !== 'ready' || entry.readers > 0) continue;
      idle.push(entry);
      missing -= entry.item.byteLength;
    }
    if (missing > 0) return false;
    for (const entry of idle) this.#remove(entry);
    this.#counts.evicted += idle.length;
    return true;
  }

  #remove(entry: Entry): void {
    entry.state = 'gone';
    this.#entries.delete(entry.item.key);
    this.#byteLength -= entry.item.byteLength;
    this.#closeHandle(entry);
    const removing = rm(entry.path, { force: true })
      .catch(() => {})
      .finally(() => this.#removing.delete(removing));
    this.#removing.add(removing);
  }

  #open(entry: Entry): Promise<FileHandle> {
    if (entry.handle === undefined) {
      entry.handle = withIoErrors('open', entry.path, () => open(entry.path, 'r'));
      if (++this.#handleCount > MAX_HANDLES) this.#closeIdleHandle();
    }
    return entry.handle;
  }

  #closeIdleHandle(): void {
    for (const entry of this.#entries.values()) {
      if (entry.handle === undefined || entry.readers > 0) continue;
      this.#closeHandle(entry);
      return;
    }
  }

  #closeHandle(entry: Entry): void {
    if (entry.handle === undefined) return;
    this.#handleCount--;
    void closeHandle(entry).catch(() => {});
  }
}

async function closeHandle(entry: Entry): Promise<void> {
  const { handle } = entry;
  entry.handle = undefined;
  await (await handle?.catch(() => undefined))?.close();
}

function closedError(): Error {
  return new Error('the cache is closed');
}

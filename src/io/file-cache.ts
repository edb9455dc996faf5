/**
 * A folder of files that are made when somebody first wants to read them, of bounded size: what was used last stays. A
 * file is made once however many want it, at most so many at a time, and read only when it is whole. The folder is the
 * process's own and is gone with it; that of a killed process is removed by the next one.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LimitError } from '../../formats/errors.js';
import { FileHandles } from './file-handles.js';
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

/**
 * How much somebody wants a file who does not have it: 'ahead' of its use, which is refused where a quarter of the line is
 * taken; 'first' of all, which may still be refused; or as the 'next' of several, where refusing would waste what went before.
 */
export type Urgency = 'ahead' | 'first' | 'next';

/** Too many files wait to be made: ask again later. */
export class CacheBusyError extends Error {
  override readonly name = 'CacheBusyError';
}

/** Handles that stay open. */
const MAX_HANDLES = 256;
const DEFAULT_MAX_WAITING = 1000;
const FOLDER_PREFIX = 'served-';
/** For this user alone: what is in the files may be given to those with a token only. */
const OWN = { recursive: true, mode: 0o700 } as const;
/** What is wanted stays at least so long, however little making it took. */
const MIN_STAY_MS = 100;

interface Entry {
  readonly item: CacheItem;
  readonly path: string;
  state: 'waiting' | 'making' | 'ready' | 'gone';
  /** Wants; without one it is not made. */
  interest: number;
  /** Reads that wait or run; with one it is not dropped. */
  readers: number;
  /** When it was made, and how long that took. */
  madeAt: number;
  makingMs: number;
  readonly made: Promise<void>;
  readonly settle: (error?: unknown) => void;
}

export class FileCache {
  readonly #options: FileCacheOptions;
  readonly #folder: string;
  /** In order of their last use. */
  readonly #entries = new Map<string, Entry>();
  readonly #waiting: Entry[] = [];
  readonly #making = new Set<Promise<void>>();
  readonly #removing = new Set<Promise<void>>();
  readonly #handles = new FileHandles(MAX_HANDLES);
  #weight = 0;
  #byteLength = 0;
  #fileNumber = 0;
  #counts = { hit: 0, miss: 0, evicted: 0 };
  /** Bytes of all files: what the options say, or what the disk turned out to have. */
  #maxByteLength: number;
  /** Set while what waits can be made as soon as something in use has been there long enough. */
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(options: FileCacheOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
    this.#maxByteLength = options.maxByteLength;
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
    await withIoErrors('create', own, () => mkdir(own, OWN));
    return new FileCache(options, own);
  }

  /** @throws LimitError for an item larger than the cache; CacheBusyError */
  want(item: CacheItem, urgency: Urgency = 'first'): Want {
    let entry = this.#enter(item, urgency);
    if (entry.state === 'ready') this.#counts.hit++;
    else this.#counts.miss++;
    let isReleased = false;
    return {
      read: async (byteOffset, room) => {
        for (let isAgain = false; ; isAgain = true) {
          if (entry.state === 'gone') entry = this.#enter(item, 'next');
          const current = entry;
          const problem = await this.#read(current, byteOffset, room).catch((error: unknown) => {
            // Another's way of making the same bytes failed, which says nothing of this one.
            if (current.item === item || isReleased) throw error;
            return error;
          });
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
      maxByteLength: this.#maxByteLength,
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
    clearTimeout(this.#retry);
    for (const entry of this.#waiting.splice(0)) this.#fail(entry, closedError());
    await Promise.all([...this.#making, ...this.#removing]);
    await this.#handles.closeAll();
    this.#entries.clear();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #enter(item: CacheItem, urgency: Urgency): Entry {
    const { maxWaiting = DEFAULT_MAX_WAITING } = this.#options;
    if (this.#isClosed) throw closedError();
    const found = this.#entries.get(item.key);
    if (found !== undefined) {
      found.interest++;
      this.#touch(found);
      return found;
    }
    this.assertFits(item.byteLength);
    const most = { ahead: maxWaiting / 4, first: maxWaiting, next: Number.POSITIVE_INFINITY }[urgency];
    if (this.#waiting.length >= most) throw new CacheBusyError(`${maxWaiting} files wait to be made already`);
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
      madeAt: 0,
      makingMs: 0,
      made,
      settle,
    };
    this.#entries.set(item.key, entry);
    this.#waiting.push(entry);
    this.#makeNext();
    return entry;
  }

  /** @returns what is wrong with its file. @throws what making it threw */
  async #read(entry: Entry, byteOffset: number, room: Uint8Array): Promise<unknown> {
    entry.readers++;
    // One that is waited for comes first, and may take the place of others.
    if (entry.state === 'waiting') this.#makeNext();
    try {
      await entry.made;
      this.#touch(entry);
      return await this.#handles.read(entry.path, byteOffset, room).catch((error: unknown) => error);
    } finally {
      entry.readers--;
      if (entry.readers === 0 && this.#waiting.length > 0) this.#makeNext();
    }
  }

  /** The most recently used is the last. */
  #touch(entry: Entry): void {
    const { key } = entry.item;
    if (this.#entries.get(key) !== entry) return;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
  }

  /** Begins what there is room for: first what somebody waits for, else in the order that it was asked for. */
  #makeNext(): void {
    for (;;) {
      const next = this.#waiting.find(({ readers }) => readers > 0) ?? this.#waiting[0];
      if (next === undefined) return;
      const weight = Math.min(next.item.weight ?? 1, this.#options.concurrency);
      if (this.#weight + weight > this.#options.concurrency || !this.#makeRoom(next)) return;
      this.#waiting.splice(this.#waiting.indexOf(next), 1);
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
      await withIoErrors('create', this.#folder, () => mkdir(this.#folder, OWN));
      const started = performance.now();
      await this.#fillFile(item, path);
      entry.madeAt = performance.now();
      entry.makingMs = entry.madeAt - started;
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

  /** Where the disk has less room than the cache may take, once more in the place of what is not used. */
  async #fillFile(item: CacheItem, path: string): Promise<void> {
    const fill = async (): Promise<void> => {
      await withIoErrors('write', path, () => writeFile(path, '', { flag: 'wx' }));
      await item.make(path);
    };
    try {
      await fill();
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      await rm(path, { force: true });
      this.#maxByteLength = Math.max(item.byteLength, this.#byteLength - item.byteLength);
      this.#dropIdle(item.byteLength);
      await Promise.all(this.#removing);
      await fill();
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

  /**
   * Makes room for a file. What is being sent is read again in a moment: only what somebody waits for takes its place, and
   * not at once. False, and drops none, where too much is in use: where time helps, it is tried again.
   */
  #makeRoom({ item, readers }: Entry): boolean {
    const missing = this.#byteLength + item.byteLength - this.#maxByteLength;
    if (missing <= 0) return true;
    const waitMs = this.#dropIdle(missing, readers === 0 ? undefined : performance.now());
    if (waitMs > 0 && Number.isFinite(waitMs)) this.#tryIn(waitMs);
    return waitMs === 0;
  }

  /**
   * Drops so many bytes that nobody reads right now: first what nobody wants, of that first what was not used for longest.
   * @param now also what is wanted, and has been there for as long as it took to make
   * @returns 0, or the milliseconds until it can be done: none is dropped then
   */
  #dropIdle(byteLength: number, now?: number): number {
    const idle = [...this.#entries.values()].filter(
      ({ state, readers }) => state === 'ready' && readers === 0,
    );
    const unwanted = idle.filter(({ interest }) => interest === 0);
    const wanted = now === undefined ? [] : idle.filter(({ interest }) => interest > 0);
    let missing = byteLength;
    let waitMs = 0;
    const dropped: Entry[] = [];
    for (const entry of [...unwanted, ...wanted]) {
      if (missing <= 0) break;
      if (entry.interest > 0)
        waitMs = Math.max(waitMs, entry.madeAt + Math.max(MIN_STAY_MS, entry.makingMs) - now!);
      dropped.push(entry);
      missing -= entry.item.byteLength;
    }
    if (missing > 0) return Number.POSITIVE_INFINITY;
    if (waitMs > 0) return waitMs;
    for (const entry of dropped) this.#remove(entry);
    this.#counts.evicted += dropped.length;
    return 0;
  }

  #tryIn(waitMs: number): void {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#makeNext(), Math.ceil(waitMs)).unref();
  }

  #remove(entry: Entry): void {
    entry.state = 'gone';
    this.#entries.delete(entry.item.key);
    this.#byteLength -= entry.item.byteLength;
    const removing = this.#handles
      .close(entry.path)
      .then(() => rm(entry.path, { force: true }))
      .catch(() => {})
      .finally(() => this.#removing.delete(removing));
    this.#removing.add(removing);
  }
}

function closedError(): Error {
  return new Error('the cache is closed');
}

function isDiskFull(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT') return true;
  }
  return false;
}

/**
 * Who may change a store (docs/spec/store.md §10): any number of writers that add, or one that removes. Readers take no
 * lock. A lock is a value that names its process and grows older unless its holder renews it, so that one left by a
 * killed process is told from one in use, also on another host.
 */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConflictError, isEreError } from '../../formats/errors.js';
import { isGone, processIdentity } from '../io/process-identity.js';
import { abortError } from '../io/worker-pool.js';
import type { StoreEvent } from './api.js';
import type { Key, StoreBackend } from './backend.js';

const EXCLUSIVE_KEY: Key = 'locks/exclusive';
const SHARED_PREFIX = 'locks/shared';

/** A holder renews its lock this often. */
const RENEW_MS = 10_000;
/** A lock of another host that stays as it is for so long is nobody's. */
const STALE_MS = 60_000;
/** Time between two looks at a lock that is held. */
const POLL_MS = 50;

export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: StoreEvent) => void) | undefined;
  /** How long to wait for others; default ten minutes. */
  readonly waitMs?: number;
}

/** Runs `work` while nothing is removed from the store. @throws ConflictError after `waitMs` */
export async function withSharedLock<T>(
  backend: StoreBackend,
  options: LockOptions,
  work: () => Promise<T>,
): Promise<T> {
  const wait = waiting(backend, options);
  for (;;) {
    const lock = await Lock.take(backend, `${SHARED_PREFIX}/${randomBytes(8).toString('hex')}`);
    // Whoever wants to be alone has written that before it looks for us.
    if (!(await wait.isHeld(EXCLUSIVE_KEY))) return lock!.during(work);
    await lock!.release();
    await wait.until(EXCLUSIVE_KEY, 'another process removes what is not needed any more');
  }
}

/** Runs `work` while nobody else changes the store. @throws ConflictError after `waitMs` */
export async function withExclusiveLock<T>(
  backend: StoreBackend,
  options: LockOptions,
  work: () => Promise<T>,
): Promise<T> {
  const wait = waiting(backend, options);
  for (;;) {
    const lock = await Lock.take(backend, EXCLUSIVE_KEY);
    if (lock === undefined) {
      await wait.until(EXCLUSIVE_KEY, 'another process removes what is not needed any more');
      continue;
    }
    return lock.during(async () => {
      for await (const { key } of backend.list(SHARED_PREFIX)) {
        await wait.until(key, 'another process adds to the store');
      }
      return work();
    });
  }
}

/** A lock that this process holds. */
class Lock {
  readonly #backend: StoreBackend;
  readonly #key: Key;
  #bytes: Uint8Array;
  #renewing: Promise<unknown> = Promise.resolve();

  private constructor(backend: StoreBackend, key: Key, bytes: Uint8Array) {
    this.#backend = backend;
    this.#key = key;
    this.#bytes = bytes;
  }

  /** Undefined where the key is taken. */
  static async take(backend: StoreBackend, key: Key): Promise<Lock | undefined> {
    const bytes = lockBytes();
    return (await backend.compareAndSwap(key, undefined, bytes)) ? new Lock(backend, key, bytes) : undefined;
  }

  async during<T>(work: () => Promise<T>): Promise<T> {
    const timer = setInterval(() => {
      this.#renewing = this.#renew().catch(() => {});
    }, RENEW_MS);
    timer.unref();
    try {
      return await work();
    } finally {
      clearInterval(timer);
      await this.#renewing;
      await this.release();
    }
  }

  async release(): Promise<void> {
    await this.#backend.compareAndSwap(this.#key, this.#bytes, undefined);
  }

  async #renew(): Promise<void> {
    const next = lockBytes();
    if (await this.#backend.compareAndSwap(this.#key, this.#bytes, next)) this.#bytes = next;
  }
}

/** Host, process, and something that is new every time. */
function lockBytes(): Uint8Array {
  const record = { host: hostname(), process: processIdentity(), renewal: randomBytes(8).toString('hex') };
  return new TextEncoder().encode(JSON.stringify(record));
}

function waiting(backend: StoreBackend, { signal, onEvent, waitMs = 600_000 }: LockOptions) {
  const started = performance.now();
  let isTold = false;

  const read = async (key: Key): Promise<Uint8Array | undefined> => {
    try {
      return await backend.read(key);
    } catch (error) {
      if (isEreError(error, 'ERE_NOT_FOUND')) return undefined;
      throw error;
    }
  };

  /** Removes a lock whose process of this host has ended. */
  const removeIfGone = async (key: Key, bytes: Uint8Array): Promise<boolean> => {
    const holder = holderOf(bytes);
    if (holder === undefined || !isGone(holder)) return false;
    return backend.compareAndSwap(key, bytes, undefined);
  };

  return {
    async isHeld(key: Key): Promise<boolean> {
      const bytes = await read(key);
      return bytes !== undefined && !(await removeIfGone(key, bytes));
    },

    /** Resolves when nobody holds the lock. */
    async until(key: Key, reason: string): Promise<void> {
      let last: Uint8Array | undefined;
      let since = performance.now();
      for (;;) {
        const bytes = await read(key);
        if (bytes === undefined || (await removeIfGone(key, bytes))) return;
        if (last === undefined || Buffer.compare(last, bytes) !== 0) {
          last = bytes;
          since = performance.now();
        } else if (performance.now() - since > STALE_MS) {
          if (await backend.compareAndSwap(key, bytes, undefined)) return;
        }
        if (!isTold) onEvent?.({ kind: 'waiting', reason });
        isTold = true;
        if (performance.now() - started > waitMs) {
          const holder = holderOf(bytes) ?? 'another process';
          throw new ConflictError(`${backend.location}: ${reason} (${holder}); try again when it is done`);
        }
        if (signal?.aborted) throw abortError(signal);
        await sleep(POLL_MS);
      }
    },
  };
}

function holderOf(bytes: Uint8Array): string | undefined {
  try {
    const { process: holder } = JSON.parse(new TextDecoder().decode(bytes)) as { process?: unknown };
    return typeof holder === 'string' ? holder : undefined;
  } catch {
    return undefined;
  }
}

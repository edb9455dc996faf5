/**
 * Who may change a store (docs/spec/store.md §10): any number of writers that add, or one that removes. Readers take no
 * lock. A lock is a value that names its process and grows older unless its holder renews it, so that one left by a
 * killed process is told from one in use, also on another host.
 */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { ConflictError } from '../../formats/errors.js';
import { delay, throwIfAborted } from '../io/abort.js';
import { isGone, processIdentity } from '../io/process-identity.js';
import { unlessMissing } from '../io/unless-missing.js';
import type { StoreEvent } from './api.js';
import type { Key, StoreBackend } from './backend.js';

export const EXCLUSIVE_KEY: Key = 'locks/exclusive';
const SHARED_PREFIX = 'locks/shared';

/** A holder renews its lock this often. */
const RENEW_MS = 10_000;
/** A lock that stays as it is for so long is nobody's. */
const STALE_MS = 60_000;
/**
 * A holder that could not renew its lock for so long does no more under it: a process may have been stopped, or its
 * host suspended. The rest of STALE_MS is for the step that it is in.
 */
const LEASE_MS = 45_000;
/** What a holder of the exclusive lock does, for whoever waits. */
const REMOVING = 'another process removes what is not needed any more';
/** Time between two looks at a lock that is held. */
const POLL_MS = 50;

export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: StoreEvent) => void) | undefined;
  /** How long to wait for others; default ten minutes. */
  readonly waitMs?: number;
}

/** What work under a lock is given. */
export interface HeldLock {
  /**
   * To be called before each step that must not be done without the lock.
   * @throws ConflictError where others may have taken it for one that was left
   */
  assertHeld(): void;
}

/** Runs `work` while nothing is removed from the store. @throws ConflictError after `waitMs` */
export async function withSharedLock<T>(
  backend: StoreBackend,
  options: LockOptions,
  work: (lock: HeldLock) => Promise<T>,
): Promise<T> {
  const wait = waiting(backend, options);
  for (;;) {
    throwIfAborted(options.signal);
    const lock = await Lock.takeShared(backend);
    const isHeld = await wait.isHeld(EXCLUSIVE_KEY).catch(async (error: unknown) => {
      await lock.release();
      throw error;
    });
    // Whoever wants to be alone has written that before it looks for us.
    if (!isHeld) return lock.during(work);
    await lock.release();
    await wait.until(EXCLUSIVE_KEY, REMOVING);
  }
}

/** Runs `work` while nobody else changes the store. @throws ConflictError after `waitMs` */
export async function withExclusiveLock<T>(
  backend: StoreBackend,
  options: LockOptions,
  work: (lock: HeldLock) => Promise<T>,
): Promise<T> {
  const wait = waiting(backend, options);
  for (;;) {
    throwIfAborted(options.signal);
    const lock = await Lock.takeExclusive(backend);
    if (lock === undefined) {
      await wait.until(EXCLUSIVE_KEY, REMOVING);
      continue;
    }
    return lock.during(async () => {
      for await (const { key } of backend.list(SHARED_PREFIX)) {
        await wait.until(key, 'another process adds to the store');
      }
      return work(lock);
    });
  }
}

/** A lock that this process holds. */
class Lock implements HeldLock {
  readonly #backend: StoreBackend;
  readonly #key: Key;
  #bytes: Uint8Array;
  /** Before its bytes were written. */
  #renewed: Moment;
  #isLost = false;
  #renewing: Promise<unknown> = Promise.resolve();

  private constructor(backend: StoreBackend, key: Key, bytes: Uint8Array, renewed: Moment) {
    this.#backend = backend;
    this.#key = key;
    this.#bytes = bytes;
    this.#renewed = renewed;
  }

  /** Of a name that no other has. */
  static async takeShared(backend: StoreBackend): Promise<Lock> {
    const key = `${SHARED_PREFIX}/${randomBytes(8).toString('hex')}`;
    const taken = now();
    const bytes = lockBytes();
    await backend.write(key, bytes);
    return new Lock(backend, key, bytes, taken);
  }

  /** Undefined where another holds it. */
  static async takeExclusive(backend: StoreBackend): Promise<Lock | undefined> {
    const taken = now();
    const bytes = lockBytes();
    const isTaken = await backend.compareAndSwap(EXCLUSIVE_KEY, undefined, bytes);
    return isTaken ? new Lock(backend, EXCLUSIVE_KEY, bytes, taken) : undefined;
  }

  assertHeld(): void {
    if (!this.#isLost && elapsedMs(this.#renewed) < LEASE_MS) return;
    throw new ConflictError(
      `${this.#backend.location}: this process was stopped, or could not write, for so long that others may have taken its lock for one that was left; do it again`,
    );
  }

  async during<T>(work: (lock: HeldLock) => Promise<T>): Promise<T> {
    const timer = setInterval(() => {
      this.#renewing = this.#renew().catch(() => {});
    }, RENEW_MS);
    timer.unref();
    try {
      return await work(this);
    } finally {
      clearInterval(timer);
      await this.#renewing;
      await this.release();
    }
  }

  /** Never throws: what was done under the lock is done, and a lock that stays becomes nobody's. */
  async release(): Promise<void> {
    // Nobody else ever writes to the key of a shared lock; removing needs no room on a full disk.
    const isAlone = this.#key !== EXCLUSIVE_KEY;
    const freed = isAlone
      ? this.#backend.remove(this.#key)
      : this.#backend.compareAndSwap(this.#key, this.#bytes, undefined);
    await freed.catch(() => {});
  }

  async #renew(): Promise<void> {
    const renewed = now();
    const next = lockBytes();
    if (await this.#backend.compareAndSwap(this.#key, this.#bytes, next)) {
      this.#bytes = next;
      this.#renewed = renewed;
    } else {
      this.#isLost = true;
    }
  }
}

/** By two clocks: one stands still while the host is suspended, the other is set by hand. */
interface Moment {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

function now(): Moment {
  return { monotonicMs: performance.now(), wallMs: Date.now() };
}

function elapsedMs({ monotonicMs, wallMs }: Moment): number {
  return Math.max(performance.now() - monotonicMs, Date.now() - wallMs);
}

/** Host, process, and something that is new every time. */
function lockBytes(): Uint8Array {
  const record = { host: hostname(), process: processIdentity(), renewal: randomBytes(8).toString('hex') };
  return new TextEncoder().encode(JSON.stringify(record));
}

function waiting(backend: StoreBackend, { signal, onEvent, waitMs = 600_000 }: LockOptions) {
  const started = performance.now();
  let isTold = false;

  const read = (key: Key) => unlessMissing(backend.read(key));

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
        await delay(POLL_MS, signal);
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

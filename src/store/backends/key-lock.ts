/**
 * Locks among the processes that share a folder (docs/spec/store-backends.md §3.2).
 *
 * A lock is a folder that holds one file, and the file's name says whose it is. It is taken by renaming a prepared
 * folder onto it: rename(2) replaces a folder only if that is empty, so a lock that is held is never replaced, and one
 * that is taken has its owner's name from its first moment. It is freed by unlinking the file, then the folder. A
 * killed owner's lock is freed by anyone in the same way: the name is its alone, so that freeing it twice, or late,
 * never touches the next owner's.
 */
import { lstat, mkdir, open, readdir, rename, rm, rmdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { ConflictError } from '../../../formats/errors.js';
import { delay, throwIfAborted } from '../../io/abort.js';
import { isSystemError } from '../../io/io-error.js';
import { isOfGoneWriter, isOfRunningWriter, newWriterName, writerOf } from './writer-names.js';

export interface KeyLock {
  /** Folder of prepared locks, on the same file system. */
  readonly temporaryFolder: string;
  readonly path: string;
  /** What is locked, for messages. */
  readonly shown: string;
  /** When to give up, by Date.now(). */
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
}

/** Longest pause between two attempts; the first one is about a millisecond, as long as a small write takes. */
const MAX_PAUSE_MS = 50;

/**
 * What is known of a lock of another host is only when it was taken. Work under a lock takes milliseconds; whoever
 * wakes up after so long finds that it has lost it.
 */
const FOREIGN_AGE_MS = 10 * 60 * 1000;

/** A free lock that cannot be taken so often is none: the file system does not do what is written above. */
const MAX_LATE_ATTEMPTS = 100;

/** What rename(2) answers where the lock is held. Windows replaces no folder at all, and says so in other words. */
const HELD = ['ENOTEMPTY', 'EEXIST', ...(process.platform === 'win32' ? ['EPERM', 'EACCES', 'EBUSY'] : [])];

/** Lock path → the work of this process that was asked for last: its own works queue here, without polling. */
const queues = new Map<string, Promise<unknown>>();

/** @returns whether the lock is held still: to be asked before the step that cannot be taken back */
export type IsHeld = () => Promise<boolean>;

/**
 * Runs `work` while no other process or thread runs one under the same lock.
 * @throws ConflictError when a lock is not free by its deadline; system errors unchanged
 */
export async function withKeyLock<T>(lock: KeyLock, work: (isHeld: IsHeld) => Promise<T>): Promise<T> {
  const before = queues.get(lock.path) ?? Promise.resolve();
  const turn = before.then(
    () => lockAndRun(lock, work),
    () => lockAndRun(lock, work),
  );
  queues.set(lock.path, turn);
  try {
    return await turn;
  } finally {
    if (queues.get(lock.path) === turn) queues.delete(lock.path);
  }
}

async function lockAndRun<T>(lock: KeyLock, work: (isHeld: IsHeld) => Promise<T>): Promise<T> {
  throwIfAborted(lock.signal);
  const owner = newWriterName();
  const prepared = join(lock.temporaryFolder, owner);
  try {
    await acquire(lock, owner, prepared);
  } catch (error) {
    await rm(prepared, { recursive: true, force: true }).catch(() => {});
    throw error;
  }
  try {
    return await work(async () => (await namesIn(lock.path))?.includes(owner) === true);
  } finally {
    await free(lock.path, owner);
  }
}

async function acquire(lock: KeyLock, owner: string, prepared: string): Promise<void> {
  await mkdir(prepared);
  await (await open(join(prepared, owner), 'wx')).close();
  for (let pauseMs = 1, lateCount = 0; ; pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)) {
    try {
      return await rename(prepared, lock.path);
    } catch (error) {
      if (!isSystemError(error, ...HELD, 'ENOENT')) throw error;
      const isLeft = async (name: string) =>
        isOfGoneWriter(name) || (!isOfRunningWriter(name) && (await isOlder(lock.path, prepared)));
      const holder = await freeOrHolder(lock.path, isLeft);
      // A network file system may have done it, lost the answer and asked again.
      if (holder === owner) return;
      if (isSystemError(error, 'ENOENT')) throw error;
      const isLate = Date.now() > lock.deadlineMs;
      if (isLate && holder !== undefined) throw heldError(lock, holder);
      // What was freed a moment ago is worth another attempt, also when it is late.
      if (isLate && ++lateCount > MAX_LATE_ATTEMPTS) throw error;
      if (holder === undefined) continue;
    }
    await delay(pauseMs * (0.5 + Math.random()), lock.signal);
  }
}

/** By the clock of the file system, which all hosts share: a lock was taken long before another one was prepared. */
async function isOlder(path: string, prepared: string): Promise<boolean> {
  try {
    const [taken, now] = await Promise.all([lstat(path), lstat(prepared)]);
    return now.mtimeMs - taken.mtimeMs > FOREIGN_AGE_MS;
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return false;
    throw error;
  }
}

/** Frees a lock whose owner is gone. @returns the owner's name where it is there still; system errors unchanged */
export async function freeOrHolder(
  path: string,
  isLeft: (owner: string) => boolean | Promise<boolean>,
): Promise<string | undefined> {
  const names = await namesIn(path);
  for (const name of names ?? []) {
    if (!(await isLeft(name))) return name;
    await free(path, name);
  }
  if (names?.length === 0) await rmdir(path).catch(ignoreFreed);
  return undefined;
}

/** Frees the lock if it is of this owner; else nothing happens. */
async function free(path: string, owner: string): Promise<void> {
  await unlink(join(path, owner)).catch(ignoreFreed);
  await rmdir(path).catch(ignoreFreed);
}

/** Names in a lock: none while it is being freed; undefined where there is no lock. */
export async function namesIn(path: string): Promise<string[] | undefined> {
  try {
    return await readdir(path);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Somebody was faster: it is gone, or the next owner's already. */
function ignoreFreed(error: unknown): void {
  if (!isSystemError(error, 'ENOENT', ...HELD)) throw error;
}

function heldError(lock: KeyLock, holder: string): ConflictError {
  return new ConflictError(
    `${lock.shown}: another process is changing it: ${writerOf(holder) ?? holder}; ` +
      `if that process is gone, remove ${lock.path}`,
  );
}

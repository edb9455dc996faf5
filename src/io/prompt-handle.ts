/**
 * Reading and writing in the thread that asks, for threads that have nothing else to do: what is in the page cache, or goes
 * there, is copied sooner than another thread is told of it, and stays in the caches of this one. A call that took longer
 * waited for a device; the next ones are then left to Node's threads, while this one works.
 */
import { readSync, writeSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';

/** Less is a device that this thread would wait for: with two threads a faster one is busy enough. */
const LEAST_BYTES_PER_MS = 250_000;

/** What any call may take. */
const GRACE_MS = 2;

/** Calls left to other threads after one that waited: then the next one tries. */
const LEFT_CALLS = 16;

/** Longest time without a turn of the event loop, in which a thread hears that it is to stop. */
const TURN_MS = 20;

/** What reading and writing need of node:fs' FileHandle. */
export type PromptHandle = Pick<FileHandle, 'close' | 'truncate' | 'datasync'> & {
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  write(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ bytesWritten: number }>;
};

let lastTurn = 0;

/** @param handle closed by closing the result */
export function promptHandle(handle: FileHandle): PromptHandle {
  let left = 0;
  const call = async <T>(byteLength: number, here: () => T, elsewhere: () => Promise<T>): Promise<T> => {
    if (left > 0) {
      left--;
      return elsewhere();
    }
    const started = performance.now();
    if (started - lastTurn > TURN_MS) {
      lastTurn = started;
      await new Promise((resolve) => setImmediate(resolve));
    }
    const begun = performance.now();
    const result = here();
    if (performance.now() - begun > GRACE_MS + byteLength / LEAST_BYTES_PER_MS) left = LEFT_CALLS;
    return result;
  };
  return {
    read: (buffer, offset, length, position) =>
      call(
        length,
        () => ({ bytesRead: readSync(handle.fd, buffer, offset, length, position) }),
        () => handle.read(buffer, offset, length, position),
      ),
    write: (buffer, offset, length, position) =>
      call(
        length,
        () => ({ bytesWritten: writeSync(handle.fd, buffer, offset, length, position) }),
        () => handle.write(buffer, offset, length, position),
      ),
    truncate: (byteLength) => handle.truncate(byteLength),
    datasync: () => handle.datasync(),
    close: () => handle.close(),
  };
}

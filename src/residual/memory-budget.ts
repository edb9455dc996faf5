/**
 * How an operation divides the memory it may take: a fixed part for the runtime, one for each thread, and the rest
 * as equal shares for what threads hold of tensors. The cap is on resident memory of the whole process.
 */

import { defaultThreads } from '../io/default-threads.js';
import { freeMemory } from '../io/free-memory.js';
import type { CommonOptions } from './api.js';

/** Node with this library loaded and an archive's index open: 60 to 80 MiB measured. */
export const RUNTIME_BYTE_LENGTH = 88 * 2 ** 20;

/** A worker thread: its heap, its garbage between collections, and the kernels' own memory; 35 to 55 MiB measured. */
export const THREAD_BYTE_LENGTH = 56 * 2 ** 20;

/** The least share of tensors that a thread can work with: its blocks of rows, twice, as one is read ahead. */
export const MIN_SHARE_BYTE_LENGTH = 24 * 2 ** 20;

/** The least cap that is accepted: one thread with the least share. */
export const MIN_MEMORY_CAP = RUNTIME_BYTE_LENGTH + THREAD_BYTE_LENGTH + MIN_SHARE_BYTE_LENGTH;

export interface MemoryBudget {
  /** Resident bytes of the whole process, at most. */
  readonly cap: number;
  /** Threads that fit: those asked for, or fewer under a small cap. */
  readonly threads: number;
  /** Bytes that each thread may hold of tensors: blocks, factors, codes. At least MIN_SHARE_BYTE_LENGTH. */
  readonly shareByteLength: number;
}

/** Half of what is free: the other half is for the file cache, which makes reading fast, and for everybody else. */
export function defaultMemoryCap(free: number = freeMemory()): number {
  return Math.max(MIN_MEMORY_CAP, Math.floor(free / 2));
}

/**
 * Divides `memoryCap` (default: `defaultMemoryCap`) over `threads` (default: one a core).
 * @param leastShare bytes that a thread should have at least: fewer threads where the cap does not give them that. One
 * thread is left with what there is.
 * @throws RangeError for a cap below MIN_MEMORY_CAP
 */
export function memoryBudget(
  options: Pick<CommonOptions, 'memoryCap' | 'threads'>,
  leastShare = MIN_SHARE_BYTE_LENGTH,
): MemoryBudget {
  assertMemoryCap(options.memoryCap);
  const cap = options.memoryCap ?? defaultMemoryCap();
  const fitting = Math.floor((cap - RUNTIME_BYTE_LENGTH) / (THREAD_BYTE_LENGTH + leastShare));
  const threads = Math.max(1, Math.min(options.threads ?? defaultThreads(), fitting));
  const shareByteLength = Math.floor((cap - RUNTIME_BYTE_LENGTH) / threads) - THREAD_BYTE_LENGTH;
  return { cap, threads, shareByteLength };
}

/** @throws RangeError */
export function assertMemoryCap(memoryCap: number | undefined): void {
  if (memoryCap === undefined || (Number.isSafeInteger(memoryCap) && memoryCap >= MIN_MEMORY_CAP)) return;
  const least = `${MIN_MEMORY_CAP / 2 ** 20} MiB`;
  throw new RangeError(
    `expected a memoryCap of at least ${MIN_MEMORY_CAP} bytes (${least}), got ${memoryCap}`,
  );
}

/** A job module for the tests of the worker pool: jobs that end in every way there is. */
import { threadId } from 'node:worker_threads';
import { CheckpointMismatchError } from '../../formats/errors.js';
import { movableBuffers } from '../../src/io/movable-buffers.js';
import type { Crew, JobRunner } from '../../src/io/worker-pool.js';

export interface PoolJobsInit {
  readonly failsToOpen?: boolean;
  readonly failsToClose?: boolean;
  /** Counts what happens across threads: opened, run, closed. */
  readonly counters: SharedArrayBuffer;
}

export type PoolJob =
  | { readonly kind: 'echo'; readonly value: unknown; readonly durationMs?: number }
  | { readonly kind: 'mismatch' | 'range' | 'system' | 'text' | 'uncloneable' }
  /** Gives back what it was given, and gives away the first part. */
  | { readonly kind: 'give'; readonly value: readonly Uint8Array[] }
  /** How many bytes of what was last given back are still here. */
  | { readonly kind: 'left' }
  /** Offers a job, and takes it back after a while; how many threads were idle at first. */
  | { readonly kind: 'offer'; readonly job: PoolJob; readonly durationMs: number }
  | { readonly kind: 'exit'; readonly code: number }
  | { readonly kind: 'crash' };

export interface PoolJobResult {
  readonly value: unknown;
  readonly thread: number;
}

export async function openJobs(
  init: PoolJobsInit,
  _port?: unknown,
  crew?: Crew<PoolJob>,
): Promise<JobRunner<PoolJob, PoolJobResult>> {
  const counters = new Int32Array(init.counters);
  if (init.failsToOpen) throw new CheckpointMismatchError('no base', { expected: 'a base', found: 'none' });
  Atomics.add(counters, 0, 1);
  let given: readonly Uint8Array[] = [];
  return {
    givesAway: ({ value }) => (value === given ? movableBuffers(given.slice(0, 1)) : []),
    async run(job) {
      Atomics.add(counters, 1, 1);
      switch (job.kind) {
        case 'echo':
          await new Promise((resolve) => setTimeout(resolve, job.durationMs ?? 0));
          return { value: job.value, thread: threadId };
        case 'offer': {
          const value = crew!.idle;
          const withdraw = crew!.offer(job.job);
          await new Promise((resolve) => setTimeout(resolve, job.durationMs));
          withdraw();
          return { value, thread: threadId };
        }
        case 'give':
          given = job.value;
          return { value: given, thread: threadId };
        case 'left':
          return { value: given.map(({ byteLength }) => byteLength), thread: threadId };
        case 'mismatch': {
          const cause = new TypeError('the reason', { cause: 'and its own' });
          const error = new CheckpointMismatchError('wrong base', { tensor: 'w', expected: 'a', found: 'b' });
          throw Object.assign(error, { cause });
        }
        case 'range':
          throw new RangeError('expected 1, got 2');
        case 'system':
          throw Object.assign(new Error('ENOSPC: no space'), { code: 'ENOSPC', errno: -28, path: '/x' });
        case 'text':
          throw 'only text';
        case 'uncloneable':
          return { value: () => 1, thread: threadId };
        case 'exit':
          process.exit(job.code);
          break;
        case 'crash':
          setImmediate(() => {
            throw new Error('crashed outside of any job');
          });
          await new Promise(() => {});
      }
      throw new Error('unreachable');
    },
    async close() {
      Atomics.add(counters, 2, 1);
      if (init.failsToClose) {
        throw new CheckpointMismatchError('not closed', { expected: 'closed files', found: 'open files' });
      }
    },
  };
}

/**
 * Runs jobs on worker threads, or in this thread when one is enough. A job module opens its own
 * files in every thread, so that no large buffer crosses threads but results.
 */
import { Worker } from 'node:worker_threads';
import { EreError } from '../../formats/errors.js';
import { fromTransferredError, type TransferredError } from './error-transfer.js';

/** What a module that is run by the pool exports as `openJobs`. */
export interface JobRunner<Job, Result> {
  run(job: Job): Promise<Result>;
  close(): Promise<void>;
}

export interface JobModule<Init, Job, Result> {
  openJobs(init: Init): Promise<JobRunner<Job, Result>>;
}

export interface WorkerPool<Job, Result> {
  readonly threads: number;
  /**
   * Runs on the given worker, or on the first that is free; in the order of the calls, but urgent jobs before all
   * that wait.
   */
  run(
    job: Job,
    worker?: number,
    isUrgent?: boolean,
  ): Promise<{ readonly result: Result; readonly worker: number }>;
  /** Starts no further job. Threads are stopped and their jobs abandoned; a job in this thread ends first. */
  close(): Promise<void>;
}

export interface WorkerPoolOptions<Init> {
  /** URL of a JobModule. */
  readonly module: URL;
  /** Given to `openJobs` in every thread; structured-cloneable. */
  readonly init: Init;
  /** 1 runs in this thread. */
  readonly threads: number;
  readonly signal?: AbortSignal | undefined;
}

export function abortError(signal: AbortSignal): EreError {
  return new EreError('ERE_ABORTED', 'aborted; nothing was written', { cause: signal.reason });
}

export async function openWorkerPool<Init, Job, Result>(
  options: WorkerPoolOptions<Init>,
): Promise<WorkerPool<Job, Result>> {
  if (options.signal?.aborted) throw abortError(options.signal);
  return options.threads <= 1 ? openInline<Init, Job, Result>(options) : new ThreadPool<Job, Result>(options);
}

async function openInline<Init, Job, Result>(
  options: WorkerPoolOptions<Init>,
): Promise<WorkerPool<Job, Result>> {
  const { openJobs } = (await import(options.module.href)) as JobModule<Init, Job, Result>;
  const runner = await openJobs(options.init);
  let last: Promise<unknown> = Promise.resolve();
  let isClosed = false;
  return {
    threads: 1,
    run(job) {
      const next = last.then(async () => {
        if (options.signal?.aborted) throw abortError(options.signal);
        if (isClosed) throw closedError();
        // A turn of the event loop between jobs, so that signals and progress get through.
        await new Promise((resolve) => setImmediate(resolve));
        return { result: await runner.run(job), worker: 0 };
      });
      last = next.catch(() => {});
      return next;
    },
    async close() {
      isClosed = true;
      await last; // The job that runs has its files open.
      await runner.close();
    },
  };
}

function closedError(): Error {
  return new Error('the worker pool is closed');
}

interface QueuedJob<Job, Result> {
  readonly job: Job;
  readonly worker: number | undefined;
  readonly isUrgent: boolean;
  readonly resolve: (value: { result: Result; worker: number }) => void;
  readonly reject: (error: unknown) => void;
}

type Reply<Result> = { readonly result: Result } | { readonly error: TransferredError };

class ThreadPool<Job, Result> implements WorkerPool<Job, Result> {
  readonly threads: number;
  readonly #workers: Worker[] = [];
  readonly #running: (QueuedJob<Job, Result> | undefined)[] = [];
  readonly #queue: QueuedJob<Job, Result>[] = [];
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: () => void;
  #failure: unknown;

  constructor(options: WorkerPoolOptions<unknown>) {
    this.threads = options.threads;
    this.#signal = options.signal;
    this.#onAbort = () => this.#fail(abortError(options.signal!));
    options.signal?.addEventListener('abort', this.#onAbort, { once: true });
    for (let i = 0; i < options.threads; i++) {
      const worker = new Worker(new URL('./worker-main.js', import.meta.url), {
        workerData: { module: options.module.href, init: options.init },
      });
      worker.on('message', (reply: Reply<Result>) => this.#settle(i, reply));
      worker.on('error', (error) => this.#fail(error));
      // Also with code 0: a thread never stops by itself, and whoever waits for its job would wait forever.
      worker.on('exit', (code) => this.#fail(new Error(`a worker thread stopped with exit code ${code}`)));
      this.#workers.push(worker);
      this.#running.push(undefined);
    }
  }

  run(job: Job, worker?: number, isUrgent = false): Promise<{ result: Result; worker: number }> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      const queued = { job, worker, isUrgent, resolve, reject };
      const place = isUrgent ? this.#queue.findIndex((other) => !other.isUrgent) : -1;
      if (place === -1) this.#queue.push(queued);
      else this.#queue.splice(place, 0, queued);
      this.#dispatch();
    });
  }

  async close(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#failure ??= closedError();
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #dispatch(): void {
    for (let i = 0; i < this.#workers.length; i++) {
      if (this.#running[i] !== undefined) continue;
      const next = this.#queue.findIndex((queued) => queued.worker === undefined || queued.worker === i);
      if (next === -1) continue;
      const queued = this.#queue.splice(next, 1)[0]!;
      this.#running[i] = queued;
      this.#workers[i]!.postMessage(queued.job);
    }
  }

  #settle(worker: number, reply: Reply<Result>): void {
    const queued = this.#running[worker];
    this.#running[worker] = undefined;
    if ('error' in reply) queued?.reject(fromTransferredError(reply.error));
    else queued?.resolve({ result: reply.result, worker });
    this.#dispatch();
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    for (const queued of [...this.#running, ...this.#queue]) queued?.reject(error);
    this.#queue.length = 0;
    this.#running.fill(undefined);
    for (const worker of this.#workers) void worker.terminate();
  }
}

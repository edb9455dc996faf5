/**
 * Runs jobs on worker threads, or in this thread when one is enough. A job module opens its own
 * files in every thread, so that no large buffer crosses threads but results.
 */
import { type MessagePort, Worker } from 'node:worker_threads';
import { EreError } from '../../formats/errors.js';
import { fromTransferredError, type TransferredError } from './error-transfer.js';

/** What a module that is run by the pool exports as `openJobs`. */
export interface JobRunner<Job, Result> {
  /** One at a time. Must come back to the event loop often: there a thread hears that it is to stop. */
  run(job: Job): Promise<Result>;
  /** Frees what the runner holds and leaves nothing that keeps the event loop alive. A job that runs fails then. */
  close(): Promise<void>;
}

export interface JobModule<Init, Job, Result> {
  openJobs(init: Init, port?: MessagePort): Promise<JobRunner<Job, Result>>;
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
  /**
   * Starts no further job, and resolves when the threads are gone. Their jobs are abandoned; a job in this
   * thread ends first. Rejects when a runner without a job could not be closed.
   */
  close(): Promise<void>;
}

export interface WorkerPoolOptions<Init> {
  /** URL of a JobModule. */
  readonly module: URL;
  /** Given to `openJobs` in every thread; structured-cloneable. */
  readonly init: Init;
  /** Opens a port of its own for each thread, given to `openJobs`; default: none. */
  readonly connect?: () => MessagePort | undefined;
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
  const runner = await openJobs(options.init, options.connect?.());
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

/** What a thread is told. */
export type Order<Job> = { readonly kind: 'run'; readonly job: Job } | { readonly kind: 'stop' };
/** What a thread answers: to a job, or after 'stop' that its runner did not close. */
export type Reply<Result> =
  | { readonly kind: 'result'; readonly result: Result }
  | { readonly kind: 'error'; readonly error: TransferredError }
  | { readonly kind: 'not-closed'; readonly error: TransferredError };

/**
 * Never calls `Worker.terminate`, which can take the whole process down in two ways: it takes effect inside
 * of native calls (onnxruntime-node aborts when a product was running), and Node 20 then disposes of the
 * thread's heap while V8 still optimizes functions for it in the background (seen as an abort; nodejs/node
 * 31752). A thread is told to stop and ends by itself: Node waits for V8's background work before that.
 */
class ThreadPool<Job, Result> implements WorkerPool<Job, Result> {
  readonly threads: number;
  readonly #workers: Worker[] = [];
  readonly #exits: Promise<unknown>[] = [];
  readonly #running: (QueuedJob<Job, Result> | undefined)[] = [];
  readonly #queue: QueuedJob<Job, Result>[] = [];
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: () => void;
  #failure: unknown;
  #notClosed: unknown;

  constructor(options: WorkerPoolOptions<unknown>) {
    this.threads = options.threads;
    this.#signal = options.signal;
    this.#onAbort = () => this.#fail(abortError(options.signal!));
    options.signal?.addEventListener('abort', this.#onAbort, { once: true });
    for (let i = 0; i < options.threads; i++) {
      const port = options.connect?.();
      const worker = new Worker(new URL('./worker-main.js', import.meta.url), {
        workerData: { module: options.module.href, init: options.init, port },
        transferList: port === undefined ? [] : [port],
      });
      worker.on('message', (reply: Reply<Result>) => this.#settle(i, reply));
      worker.on('error', (error) => this.#fail(error));
      // Also with code 0: a thread that was not told to stop leaves somebody waiting for its job.
      worker.on('exit', (code) => this.#fail(new Error(`a worker thread stopped with exit code ${code}`)));
      this.#exits.push(new Promise((resolve) => worker.once('exit', resolve)));
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
    this.#fail(closedError());
    await Promise.all(this.#exits);
    if (this.#notClosed !== undefined) throw this.#notClosed;
  }

  #tell(worker: number, order: Order<Job>): void {
    this.#workers[worker]!.postMessage(order);
  }

  #dispatch(): void {
    for (let i = 0; i < this.#workers.length; i++) {
      if (this.#running[i] !== undefined) continue;
      const next = this.#queue.findIndex((queued) => queued.worker === undefined || queued.worker === i);
      if (next === -1) continue;
      const queued = this.#queue.splice(next, 1)[0]!;
      this.#running[i] = queued;
      this.#tell(i, { kind: 'run', job: queued.job });
    }
  }

  #settle(worker: number, reply: Reply<Result>): void {
    if (reply.kind === 'not-closed') {
      this.#notClosed ??= fromTransferredError(reply.error);
      return;
    }
    const queued = this.#running[worker];
    this.#running[worker] = undefined;
    if (reply.kind === 'error') queued?.reject(fromTransferredError(reply.error));
    else queued?.resolve({ result: reply.result, worker });
    this.#dispatch();
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    for (const queued of [...this.#running, ...this.#queue]) queued?.reject(error);
    this.#queue.length = 0;
    this.#running.fill(undefined);
    for (let i = 0; i < this.#workers.length; i++) this.#tell(i, { kind: 'stop' });
  }
}

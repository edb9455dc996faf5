/**
 * Runs jobs on worker threads, and in this one where one is enough or it is one of them. A job module opens its own
 * files in every thread, so that no large buffer crosses threads but results, and those move.
 */
import { type MessagePort, Worker } from 'node:worker_threads';
import { EreError } from '../../formats/errors.js';
import { fromTransferredError, type TransferredError } from './error-transfer.js';

/** What a module that is run by the pool exports as `openJobs`. */
export interface JobRunner<Job, Result> {
  /** One at a time. Must come back to the event loop often: there a thread hears that it is to stop. */
  run(job: Job): Promise<Result>;
  /**
   * Buffers of a result that the runner needs no more: they move to the thread that asked, where others of it are
   * copied. Default: none.
   */
  givesAway?(result: Result): readonly ArrayBuffer[];
  /** Frees what the runner holds and leaves nothing that keeps the event loop alive. A job that runs fails then. */
  close(): Promise<void>;
}

/** The other threads of a pool, for a job that several can work on at once. */
export interface Crew<Job> {
  /** How many have nothing to do at the moment. */
  readonly idle: number;
  /**
   * Has every thread that has nothing else to do run the job, once each, until the returned function is called. What
   * becomes of it is nobody's: whoever offers goes on working, and finds by shared memory what others have done.
   */
  offer(job: Job): () => void;
}

export interface JobModule<Init, Job, Result> {
  /** @param crew where there are other threads */
  openJobs(init: Init, port?: MessagePort, crew?: Crew<Job>): Promise<JobRunner<Job, Result>>;
}

export interface WorkerPool<Job, Result> {
  readonly threads: number;
  /** Times that a thread with nothing else to do took on a job that another one offered. */
  readonly takenOffers: number;
  /**
   * Runs on the given worker, or on the first that is free; in the order of the calls, but urgent jobs before all
   * that wait.
   * @param givenAway buffers of the job that the caller needs no more: they move to a worker's thread
   */
  run(
    job: Job,
    worker?: number,
    isUrgent?: boolean,
    givenAway?: readonly ArrayBuffer[],
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
  /** 1 runs in this thread, unless `isHere` is false. */
  readonly threads: number;
  /**
   * Whether this thread is one of several: it then works as worker 0, the others have a job in hand while it is busy, and
   * a thread fewer has to start. Default false.
   */
  readonly isWorker?: boolean;
  /** Whether a single thread is this one; default true. */
  readonly isHere?: boolean;
  /** Threads that were started for `module` already: the pool takes what it needs of them. */
  readonly started?: StartedThreads | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Threads that load a module while it is found out what they are to do with it. */
export interface StartedThreads {
  /** One that nobody took yet; undefined when there is none. */
  take(): Worker | undefined;
  /** Ends those that nobody took. */
  close(): void;
}

/** The id of a thread that is gone. */
const ENDED_THREAD = -1;

/** @param module URL of a JobModule */
export function startThreads(module: URL, count: number): StartedThreads {
  // One that fails is not taken: the pool starts another, and is told if that fails too.
  const ignore = (): void => {};
  const idle = Array.from({ length: count }, () => startThread(module).on('error', ignore));
  return {
    take() {
      for (let worker = idle.pop(); worker !== undefined; worker = idle.pop()) {
        worker.off('error', ignore);
        if (worker.threadId !== ENDED_THREAD) return worker;
      }
      return undefined;
    },
    close() {
      for (const worker of idle.splice(0)) worker.postMessage({ kind: 'stop' } satisfies Order<never>);
    },
  };
}

function startThread(module: URL): Worker {
  return new Worker(new URL('./worker-main.js', import.meta.url), { workerData: { module: module.href } });
}

export function abortError(signal: AbortSignal): EreError {
  return new EreError('ERE_ABORTED', 'aborted; nothing was written', { cause: signal.reason });
}

export async function openWorkerPool<Init, Job, Result>(
  options: WorkerPoolOptions<Init>,
): Promise<WorkerPool<Job, Result>> {
  if (options.signal?.aborted) throw abortError(options.signal);
  return new LanePool<Job, Result>(options);
}

function closedError(): Error {
  return new Error('the worker pool is closed');
}

interface QueuedJob<Job, Result> {
  readonly job: Job;
  readonly worker: number | undefined;
  readonly isUrgent: boolean;
  readonly givenAway: readonly ArrayBuffer[];
  readonly resolve: (value: { result: Result; worker: number }) => void;
  readonly reject: (error: unknown) => void;
}

/** What a worker is told: 'open' once, before its first job. */
export type Order<Job> =
  | {
      readonly kind: 'open';
      readonly init: unknown;
      readonly port: MessagePort | undefined;
      /** One number in shared memory: threads of the pool without a job. */
      readonly idle: Int32Array;
    }
  | { readonly kind: 'run'; readonly job: Job }
  | { readonly kind: 'stop' };
/** What a thread says: to a job, or after 'stop' that its runner did not close. */
export type Reply<Result, Job = unknown> =
  /** Meanwhile: the job that runs has one for others, or no more. */
  | { readonly kind: 'offer'; readonly id: number; readonly job: Job }
  | { readonly kind: 'withdraw'; readonly id: number }
  | { readonly kind: 'result'; readonly result: Result }
  | { readonly kind: 'error'; readonly error: TransferredError }
  | { readonly kind: 'not-closed'; readonly error: TransferredError };

/** A worker as the pool sees it. */
interface Lane<Job> {
  /** Jobs that it is given at a time; it runs them one after another. */
  readonly depth: number;
  /** @param givenAway buffers that may move to its thread, where it has one */
  tell(order: Exclude<Order<Job>, { kind: 'open' }>, givenAway?: readonly ArrayBuffer[]): void;
  /** Settles when it is gone. */
  readonly ended: Promise<unknown>;
}

/** Whom a worker tells of what becomes of its jobs, in their order. */
interface LaneOwner<Job, Result> {
  offered(id: number, job: Job): void;
  withdrawn(id: number): void;
  done(result: Result): void;
  failed(error: unknown): void;
  notClosed(error: unknown): void;
  /** The worker is lost. */
  crashed(error: unknown): void;
}

/** Jobs in this thread. Where it is told to stop, a job that runs ends first, as it has its files open. */
function openHere<Job, Result>(
  options: WorkerPoolOptions<unknown>,
  owner: LaneOwner<Job, Result>,
): Lane<Job> {
  const port = options.connect?.();
  let runner: Promise<JobRunner<Job, Result>> | undefined;
  let last: Promise<unknown> = Promise.resolve();
  let isStopped = false;
  let end!: () => void;
  const open = async (): Promise<JobRunner<Job, Result>> => {
    const { openJobs } = (await import(options.module.href)) as JobModule<unknown, Job, Result>;
    return openJobs(options.init, port);
  };
  const run = async (job: Job): Promise<void> => {
    // A turn of the event loop between jobs, so that signals and progress get through.
    await new Promise((resolve) => setImmediate(resolve));
    if (isStopped) return;
    try {
      runner ??= open();
      owner.done(await (await runner).run(job));
    } catch (error) {
      owner.failed(error);
    }
  };
  const stop = async (): Promise<void> => {
    const opened = await runner?.catch(() => undefined); // Whose job failed with the reason.
    await opened?.close().catch((error: unknown) => owner.notClosed(error));
    port?.close();
    end();
  };
  return {
    depth: 1,
    tell(order) {
      if (order.kind === 'stop') isStopped = true;
      last = last.then(() => (order.kind === 'run' ? run(order.job) : stop()));
    },
    ended: new Promise<void>((resolve) => {
      end = resolve;
    }),
  };
}

/**
 * Jobs in a thread. Never `Worker.terminate`, which can take the whole process down in two ways: it takes effect
 * inside of native calls (onnxruntime-node aborts when a product was running), and Node 20 then disposes of the
 * thread's heap while V8 still optimizes functions for it in the background (seen as an abort; nodejs/node
 * 31752). A thread is told to stop and ends by itself: Node waits for V8's background work before that.
 */
function openThread<Job, Result>(
  options: WorkerPoolOptions<unknown>,
  depth: number,
  idle: Int32Array,
  owner: LaneOwner<Job, Result>,
): Lane<Job> {
  const port = options.connect?.();
  const worker = options.started?.take() ?? startThread(options.module);
  worker.postMessage(
    { kind: 'open', init: options.init, port, idle } satisfies Order<Job>,
    port === undefined ? [] : [port],
  );
  worker.on('message', (reply: Reply<Result, Job>) => {
    if (reply.kind === 'offer') owner.offered(reply.id, reply.job);
    else if (reply.kind === 'withdraw') owner.withdrawn(reply.id);
    else if (reply.kind === 'result') owner.done(reply.result);
    else if (reply.kind === 'error') owner.failed(fromTransferredError(reply.error));
    else owner.notClosed(fromTransferredError(reply.error));
  });
  worker.on('error', owner.crashed);
  // Also with code 0: a thread that was not told to stop leaves somebody waiting for its job.
  worker.on('exit', (code) => owner.crashed(new Error(`a worker thread stopped with exit code ${code}`)));
  return {
    depth,
    tell: (order, givenAway = []) => worker.postMessage(order, [...givenAway]),
    ended: new Promise((resolve) => worker.once('exit', resolve)),
  };
}

/** A job for whoever has nothing else to do. */
interface Offer<Job> {
  readonly lane: number;
  readonly id: number;
  readonly job: Job;
  /** Who has run it, or does. */
  readonly takenBy: Set<number>;
}

class LanePool<Job, Result> implements WorkerPool<Job, Result> {
  readonly threads: number;
  takenOffers = 0;
  readonly #lanes: Lane<Job>[] = [];
  /** Per lane the jobs that it was given. */
  readonly #running: QueuedJob<Job, Result>[][] = [];
  readonly #queue: QueuedJob<Job, Result>[] = [];
  #offers: Offer<Job>[] = [];
  /** One number, shared with the threads: lanes without a job. */
  readonly #idle = new Int32Array(new SharedArrayBuffer(4));
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: () => void;
  #failure: unknown;
  #notClosed: unknown;

  constructor(options: WorkerPoolOptions<unknown>) {
    const { isWorker = false, isHere = true, signal } = options;
    this.threads = Math.max(1, options.threads);
    this.#signal = signal;
    this.#onAbort = () => this.#fail(abortError(signal!));
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    for (let i = 0; i < this.threads; i++) {
      const running: QueuedJob<Job, Result>[] = [];
      const owner: LaneOwner<Job, Result> = {
        offered: (id, job) => {
          if (this.#failure !== undefined) return;
          this.#offers.push({ lane: i, id, job, takenBy: new Set([i]) });
          this.#dispatch();
        },
        withdrawn: (id) => {
          this.#offers = this.#offers.filter((offer) => offer.lane !== i || offer.id !== id);
        },
        done: (result) => {
          running.shift()?.resolve({ result, worker: i });
          this.#dispatch();
        },
        failed: (error) => {
          running.shift()?.reject(error);
          this.#dispatch();
        },
        notClosed: (error) => {
          this.#notClosed ??= error;
        },
        crashed: (error) => this.#fail(error),
      };
      const runsHere = (this.threads === 1 && isHere) || (isWorker && i === 0);
      this.#running.push(running);
      this.#lanes.push(
        runsHere ? openHere(options, owner) : openThread(options, isWorker ? 2 : 1, this.#idle, owner),
      );
    }
  }

  run(
    job: Job,
    worker?: number,
    isUrgent = false,
    givenAway: readonly ArrayBuffer[] = [],
  ): Promise<{ result: Result; worker: number }> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      const queued = { job, worker, isUrgent, givenAway, resolve, reject };
      const place = isUrgent ? this.#queue.findIndex((other) => !other.isUrgent) : -1;
      if (place === -1) this.#queue.push(queued);
      else this.#queue.splice(place, 0, queued);
      this.#dispatch();
    });
  }

  async close(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#fail(closedError());
    await Promise.all(this.#lanes.map((lane) => lane.ended));
    if (this.#notClosed !== undefined) throw this.#notClosed;
  }

  /** Gives every worker a job before any a second one. */
  #dispatch(): void {
    const orders: (() => void)[] = [];
    const deepest = Math.max(...this.#lanes.map(({ depth }) => depth));
    for (let depth = 1; depth <= deepest; depth++) {
      for (const [i, lane] of this.#lanes.entries()) {
        const running = this.#running[i]!;
        if (running.length >= depth || lane.depth < depth) continue;
        const next = this.#queue.findIndex(({ worker }) => worker === undefined || worker === i);
        if (next === -1) continue;
        const queued = this.#queue.splice(next, 1)[0]!;
        running.push(queued);
        orders.push(() => lane.tell({ kind: 'run', job: queued.job }, queued.givenAway));
      }
    }
    this.#dispatchOffers(orders);
    const idle = this.#running.reduce((count, jobs) => count + (jobs.length === 0 ? 1 : 0), 0);
    // Before the jobs begin, which ask for it.
    Atomics.store(this.#idle, 0, idle);
    for (const tell of orders) tell();
  }

  /** Gives those that are left without a job what others offer. */
  #dispatchOffers(orders: (() => void)[]): void {
    for (const [i, lane] of this.#lanes.entries()) {
      const running = this.#running[i]!;
      if (running.length > 0) continue;
      const offer = this.#offers.find(({ takenBy }) => !takenBy.has(i));
      if (offer === undefined) continue;
      const { job } = offer;
      offer.takenBy.add(i);
      this.takenOffers++;
      const ignore = (): void => {};
      running.push({ job, worker: i, isUrgent: false, givenAway: [], resolve: ignore, reject: ignore });
      orders.push(() => lane.tell({ kind: 'run', job }));
    }
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    for (const queued of [...this.#running.flat(), ...this.#queue]) queued.reject(error);
    this.#queue.length = 0;
    this.#offers = [];
    for (const running of this.#running) running.length = 0;
    for (const lane of this.#lanes) lane.tell({ kind: 'stop' });
  }
}

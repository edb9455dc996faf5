/**
 * Entry of a pool thread: opens the job module it is told of, answers one job after another, and ends itself
 * when it is told to stop. It hears that in its event loop, where no native call can be running.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { toTransferredError } from './error-transfer.js';
import type { Crew, JobModule, JobRunner, Order, Reply } from './worker-pool.js';

const { module } = workerData as { readonly module: string };
const pool = parentPort!;
/** Begun before it is known what for. */
const loaded = import(module) as Promise<JobModule<unknown, unknown, unknown>>;
loaded.catch(() => {}); // The first job is told.
/** For an abandoned job to notice: a read or a product takes less. */
const GRACE_MS = 200;
/** Optimizing one function takes some milliseconds. */
const OPTIMIZING_MS = 50;
/** Given to the runner. */
let init: unknown;
/** To another thread that the jobs ask for something; the runner's. */
let port: MessagePort | undefined;
/** One number: threads of the pool without a job. */
let idle: Int32Array;
let runner: Promise<JobRunner<unknown, unknown>> | undefined;
let last: Promise<void> = Promise.resolve();
let waiting = 0;
let isStopped = false;

pool.on('message', (order: Order<unknown>) => {
  if (order.kind === 'open') {
    ({ init, port, idle } = order);
    return;
  }
  if (order.kind === 'run') {
    waiting++;
    last = last.then(() => run(order.job));
    return;
  }
  isStopped = true;
  if (waiting > 0) abandon();
  else void stop();
});

let offers = 0;
const crew: Crew<unknown> = {
  get idle() {
    return Atomics.load(idle, 0);
  },
  offer(job) {
    const id = offers++;
    pool.postMessage({ kind: 'offer', id, job } satisfies Reply<unknown>);
    return () => pool.postMessage({ kind: 'withdraw', id } satisfies Reply<unknown>);
  },
};

async function openRunner(): Promise<JobRunner<unknown, unknown>> {
  const { openJobs } = await loaded;
  return openJobs(init, port, crew);
}

async function run(job: unknown): Promise<void> {
  if (isStopped) return;
  let reply: Reply<unknown>;
  let givenAway: readonly ArrayBuffer[] = [];
  try {
    runner ??= openRunner();
    const opened = await runner;
    const result = await opened.run(job);
    reply = { kind: 'result', result };
    givenAway = opened.givesAway?.(result) ?? [];
  } catch (error) {
    reply = { kind: 'error', error: toTransferredError(error) };
  }
  waiting--;
  answer(reply, givenAway);
}

function answer(reply: Reply<unknown>, givenAway: readonly ArrayBuffer[] = []): void {
  try {
    pool.postMessage(reply, [...givenAway]);
  } catch (error) {
    // The result cannot be cloned.
    pool.postMessage({ kind: 'error', error: toTransferredError(error) } satisfies Reply<unknown>);
  }
}

/**
 * Closes the runner under its job, whose next step then fails, so that the thread ends by itself as in `stop`.
 * A job that goes on is cut off; V8 gets a moment for what it optimizes in the background, since Node 20
 * aborts when such work outlives the thread.
 */
function abandon(): void {
  pool.close();
  port?.close();
  runner?.then((opened) => opened.close()).catch(() => {}); // Only the result was of interest, and nobody waits for it.
  const cutOff = () => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, OPTIMIZING_MS);
    process.exit();
  };
  setTimeout(cutOff, GRACE_MS).unref();
}

/**
 * Frees everything; the thread ends by itself when nothing is left that it could wait for. Node then waits
 * for V8's background work, which it does not when a thread is terminated or exits.
 */
async function stop(): Promise<void> {
  const opened = await runner?.catch(() => undefined); // Whose job failed with the reason.
  try {
    await opened?.close();
  } catch (error) {
    answer({ kind: 'not-closed', error: toTransferredError(error) });
  }
  pool.close();
  port?.close();
}

/**
 * Entry of a pool thread: opens the job module it is told of, answers one job at a time, and ends itself
 * when it is told to stop. It hears that in its event loop, where no native call can be running.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { toTransferredError } from './error-transfer.js';
import type { JobModule, JobRunner, Order, Reply } from './worker-pool.js';

const { module, init } = workerData as { readonly module: string; readonly init: unknown };
const port = parentPort!;
let runner: Promise<JobRunner<unknown, unknown>> | undefined;
let isRunning = false;

port.on('message', (order: Order<unknown>) => {
  if (order.kind === 'run') void run(order.job);
  else if (isRunning) process.exit();
  else void stop();
});

async function openRunner(): Promise<JobRunner<unknown, unknown>> {
  const { openJobs } = (await import(module)) as JobModule<unknown, unknown, unknown>;
  return openJobs(init);
}

async function run(job: unknown): Promise<void> {
  isRunning = true;
  let reply: Reply<unknown>;
  try {
    runner ??= openRunner();
    reply = { kind: 'result', result: await (await runner).run(job) };
  } catch (error) {
    reply = { kind: 'error', error: toTransferredError(error) };
  }
  isRunning = false;
  answer(reply);
}

function answer(reply: Reply<unknown>): void {
  try {
    port.postMessage(reply);
  } catch (error) {
    // The result cannot be cloned.
    port.postMessage({ kind: 'error', error: toTransferredError(error) } satisfies Reply<unknown>);
  }
}

/** Frees everything; the thread ends by itself when nothing is left that it could wait for. */
async function stop(): Promise<void> {
  const opened = await runner?.catch(() => undefined); // Whose job failed with the reason.
  try {
    await opened?.close();
  } catch (error) {
    answer({ kind: 'not-closed', error: toTransferredError(error) });
  }
  port.close();
}

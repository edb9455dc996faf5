/** Entry of a pool thread: opens the job module it is told of, then answers one job at a time. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { toTransferredError } from './error-transfer.js';
import type { JobModule, JobRunner } from './worker-pool.js';

const { module, init, port } = workerData as {
  readonly module: string;
  readonly init: unknown;
  readonly port: MessagePort | undefined;
};
const pool = parentPort!;
let runner: Promise<JobRunner<unknown, unknown>> | undefined;

async function openRunner(): Promise<JobRunner<unknown, unknown>> {
  const { openJobs } = (await import(module)) as JobModule<unknown, unknown, unknown>;
  return openJobs(init, port);
}

pool.on('message', async (job: unknown) => {
  try {
    runner ??= openRunner();
    pool.postMessage({ result: await (await runner).run(job) });
  } catch (error) {
    pool.postMessage({ error: toTransferredError(error) });
  }
});

/** The row blocks of a checkpoint pair, in the order of the files, on a pool of threads. */
import { openWorkerPool } from '../../../src/io/worker-pool.js';
import type { RowJob, RowJobsInit } from './row-jobs.js';
import type { Shard } from './shards.js';

export interface RunJobsOptions {
  readonly threads: number;
  readonly signal?: AbortSignal | undefined;
  /** Told after every job. */
  readonly onProgress?: ((doneParameterCount: number) => void) | undefined;
}

/** Values a job makes: large against what it costs to send one, small in memory. */
const BLOCK_LENGTH = 2 ** 20;
/** Jobs sent and not done, over the threads: so many that no thread waits for its next. */
const JOBS_A_THREAD = 2;

/** Writes the tensors of all shards. Rejects with the first error; threads are stopped either way. */
export async function runJobs(
  shards: readonly Shard[],
  init: RowJobsInit,
  { threads, signal, onProgress }: RunJobsOptions,
): Promise<void> {
  const module = new URL('./row-jobs.js', import.meta.url);
  const pool = await openWorkerPool<RowJobsInit, RowJob, void>({ module, init, threads, signal });
  const jobs = jobsOf(shards);
  let doneCount = 0;
  // All lanes take from one generator, a job at a time.
  const lane = async () => {
    for (let next = jobs.next(); next.done !== true; next = jobs.next()) {
      await pool.run(next.value);
      const { begin, end, tensor } = next.value;
      doneCount += (end - begin) * tensor.columns;
      onProgress?.(doneCount);
    }
  };
  try {
    await Promise.all(Array.from({ length: JOBS_A_THREAD * threads }, lane));
  } finally {
    await pool.close();
  }
}

function* jobsOf(shards: readonly Shard[]): Generator<RowJob, undefined> {
  let index = 0;
  for (const [shard, { tensors }] of shards.entries()) {
    for (const { kind, shape, byteOffset } of tensors) {
      const columns = shape.at(-1)!;
      const rows = shape.length === 1 ? 1 : shape[0]!;
      const tensor = { index: index++, kind, rows, columns };
      const step = Math.max(1, Math.floor(BLOCK_LENGTH / columns));
      for (let begin = 0; begin < rows; begin += step) {
        yield { tensor, shard, byteOffset, begin, end: Math.min(begin + step, rows) };
      }
    }
  }
  return undefined;
}

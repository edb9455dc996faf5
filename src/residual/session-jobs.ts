/** The jobs of one encode: each goes to the thread that knows its pair, and progress is told as they end. */
import type { WorkerPool } from '../io/worker-pool.js';
import type { Progress } from './api.js';
import type { EncodeJob, EncodeJobResult, EncodeJobResults } from './encode-jobs.js';
import type { TensorPair } from './pair-tensors.js';

export interface SessionJobsOptions {
  readonly pool: WorkerPool<EncodeJob, EncodeJobResult>;
  readonly pairs: readonly TensorPair[];
  readonly onProgress: ((progress: Progress) => void) | undefined;
}

export class SessionJobs {
  readonly pairs: readonly TensorPair[];
  readonly #pool: SessionJobsOptions['pool'];
  readonly #onProgress: SessionJobsOptions['onProgress'];
  /** By pair the thread that keeps what it computes of it. */
  readonly #workers: number[] = [];

  constructor({ pool, pairs, onProgress }: SessionJobsOptions) {
    this.pairs = pairs;
    this.#pool = pool;
    this.#onProgress = onProgress;
  }

  /** Runs on the pair's thread: the one that ran its first job. */
  async run<Job extends EncodeJob>(job: Job): Promise<EncodeJobResults[Job['kind']]> {
    const { result, worker } = await this.#pool.run(job, this.#workers[job.pair]);
    this.#workers[job.pair] = worker;
    return result as EncodeJobResults[Job['kind']];
  }

  /**
   * Runs a job that needs nothing of an earlier one on whichever thread is free.
   * @param givenAway buffers of the job that move to the thread
   */
  async runAnywhere<Job extends EncodeJob>(
    job: Job,
    givenAway: readonly ArrayBuffer[] = [],
  ): Promise<EncodeJobResults[Job['kind']]> {
    return (await this.#pool.run(job, undefined, false, givenAway)).result as EncodeJobResults[Job['kind']];
  }

  /** Does `work` for every pair at once (the pool queues), reporting progress as they end. */
  async forEach(
    phase: Progress['phase'],
    pairs: readonly number[],
    work: (pair: number) => Promise<void>,
  ): Promise<void> {
    const totalByteLength = pairs.reduce((sum, pair) => sum + this.pairs[pair]!.fineTuned.byteLength, 0);
    let doneByteLength = 0;
    await Promise.all(
      pairs.map(async (pair) => {
        await work(pair);
        const { name, byteLength } = this.pairs[pair]!.fineTuned;
        doneByteLength += byteLength;
        this.#onProgress?.({ phase, doneByteLength, totalByteLength, tensor: name });
      }),
    );
  }
}

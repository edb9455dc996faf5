/** The worker threads that encode and diff share: each opens both checkpoints and works on single tensors. */
import { openWorkerPool, type WorkerPool } from '../io/worker-pool.js';
import { openDevice } from '../linalg/device-thread.js';
import type { CommonOptions, GemmOptions } from './api.js';
import type { EncodeJob, EncodeJobResult, EncodeJobsInit } from './encode-jobs.js';
import type { Importance } from './importance.js';
import { encoderMemoryBudget } from './memory-budget.js';
import type { Pairing } from './pair-tensors.js';
import { usefulThreads } from './residual-stream.js';

/** What the threads work on. Paths are absolute. */
export interface EncodePoolInputs {
  readonly basePath: string;
  readonly fineTunedPath: string;
  readonly pairing: Pick<Pairing, 'pairs'>;
  readonly importance?: Importance;
  readonly options: CommonOptions & GemmOptions;
}

/** Opens the pool, runs `use`, and stops the threads whatever happens. */
export async function withEncodePool<T>(
  { basePath, fineTunedPath, pairing, importance, options }: EncodePoolInputs,
  use: (pool: WorkerPool<EncodeJob, EncodeJobResult>) => Promise<T>,
): Promise<T> {
  const { threads, shareByteLength } = encoderMemoryBudget(options);
  const { pairs } = pairing;
  const useful = pairs.reduce((most, pair) => Math.max(most, usefulThreads(pair)), pairs.length);
  const device = await openDevice(options.device ?? 'cpu');
  try {
    const pool = await openWorkerPool<EncodeJobsInit, EncodeJob, EncodeJobResult>({
      module: new URL('./encode-jobs.js', import.meta.url),
      init: {
        base: basePath,
        fineTuned: fineTunedPath,
        kernels: options.kernels ?? 'wasm',
        gemm: options.gemm ?? 'auto',
        device: { name: device.name, warning: device.warning },
        importance,
        memoryShare: shareByteLength,
      },
      threads: Math.max(1, Math.min(threads, useful)),
      signal: options.signal,
      connect: device.connect,
    });
    try {
      return await use(pool);
    } finally {
      await pool.close();
    }
  } finally {
    await device.close();
  }
}

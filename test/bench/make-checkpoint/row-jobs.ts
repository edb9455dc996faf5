/** Worker side of the generator: makes a block of rows and writes it into a shard of both checkpoints. */
import { openOutputFile } from '../../../src/io/output-file.js';
import type { JobRunner } from '../../../src/io/worker-pool.js';
import { loadKernels } from '../../../src/kernels/load-kernels.js';
import { type RowsSpec, TensorRows } from './tensor-rows.js';

export interface RowJobsInit {
  readonly seed: number;
  /** Shards of both checkpoints, in the same order; they exist. */
  readonly basePaths: readonly string[];
  readonly fineTunedPaths: readonly string[];
}

export interface RowJob {
  readonly tensor: RowsSpec;
  readonly shard: number;
  /** Of the tensor's first byte in its shard. */
  readonly byteOffset: number;
  /** Rows [begin, end). */
  readonly begin: number;
  readonly end: number;
}

export async function openJobs(init: RowJobsInit): Promise<JobRunner<RowJob, void>> {
  const openAll = (paths: readonly string[]) => Promise.all(paths.map((path) => openOutputFile(path)));
  const base = await openAll(init.basePaths);
  const fineTuned = await openAll(init.fineTunedPaths);
  const rows = new TensorRows(loadKernels(), init.seed);
  return {
    async run({ tensor, shard, byteOffset, begin, end }) {
      const block = rows.block(tensor, begin, end);
      const offset = byteOffset + 2 * begin * tensor.columns;
      await Promise.all([
        base[shard]!.writeAt(offset, block.base),
        fineTuned[shard]!.writeAt(offset, block.fineTuned),
      ]);
    },
    async close() {
      await Promise.all([...base, ...fineTuned].map((file) => file.close()));
    },
  };
}

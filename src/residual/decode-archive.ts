/** Decodes every tensor of an archive on the worker pool: into output files, or only to check it. */
import type { Checkpoint } from '../../formats/checkpoint.js';
import { tensorByteLength } from '../../formats/dtype.js';
import { checkpointIdentity } from '../../formats/ere/identity.js';
import type { Archive } from '../../formats/ere/open-archive.js';
import { IntegrityError } from '../../formats/errors.js';
import { defaultThreads } from '../io/node-runtime.js';
import { openWorkerPool } from '../io/worker-pool.js';
import type { CommonOptions, Progress } from './api.js';
import { assertBaseLayout } from './archive-base.js';
import type { Comparison, DecodeJob, DecodeJobResult, DecodeJobsInit } from './decode-jobs.js';

export interface DecodeArchiveInput {
  readonly archive: Archive;
  /** Absolute paths, for the worker threads. */
  readonly archivePath: string;
  readonly base: Checkpoint;
  readonly basePath: string;
  /** Paths of output files, there already. */
  readonly outputs: readonly string[];
  /** What to decode, and where to. */
  readonly placements: readonly Placement[];
  readonly against?: string;
  readonly phase: Progress['phase'];
  readonly options: CommonOptions;
}

/** One tensor of the archive, and its place in the outputs. */
export type Placement = DecodeJob;

/**
 * Decodes and checks the placed tensors; every digest of base and output is compared.
 * @returns per placement the comparison with `against`
 * @throws CheckpointMismatchError, IntegrityError, CodecError, FormatError
 */
export async function decodeArchive(input: DecodeArchiveInput): Promise<(Comparison | undefined)[]> {
  const { archive, base, placements, options } = input;
  const { index } = archive;
  await assertIdentity(archive);
  assertBaseLayout(index, base);
  const byteLengths = placements.map(({ tensor }) => {
    const { dtype, shape } = index.tensors[tensor]!;
    return tensorByteLength(dtype, shape)!;
  });
  const totalByteLength = byteLengths.reduce((sum, byteLength) => sum + byteLength, 0);
  // The largest first, so that threads end together.
  const order = placements.map((_, i) => i).sort((x, y) => byteLengths[y]! - byteLengths[x]! || x - y);
  const pool = await openWorkerPool<DecodeJobsInit, DecodeJob, DecodeJobResult>({
    module: new URL('./decode-jobs.js', import.meta.url),
    init: {
      archive: input.archivePath,
      base: input.basePath,
      kernels: options.kernels ?? 'wasm',
      outputs: input.outputs,
      against: input.against,
    },
    threads: Math.max(1, Math.min(options.threads ?? defaultThreads(), placements.length)),
    signal: options.signal,
  });
  try {
    const comparisons: (Comparison | undefined)[] = [];
    let doneByteLength = 0;
    await Promise.all(
      order.map(async (i) => {
        const placement = placements[i]!;
        const { result } = await pool.run(placement);
        comparisons[i] = result.comparison;
        doneByteLength += byteLengths[i]!;
        const tensor = index.tensors[placement.tensor]!.name;
        options.onProgress?.({ phase: input.phase, doneByteLength, totalByteLength, tensor });
      }),
    );
    return comparisons;
  } finally {
    await pool.close();
  }
}

/** @throws IntegrityError when the archive's identity is not that of the tensors it lists */
export async function assertIdentity({ index, source }: Archive): Promise<void> {
  const found = await checkpointIdentity(index.tensors);
  if (found !== index.decoded.digest) {
    throw new IntegrityError(
      `${source.name}, identity of the decoded checkpoint`,
      index.decoded.digest,
      found,
    );
  }
}

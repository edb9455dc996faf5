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
import type { ArchiveLayout } from './archive-layout.js';
import type { Comparison, DecodeJob, DecodeJobResult, DecodeJobsInit } from './decode-jobs.js';

export interface DecodeArchiveInput {
  readonly archive: Archive;
  /** Absolute paths, for the worker threads. */
  readonly archivePath: string;
  readonly base: Checkpoint;
  readonly basePath: string;
  readonly layout: ArchiveLayout;
  /** Output file by weight file; none to decode without writing. */
  readonly outputs: readonly string[];
  readonly against?: string;
  readonly phase: Progress['phase'];
  readonly options: CommonOptions;
}

/**
 * Decodes and checks all tensors; every digest of base and output is compared.
 * @returns per tensor the comparison with `against`
 * @throws CheckpointMismatchError, IntegrityError, CodecError, FormatError
 */
export async function decodeArchive(input: DecodeArchiveInput): Promise<(Comparison | undefined)[]> {
  const { archive, base, layout, options } = input;
  const { index } = archive;
  await assertIdentity(archive);
  assertBaseLayout(index, base);
  const byteLengths = index.tensors.map((tensor) => tensorByteLength(tensor.dtype, tensor.shape)!);
  const totalByteLength = byteLengths.reduce((sum, byteLength) => sum + byteLength, 0);
  // The largest first, so that threads end together.
  const order = index.tensors.map((_, i) => i).sort((x, y) => byteLengths[y]! - byteLengths[x]! || x - y);
  const pool = await openWorkerPool<DecodeJobsInit, DecodeJob, DecodeJobResult>({
    module: new URL('./decode-jobs.js', import.meta.url),
    init: {
      archive: input.archivePath,
      base: input.basePath,
      kernels: options.kernels ?? 'wasm',
      outputs: input.outputs,
      against: input.against,
    },
    threads: Math.max(1, Math.min(options.threads ?? defaultThreads(), index.tensors.length)),
    signal: options.signal,
  });
  try {
    const comparisons: (Comparison | undefined)[] = [];
    let doneByteLength = 0;
    await Promise.all(
      order.map(async (tensor) => {
        const { result } = await pool.run({ tensor, outputOffset: layout.offsets[tensor]! });
        comparisons[tensor] = result.comparison;
        doneByteLength += byteLengths[tensor]!;
        options.onProgress?.({
          phase: input.phase,
          doneByteLength,
          totalByteLength,
          tensor: index.tensors[tensor]!.name,
        });
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

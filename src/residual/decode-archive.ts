/** Decodes every tensor of an archive on the worker pool: into output files, or only to check it. */
import type { Checkpoint } from '../../formats/checkpoint.js';
import { tensorByteLength } from '../../formats/dtype.js';
import { decodedIdentities } from '../../formats/ere/levels.js';
import type { Archive } from '../../formats/ere/open-archive.js';
import { IntegrityError } from '../../formats/errors.js';
import { defaultThreads } from '../io/default-threads.js';
import { openWorkerPool } from '../io/worker-pool.js';
import type { CommonOptions, Progress } from './api.js';
import { assertBaseLayout } from './archive-base.js';
import type { DecodeJob, DecodeJobResult, DecodeJobsInit } from './decode-jobs.js';
import type { Selection } from './select-tensors.js';

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
  readonly selection: Selection;
  readonly against?: string;
  readonly phase: Progress['phase'];
  readonly options: CommonOptions;
}

/** One tensor of the archive, and its place in the outputs. */
export type Placement = DecodeJob;

/**
 * Decodes and checks the placed tensors; every digest of base and output is compared.
 * @returns per placement its digest, and the comparison with `against`
 * @throws CheckpointMismatchError, IntegrityError, CodecError, FormatError
 */
export async function decodeArchive(input: DecodeArchiveInput): Promise<DecodeJobResult[]> {
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
      selection: input.selection,
      outputs: input.outputs,
      against: input.against,
    },
    threads: Math.max(1, Math.min(options.threads ?? defaultThreads(), placements.length)),
    signal: options.signal,
  });
  try {
    const results: DecodeJobResult[] = [];
    let doneByteLength = 0;
    await Promise.all(
      order.map(async (i) => {
        const placement = placements[i]!;
        const { result } = await pool.run(placement);
        results[i] = result;
        doneByteLength += byteLengths[i]!;
        const tensor = index.tensors[placement.tensor]!.name;
        options.onProgress?.({ phase: input.phase, doneByteLength, totalByteLength, tensor });
      }),
    );
    return results;
  } finally {
    await pool.close();
  }
}

/** @throws IntegrityError when the archive's identities are not those of the tensors it lists */
export async function assertIdentity({ index, source }: Archive): Promise<void> {
  const { digest, lossyDigest } = index.decoded;
  const found = await decodedIdentities(index.tensors);
  const subject = `${source.name}, identity of the decoded checkpoint`;
  if (found.digest !== digest) throw new IntegrityError(subject, digest, found.digest);
  if (lossyDigest !== undefined && found.lossyDigest !== lossyDigest)
    throw new IntegrityError(`${subject}, lossy`, lossyDigest, `${found.lossyDigest}`);
}

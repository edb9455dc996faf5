/** Decodes every tensor of an archive on the worker pool: into output files, or only to check it. */
import type { Checkpoint } from '../../formats/checkpoint.js';
import { tensorByteLength } from '../../formats/dtype.js';
import { decodedIdentities } from '../../formats/ere/levels.js';
import type { Archive } from '../../formats/ere/open-archive.js';
import { IntegrityError } from '../../formats/errors.js';
import { defaultThreads } from '../io/node-runtime.js';
import { openWorkerPool } from '../io/worker-pool.js';
import type { CommonOptions, Progress } from './api.js';
import { assertBaseLayout } from './archive-base.js';
import type { ArchiveLayout } from './archive-layout.js';
import type { DecodeJob, DecodeJobResult, DecodeJobsInit } from './decode-jobs.js';
import type { Selection } from './select-tensors.js';

export interface DecodeArchiveInput {
  readonly archive: Archive;
  /** Absolute paths, for the worker threads. */
  readonly archivePath: string;
  readonly base: Checkpoint;
  readonly basePath: string;
  readonly layout: ArchiveLayout;
  readonly selection: Selection;
  /** Tensors to decode, by number; default: all. */
  readonly tensors?: readonly number[];
  /** Output file by weight file; none to decode without writing. */
  readonly outputs: readonly string[];
  readonly against?: string;
  readonly phase: Progress['phase'];
  readonly options: CommonOptions;
}

/**
 * Decodes and checks all tensors; every digest of base and output is compared.
 * @returns per tensor its digest, and the comparison with `against`
 * @throws CheckpointMismatchError, IntegrityError, CodecError, FormatError
 */
export async function decodeArchive(input: DecodeArchiveInput): Promise<DecodeJobResult[]> {
  const { archive, base, layout, options, selection } = input;
  const { index } = archive;
  const tensors = input.tensors ?? index.tensors.map((_, i) => i);
  await assertIdentity(archive);
  assertBaseLayout(index, base);
  const byteLengths = index.tensors.map((tensor) => tensorByteLength(tensor.dtype, tensor.shape)!);
  const totalByteLength = tensors.reduce((sum, tensor) => sum + byteLengths[tensor]!, 0);
  // The largest first, so that threads end together.
  const order = [...tensors].sort((x, y) => byteLengths[y]! - byteLengths[x]! || x - y);
  const pool = await openWorkerPool<DecodeJobsInit, DecodeJob, DecodeJobResult>({
    module: new URL('./decode-jobs.js', import.meta.url),
    init: {
      archive: input.archivePath,
      base: input.basePath,
      kernels: options.kernels ?? 'wasm',
      selection,
      outputs: input.outputs,
      against: input.against,
    },
    threads: Math.max(1, Math.min(options.threads ?? defaultThreads(), tensors.length)),
    signal: options.signal,
  });
  try {
    const results: DecodeJobResult[] = [];
    let doneByteLength = 0;
    await Promise.all(
      order.map(async (tensor) => {
        const { result } = await pool.run({ tensor, outputOffset: layout.offsets[tensor]! });
        results[tensor] = result;
        doneByteLength += byteLengths[tensor]!;
        options.onProgress?.({
          phase: input.phase,
          doneByteLength,
          totalByteLength,
          tensor: index.tensors[tensor]!.name,
        });
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

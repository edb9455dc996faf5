/** Decodes every tensor of an archive on the worker pool: into output files, or only to check it. */
import { resolve } from 'node:path';
import type { ByteSource } from '../../formats/byte-source.js';
import type { Checkpoint } from '../../formats/checkpoint.js';
import { tensorByteLength } from '../../formats/dtype.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import type { Archive } from '../../formats/ere/open-archive.js';
import { defaultThreads } from '../io/default-threads.js';
import type { GrowingFile } from '../io/growing-file.js';
import { type OpenOutputFile, openOutputFile } from '../io/output-file.js';
import { openWorkerPool, type StartedThreads, startThreads, type WorkerPool } from '../io/worker-pool.js';
import type { CommonOptions, Progress } from './api.js';
import { assertBaseLayout, baseTensorOf } from './archive-base.js';
import { assertIdentity } from './archive-identity.js';
import { assertDigests } from './assert-digests.js';
import type { Comparison } from './compare-decoded.js';
import type { DecodeJob, DecodeJobResult, DecodeJobsInit, FileSources, TensorJob } from './decode-jobs.js';
import { decodeBudget } from './decode-memory.js';
import { decodeShared } from './decode-shared.js';
import { type Selection, selectTensor } from './select-tensors.js';

export interface DecodeArchiveInput {
  readonly archive: Archive;
  readonly base: Checkpoint;
  readonly workers: DecodeWorkers;
  /** Paths of output files, there already. */
  readonly outputs: readonly string[];
  /** What to decode, and where to. */
  readonly placements: readonly Placement[];
  readonly selection: Selection;
  readonly against?: string;
  readonly phase: Progress['phase'];
  /** Check the digest of the base even where that of the result proves it; default false. */
  readonly checkBase?: boolean;
  /** Least bytes of a tensor that all threads decode together; default: half of a thread's part of all. */
  readonly sharedByteLength?: number;
  /** Elements of a block at most; default: as many as the memory budget allows. */
  readonly blockElements?: number;
  readonly options: CommonOptions;
}

/** How worker threads open archive and base for themselves. */
export interface DecodeWorkers {
  /** URL of a module whose `openJobs` takes a DecodeJobsInit with these sources. */
  readonly module: URL;
  /** Structured-cloneable. */
  readonly sources: unknown;
  /**
   * An archive that is still being written. Tensors are then decoded in the order in which they are complete, and not in
   * this thread, which has the file to write.
   */
  readonly growing?: Pick<GrowingFile, 'arrived' | 'whole'>;
  /** Threads of `module` that were started already. */
  readonly started?: StartedThreads | undefined;
}

/** A module whose `openJobs` takes a DecodeJobsInit with FileSources. */
const FILE_JOBS = new URL('./decode-jobs.js', import.meta.url);

/** Archives from which on a thread more is sure to be worth its start: low-rank ones are of 2 to 6 % of the weights. */
const MIN_THREADED_BYTE_LENGTH = 4 << 20;

/** Threads that are worth starting before the archive is read. @param options threads: at most, with this one */
export function startFileWorkers(
  archive: Pick<ByteSource, 'byteLength'>,
  options: Pick<CommonOptions, 'threads'>,
): StartedThreads {
  const threads = archive.byteLength < MIN_THREADED_BYTE_LENGTH ? 1 : (options.threads ?? defaultThreads());
  return startThreads(FILE_JOBS, Math.min(MAX_STARTED_THREADS, threads - 1));
}

/** The others load as fast while these work. */
const MAX_STARTED_THREADS = 4;

/** Workers that open files: that of an archive which is open here, and its base's. */
export function fileWorkers(file: string | GrowingFile, archive: Archive, base: string): DecodeWorkers {
  const contents = { index: archive.index, chunksOffset: archive.chunkOffset(0) };
  if (typeof file === 'string') {
    const sources: FileSources = { archive: resolve(file), contents, base: resolve(base) };
    return { module: FILE_JOBS, sources };
  }
  const sources: FileSources = { archive: file.shared(), contents, base: resolve(base) };
  return { module: FILE_JOBS, sources, growing: file };
}

/** One tensor of the archive, and its place in the outputs. */
export type Placement = Omit<TensorJob, 'kind'>;

export interface DecodeResult {
  /** Of the decoded bytes. */
  readonly digest: Digest;
  readonly comparison: Comparison | undefined;
}

/**
 * Decodes and checks the placed tensors; every digest of base and output is compared. Of an archive that is still being
 * written it returns when that is whole.
 * @returns per placement its digest, and the comparison with `against`
 * @throws CheckpointMismatchError, IntegrityError, CodecError, FormatError; what the writer of the archive ended with
 */
export async function decodeArchive(input: DecodeArchiveInput): Promise<DecodeResult[]> {
  const { archive, base, placements, options } = input;
  const { index } = archive;
  await assertIdentity(archive);
  assertBaseLayout(index, base);
  const byteLengths = placements.map(({ tensor }) => {
    const { dtype, shape } = index.tensors[tensor]!;
    return tensorByteLength(dtype, shape)!;
  });
  const totalByteLength = byteLengths.reduce((sum, byteLength) => sum + byteLength, 0);
  const { growing } = input.workers;
  const ends = placements.map(({ tensor }) => (growing === undefined ? 0 : lastByte(input, tensor)));
  // What is there first, of that the largest first, so that threads end together.
  const order = placements
    .map((_, i) => i)
    .sort((x, y) => ends[x]! - ends[y]! || byteLengths[y]! - byteLengths[x]! || x - y);
  const tensors = placements.map(({ tensor }) => index.tensors[tensor]!);
  const budget = decodeBudget(options, tensors, index, archive.source.name);
  const least = leastShared(input, totalByteLength, budget.threads);
  const isShared = (i: number): boolean => byteLengths[i]! >= least;
  const areShared = order.some(isShared);
  const wanted = areShared ? budget.threads : placements.length;
  const pool = await openWorkerPool<DecodeJobsInit<unknown>, DecodeJob, DecodeJobResult>({
    module: input.workers.module,
    init: {
      sources: input.workers.sources,
      kernels: options.kernels ?? 'wasm',
      selection: input.selection,
      outputs: input.outputs,
      against: input.against,
      checkBase: input.checkBase ?? false,
      blockElements: input.blockElements ?? budget.blockElements,
    },
    threads: Math.max(1, Math.min(budget.threads, wanted)),
    // Except where it reads and writes for all of them, or writes the archive.
    isWorker: !areShared && growing === undefined,
    started: input.workers.started,
    signal: options.signal,
  });
  const outputs = new LazyOutputs(input.outputs);
  try {
    const results: DecodeResult[] = [];
    let doneByteLength = 0;
    const decodeAlone = async (i: number): Promise<DecodeResult> => {
      await growing?.arrived(ends[i]!);
      const { digest, comparison } = (await pool.run({ kind: 'tensor', ...placements[i]! })).result;
      return { digest: digest!, comparison };
    };
    const finish = (i: number, result: DecodeResult): void => {
      results[i] = result;
      doneByteLength += byteLengths[i]!;
      const tensor = index.tensors[placements[i]!.tensor]!.name;
      options.onProgress?.({ phase: input.phase, doneByteLength, totalByteLength, tensor });
    };
    const shared = order.filter(isShared);
    await Promise.all([
      decodeInTurn(shared, async (i) => {
        await growing?.arrived(ends[i]!);
        finish(i, await decodeOnAll(input, placements[i]!, pool, outputs));
      }),
      ...order.filter((i) => !isShared(i)).map(async (i) => finish(i, await decodeAlone(i))),
    ]);
    await growing?.whole;
    return results;
  } finally {
    await pool.close();
    await outputs.close();
  }
}

/** Where in the archive the last byte lies that a tensor is decoded from; 0 for one that is its base's. */
function lastByte({ archive, selection }: DecodeArchiveInput, number: number): number {
  const { terms } = selectTensor(archive, number, selection).tensor;
  const end = terms.reduce(
    (most, { chunks }) => chunks.reduce((last, chunk) => Math.max(last, chunk + 1), most),
    0,
  );
  return end === 0 ? 0 : archive.chunkOffset(end);
}

/** Tensors that large are worth the way through shared memory. */
const MIN_SHARED_BYTE_LENGTH = 32 << 20;

/** Least bytes of a tensor that would keep one thread busy after the others: over half of a thread's part of the work. */
function leastShared(
  { against, sharedByteLength }: DecodeArchiveInput,
  totalByteLength: number,
  threads: number,
): number {
  if (threads === 1 || against !== undefined) return Number.POSITIVE_INFINITY;
  return sharedByteLength ?? Math.max(MIN_SHARED_BYTE_LENGTH, totalByteLength / (2 * threads));
}

async function decodeInTurn(numbers: readonly number[], work: (i: number) => Promise<void>): Promise<void> {
  for (const i of numbers) await work(i);
}

async function decodeOnAll(
  input: DecodeArchiveInput,
  { tensor, output, outputOffset }: Placement,
  pool: WorkerPool<DecodeJob, DecodeJobResult>,
  outputs: LazyOutputs,
): Promise<DecodeResult> {
  const { archive, base, selection } = input;
  const { digest } = selectTensor(archive, tensor, selection);
  const digests = await decodeShared({
    pool,
    tensor,
    base,
    baseName: baseTensorOf(base, archive.index.tensors[tensor]!)?.name,
    output: output === undefined ? undefined : await outputs.open(output),
    outputOffset,
    hashBase: input.checkBase === true || digest === undefined,
  });
  await assertDigests({ archive, base, selection }, tensor, digests);
  return { digest: digests.decoded, comparison: undefined };
}

/** Output files that this thread writes to, opened when they are needed. */
class LazyOutputs {
  readonly #paths: readonly string[];
  readonly #files = new Map<number, Promise<OpenOutputFile>>();
  #isClosed = false;

  constructor(paths: readonly string[]) {
    this.#paths = paths;
  }

  open(output: number): Promise<OpenOutputFile> {
    // Asked by a tensor that arrived after another had failed.
    if (this.#isClosed) return Promise.reject(new Error('the outputs are closed'));
    let file = this.#files.get(output);
    if (file === undefined) {
      file = openOutputFile(this.#paths[output]!);
      this.#files.set(output, file);
    }
    return file;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#files.values()].map(async (file) => (await file).close()));
  }
}

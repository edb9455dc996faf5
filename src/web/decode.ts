/**
 * decode in a page: the tensors of a fine-tune from its base and an archive, each whole and checked before it is given
 * out. Some are in work at once, so that bytes arrive while others are decoded; they come in the archive's order.
 */
import type { Checkpoint } from '../../formats/checkpoint.js';
import { tensorByteLength } from '../../formats/dtype.js';
import { type ArchiveLevel, bestLevel } from '../../formats/ere/levels.js';
import type { Archive } from '../../formats/ere/open-archive.js';
import { UnsupportedError } from '../../formats/errors.js';
import type { DecodedTensor, Progress } from '../residual/api.js';
import { assertBaseLayout } from '../residual/archive-base.js';
import { findTensors } from '../residual/find-tensors.js';
import { type Selection, selectUsable } from '../residual/select-tensors.js';
import { assertWebCrypto, decodeWholeTensor } from './decode-tensor.js';
import type { HttpSourceOptions } from './http-source.js';
import { inOrder } from './in-order.js';
import { loadDecodeKernels } from './load-kernels.js';
import { originOf } from './open-archive.js';
import { openBase } from './open-base.js';
import type { WebSource } from './open-source.js';
import { openDecodeWorkers, type WorkerInit } from './worker-pool.js';

export interface WebDecodeOptions extends HttpSourceOptions {
  /** As `openArchive` gives it. */
  readonly archive: Archive;
  /**
   * The base: one safetensors file, all its shards, the URL of a shard index with the shards beside it, or what
   * `openBase` gives.
   */
  readonly base: WebSource | readonly WebSource[] | Checkpoint;
  /** Names of the tensors wanted; default: all. */
  readonly tensors?: readonly string[];
  /** 'exact' is refused where the archive has only a lossy level. Default: the best it has. */
  readonly quality?: ArchiveLevel;
  /**
   * Web Workers that decode; default: the number of cores, 4 at most. With 0, without workers in this runtime, and
   * where archive or base are of a kind that workers cannot open (a ByteSource, an open base, a `fetch` or headers of
   * your own), it is this thread that decodes. The result does not depend on it.
   */
  readonly threads?: number;
  /** Called when a tensor has been given out. */
  readonly onProgress?: (progress: Progress) => void;
}

/** Tensors in work at once in this thread: one is decoded while the bytes of the next arrive. */
const AHEAD = 2;
const MAX_DEFAULT_THREADS = 4;

/**
 * Rebuilds tensors one after another. Memory: those in work (one a worker and one more, or two), of 3 to 4 MB of
 * blocks each besides. Time and bytes read are proportional to what is taken.
 * @throws NotFoundError for an unknown name; CheckpointMismatchError for another base; IntegrityError, CodecError,
 *   FormatError for a damaged archive; UnsupportedError; errors of the sources; EreError 'ERE_ABORTED'
 */
export async function* decode(options: WebDecodeOptions): AsyncGenerator<DecodedTensor, void, void> {
  const { archive } = options;
  const { tensors } = archive.index;
  const numbers =
    options.tensors === undefined ? tensors.map((_, i) => i) : findTensors(archive, options.tensors);
  yield* decodeNumbers(options, numbers);
}

/** The same for tensors by their numbers in the index, in the order given. */
export async function* decodeNumbers(
  options: WebDecodeOptions,
  numbers: readonly number[],
): AsyncGenerator<DecodedTensor, void, void> {
  const { archive, signal, onProgress } = options;
  assertWebCrypto();
  const { threads = defaultThreads() } = options;
  if (!Number.isSafeInteger(threads) || threads < 0)
    throw new RangeError(`threads: expected an integer of at least 0, got ${threads}`);
  assertQuality(archive, options.quality);
  const selection = selectUsable(archive, options.quality === 'lossy' ? 'lossy' : 'best');
  const base = isCheckpoint(options.base) ? options.base : await openBase(options.base, options);
  assertBaseLayout(archive.index, base);
  const totalByteLength = numbers.reduce((sum, number) => sum + byteLengthOf(archive, number), 0);
  let doneByteLength = 0;
  const init = workerInit(options, selection);
  const count = Math.min(threads, numbers.length);
  const workers = init === undefined || count === 0 ? undefined : await openDecodeWorkers(init, count);
  try {
    const kernels = workers === undefined ? await loadDecodeKernels() : undefined;
    const decodeOne = (number: number, stop: AbortSignal): Promise<DecodedTensor> => {
      if (workers === undefined)
        return decodeWholeTensor({ archive, base, kernels: kernels!, selection }, number, stop);
      stop.onabort = () => workers.close();
      return workers.decode(number);
    };
    const ahead = workers === undefined ? AHEAD : count + 1;
    for await (const [number, tensor] of inOrder(numbers, decodeOne, ahead, signal)) {
      yield tensor;
      doneByteLength += byteLengthOf(archive, number);
      onProgress?.({ phase: 'decode', doneByteLength, totalByteLength, tensor: tensor.name });
    }
  } finally {
    workers?.close();
  }
}

function byteLengthOf({ index }: Archive, number: number): number {
  const { dtype, shape } = index.tensors[number]!;
  return tensorByteLength(dtype, shape)!;
}

function defaultThreads(): number {
  return Math.min(MAX_DEFAULT_THREADS, globalThis.navigator?.hardwareConcurrency ?? 1);
}

function assertQuality({ index, source }: Archive, quality: ArchiveLevel | undefined): void {
  if (quality !== 'exact' || bestLevel(index) === 'exact') return;
  throw new UnsupportedError(
    'exact quality of a lossy archive',
    `${source.name} is lossy and has no exact terms on top, so it cannot be decoded to exact quality`,
  );
}

function isCheckpoint(base: WebDecodeOptions['base']): base is Checkpoint {
  return typeof base === 'object' && 'tensors' in base;
}

/** What workers are told; undefined where they could not open the same sources. */
function workerInit(options: WebDecodeOptions, selection: Selection): WorkerInit | undefined {
  const { archive, base } = options;
  if (options.fetch !== undefined || options.headers !== undefined || isCheckpoint(base)) return undefined;
  const sources: readonly WebSource[] = Array.isArray(base) ? base : [base as WebSource];
  const [origin, ...bases] = [originOf(archive), ...sources].map(portable);
  if (origin === undefined || bases.some((source) => source === undefined)) return undefined;
  return {
    archive: origin,
    base: bases as (string | Blob)[],
    digest: archive.index.decoded.digest,
    selection,
  };
}

/** A source as a worker can have it, whose own URL is another than the page's. */
function portable(source: WebSource | undefined): string | Blob | undefined {
  if (source instanceof Blob) return source;
  if (typeof source !== 'string' && !(source instanceof URL)) return undefined;
  return new URL(source, typeof document === 'undefined' ? undefined : document.baseURI).href;
}

/**
 * Parts of files, rebuilt into the cache on worker threads: each once, however many ask for it, and checked against its
 * digest before a byte of it can be read.
 */
import { isEreError } from '../../formats/errors.js';
import { type CacheItem, FileCache, type FileCacheStats, type Urgency, type Want } from '../io/file-cache.js';
import { openOutputFile } from '../io/output-file.js';
import { openWorkerPool, type WorkerPool } from '../io/worker-pool.js';
import type { RebuiltPart, ServedVersion } from './catalog.js';
import type { RebuildJob, RebuildResult, RebuildSources } from './rebuild-jobs.js';

export interface RebuilderOptions {
  /** Where the cache lies. */
  readonly cacheFolder: string;
  readonly maxCacheByteLength: number;
  readonly threads: number;
  /** Called after each part. */
  readonly onRebuilt?: (part: RebuiltPart, durationMs: number, error: unknown) => void;
}

/** Side files up to this length, configurations and such, do not stand in line behind tensors. */
const SMALL_BYTE_LENGTH = 1 << 20;

type Pool = WorkerPool<RebuildJob, RebuildResult>;

export class Rebuilder {
  readonly #cache: FileCache;
  readonly #options: RebuilderOptions;
  #pool: Promise<Pool> | undefined;
  #isClosed = false;

  private constructor(cache: FileCache, options: RebuilderOptions) {
    this.#cache = cache;
    this.#options = options;
  }

  static async open(options: RebuilderOptions): Promise<Rebuilder> {
    const cache = await FileCache.open({
      folder: options.cacheFolder,
      maxByteLength: options.maxCacheByteLength,
      concurrency: options.threads,
    });
    return new Rebuilder(cache, options);
  }

  /** Threads that rebuild, and so how many parts are worth asking for ahead. */
  get threads(): number {
    return this.#options.threads;
  }

  get stats(): FileCacheStats {
    return this.#cache.stats;
  }

  /** @throws LimitError for a part larger than the cache; CacheBusyError. Reading throws as decoding does. */
  want(version: ServedVersion, part: RebuiltPart, urgency: Urgency): Want {
    const item: CacheItem = {
      key: part.digest,
      byteLength: part.byteLength,
      weight: part.made.kind === 'tensor' ? version.weight : part.byteLength > SMALL_BYTE_LENGTH ? 1 : 0,
      make: (path) => this.#timed(part, () => this.#make(version, part, path)),
    };
    return this.#cache.want(item, urgency);
  }

  /** @throws LimitError for a part larger than the cache */
  assertFits({ byteLength }: RebuiltPart): void {
    this.#cache.assertFits(byteLength);
  }

  /** What is being rebuilt is given up. */
  async close(): Promise<void> {
    this.#isClosed = true;
    // What waits is given up before what runs fails and makes way for it.
    const closing = this.#cache.close();
    await (await this.#pool?.catch(() => undefined))?.close();
    await closing;
  }

  async #timed(part: RebuiltPart, work: () => Promise<void>): Promise<void> {
    const started = performance.now();
    let problem: unknown;
    try {
      await work();
    } catch (error) {
      problem = error;
      throw error;
    } finally {
      this.#options.onRebuilt?.(part, performance.now() - started, problem);
    }
  }

  async #make(version: ServedVersion, part: RebuiltPart, path: string): Promise<void> {
    const { made } = part;
    const work = async (current: ServedVersion): Promise<void> => {
      if (made.kind === 'side-file') await writeSideFile(current, made.sideFile, path);
      else await this.#rebuildTensor(current, made.tensor, path);
    };
    try {
      await work(version);
    } catch (error) {
      // What the version is made from was replaced: gc codes versions anew, archives are written again.
      if (!isEreError(error, 'ERE_NOT_FOUND')) throw error;
      await version.reopen(work);
    }
  }

  async #rebuildTensor({ sources }: ServedVersion, tensor: number, output: string): Promise<void> {
    const job: RebuildJob = { key: sources.key, tensor, output };
    try {
      await this.#run(job, sources);
    } catch (error) {
      // A thread that is lost takes the pool along, and everybody's jobs: they are done again by the next pool.
      if (isEreError(error) || this.#isClosed) throw error;
      await this.#run(job, sources);
    }
  }

  async #run(job: RebuildJob, sources: RebuildSources): Promise<void> {
    // It would open a pool that nobody closes.
    if (this.#isClosed) throw new Error('the server is being closed');
    this.#pool ??= openPool(this.#options.threads);
    const opened = this.#pool;
    try {
      const pool = await opened;
      const { result, worker } = await pool.run(job);
      if (result === 'unknown-sources') await pool.run({ ...job, sources }, worker);
    } catch (error) {
      if (!isEreError(error)) {
        if (this.#pool === opened) this.#pool = undefined;
        // Until its threads are gone they may write into files that the next pool fills.
        await opened.then((pool) => pool.close()).catch(() => {});
      }
      throw error;
    }
  }
}

function openPool(threads: number): Promise<Pool> {
  return openWorkerPool<undefined, RebuildJob, RebuildResult>({
    module: new URL('./rebuild-jobs.js', import.meta.url),
    init: undefined,
    // This thread answers requests: none of the work may run in it, not even that of a single thread.
    threads,
    isHere: false,
  });
}

async function writeSideFile(version: ServedVersion, sideFile: number, path: string): Promise<void> {
  const output = await openOutputFile(path);
  try {
    await output.write(await version.readSideFile(sideFile));
  } finally {
    await output.close();
  }
}

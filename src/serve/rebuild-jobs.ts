/**
 * Rebuilding tensors into files, run by the worker pool: each thread opens the versions that it is asked for, and keeps
 * a few of them open.
 */
import { nodeRuntime } from '../io/node-runtime.js';
import { openOutputFile } from '../io/output-file.js';
import type { JobRunner } from '../io/worker-pool.js';
import { ChunkRooms } from '../residual/chunk-rooms.js';
import { type FileSources, type OpenSources, openFileSources } from '../residual/decode-jobs.js';
import { BlockRooms } from '../residual/decode-tensor.js';
import { type DecodeSources, decodeVerified } from '../residual/decode-verified.js';
import { openPlace, type VersionPlace } from '../store/version-sources.js';

/** How a thread opens a version; structured-cloneable. */
export type RebuildSources = {
  /** Different for different sources. */
  readonly key: string;
  /** Elements of a block at most. */
  readonly blockElements: number;
} & (
  | { readonly kind: 'store'; readonly place: VersionPlace }
  | { readonly kind: 'archive'; readonly files: FileSources }
);

export interface RebuildJob {
  /** Of the sources. */
  readonly key: string;
  /** Given where the thread does not have them yet: they are large. */
  readonly sources?: RebuildSources;
  /** Index into the tensors of the version. */
  readonly tensor: number;
  /** File to fill, there already. */
  readonly output: string;
}

/** 'unknown-sources': nothing was done, the job has to come again with its sources. */
export type RebuildResult = 'done' | 'unknown-sources';

/** Versions that a thread keeps open. */
const MAX_OPEN = 4;

interface OpenVersion {
  readonly opened: OpenSources;
  readonly decoding: DecodeSources;
}

export async function openJobs(): Promise<JobRunner<RebuildJob, RebuildResult>> {
  const runtime = nodeRuntime('wasm');
  const rooms = new BlockRooms(runtime.kernels);
  /** The last is the one that was used last. */
  const versions = new Map<string, OpenVersion>();

  const open = async ({ key, sources }: RebuildJob): Promise<OpenVersion | undefined> => {
    let version = versions.get(key);
    versions.delete(key);
    if (version === undefined) {
      if (sources === undefined) return undefined;
      const opened =
        sources.kind === 'store' ? await openPlace(sources.place) : await openFileSources(sources.files);
      const { archive, base } = opened;
      const { blockElements } = sources;
      const chunkRooms = new ChunkRooms(archive);
      version = { opened, decoding: { archive, base, runtime, blockElements, rooms, chunkRooms } };
    }
    versions.set(key, version);
    for (const [oldest, { opened }] of versions) {
      if (versions.size <= MAX_OPEN) break;
      versions.delete(oldest);
      await opened.close();
    }
    return version;
  };

  return {
    async run(job) {
      const version = await open(job);
      if (version === undefined) return 'unknown-sources';
      const output = await openOutputFile(job.output);
      try {
        await decodeVerified(version.decoding, job.tensor, (offset, bytes) => output.writeAt(offset, bytes));
      } catch (error) {
        // Files may have been replaced under an open version: the next try opens them anew.
        versions.delete(job.key);
        await version.opened.close().catch(() => {});
        throw error;
      } finally {
        await output.close();
      }
      return 'done';
    },
    async close() {
      rooms.free();
      await Promise.all([...versions.values()].map(({ opened }) => opened.close()));
    },
  };
}

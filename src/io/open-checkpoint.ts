/**
 * Opens a checkpoint on disk: one .safetensors file, a shard index, or a model folder (also one of the local
 * Hugging Face cache). Only headers are read; tensor data is read on demand.
 */
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Checkpoint } from '../../formats/checkpoint.js';
import { LimitError, UnsupportedError } from '../../formats/errors.js';
import { LIMITS } from '../../formats/limits.js';
import { relativePathProblem } from '../../formats/relative-path.js';
import { openSafetensors } from '../../formats/safetensors/open-safetensors.js';
import { type Shard, safetensorsCheckpoint } from '../../formats/safetensors/safetensors-checkpoint.js';
import {
  assertShardIndex,
  parseShardIndex,
  type ShardIndex,
  shardPaths,
} from '../../formats/safetensors/shard-index.js';
import { chooseWeights, type FolderEntries, isShardIndexName } from './choose-weights.js';
import { type FileSource, type OpenFileOptions, openFileSource } from './file-source.js';
import { resolveHubCacheFolder } from './hub-cache.js';
import { withIoErrors } from './io-error.js';
import { listSideFiles } from './side-files.js';
import { weightFormat } from './weight-extensions.js';

/**
 * Opens the checkpoint at `path`; `close` it when done. A single file has no side files, a folder has all that
 * `listSideFiles` finds, and an index stands for its folder.
 * @throws NotFoundError when there is nothing at `path`, or a shard is missing
 * @throws UnsupportedError when what is there is not safetensors, saying what was found and what to do
 * @throws FormatError when a header or an index breaks its rules
 * @throws IoError when the system refuses a read
 */
export async function openCheckpoint(path: string, options: OpenFileOptions = {}): Promise<Checkpoint> {
  const info = await withIoErrors('open', path, () => stat(path));
  if (info.isDirectory()) {
    const folder = await resolveHubCacheFolder(path);
    const choice = chooseWeights(folder, await listFolder(folder));
    if (choice.kind === 'index') return openIndexed(folder, choice.index, options);
    return openShards({ ...options, location: folder, folder, paths: choice.files, sideFiles: true });
  }
  if (isShardIndexName(basename(path))) return openIndexed(dirname(path), basename(path), options);
  if (weightFormat(path) === 'safetensors') {
    const shard = { location: path, folder: dirname(path), paths: [basename(path)], sideFiles: false };
    return openShards({ ...options, ...shard });
  }
  throw unsupportedFile(path);
}

async function openIndexed(folder: string, indexName: string, options: OpenFileOptions): Promise<Checkpoint> {
  const indexPath = join(folder, indexName);
  const index = await readShardIndex(indexPath);
  const check = (shards: readonly Shard[]) => {
    const names = shards.map(
      ({ path, file }) => [path, file.header.tensors.map(({ name }) => name)] as const,
    );
    assertShardIndex(index, indexPath, new Map(names));
  };
  const paths = shardPaths(index);
  return openShards({ ...options, location: folder, folder, paths, sideFiles: true, check });
}

interface OpenShardsOptions extends OpenFileOptions {
  readonly location: string;
  readonly folder: string;
  /** Weight files, relative to the folder. */
  readonly paths: readonly string[];
  /** Whether the folder's other files belong to the checkpoint. */
  readonly sideFiles: boolean;
  /** Throws when the shards do not belong together. */
  readonly check?: (shards: readonly Shard[]) => void;
}

/** Opens all shards and joins them; closes every one of them when anything fails. */
async function openShards(options: OpenShardsOptions): Promise<Checkpoint> {
  const { location, folder, paths, sideFiles, check } = options;
  const sources: FileSource[] = [];
  const close = () => closeAll(sources);
  try {
    const shards: Shard[] = [];
    for (const path of paths) {
      assertPortable(folder, path);
      const source = await openFileSource(join(folder, path), options);
      sources.push(source);
      shards.push({ path, file: await openSafetensors(source) });
    }
    check?.(shards);
    const side = sideFiles ? await listSideFiles(folder, paths) : {};
    return safetensorsCheckpoint({ location, shards, close, ...side });
  } catch (error) {
    // The first error is the one to tell.
    await close().catch(() => {});
    throw error;
  }
}

async function readShardIndex(path: string): Promise<ShardIndex> {
  const source = await openFileSource(path);
  try {
    const limit = LIMITS.sideFileByteLength;
    if (source.byteLength > limit) {
      throw new LimitError(
        `${path}: shard index of ${source.byteLength} bytes, over ${limit}`,
        limit,
        source.byteLength,
      );
    }
    return parseShardIndex(await source.read(0, source.byteLength), path);
  } finally {
    await source.close();
  }
}

async function listFolder(folder: string): Promise<FolderEntries> {
  const entries = await withIoErrors('list', folder, () => readdir(folder, { withFileTypes: true }));
  const visible = entries.filter(({ name }) => !name.startsWith('.'));
  const folders = visible.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  // Symbolic links count as files: opening one that is not says so.
  const files = visible.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  return { files: files.sort(), folders: folders.sort() };
}

/** An archive carries this path, and decoding would refuse it. */
function assertPortable(folder: string, path: string): void {
  const problem = relativePathProblem(path);
  if (problem === undefined) return;
  const message = `${join(folder, path)}: the name of a weight file ${problem}; rename it`;
  throw new UnsupportedError('weight files with names that are not portable', message);
}

async function closeAll(sources: readonly FileSource[]): Promise<void> {
  const results = await Promise.allSettled(sources.map((source) => source.close()));
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

function unsupportedFile(path: string): UnsupportedError {
  const format = weightFormat(path);
  const expected = 'expected a .safetensors file, a .safetensors.index.json or a model folder';
  if (format === 'ERE archive') {
    return new UnsupportedError(
      'archives as checkpoints',
      `${path}: is an archive, ${expected}; decode it first`,
    );
  }
  const found = format === undefined ? 'found another file' : `found ${format} weights; convert them first`;
  return new UnsupportedError(`checkpoints of this kind of file`, `${path}: ${expected}, ${found}`);
}

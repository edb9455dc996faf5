/**
 * Writes a generated base and fine-tune as model folders. Memory is bounded by a block of rows a thread, whatever the
 * size of the model; equal options give equal bytes for every thread count. The folder appears whole or not at all.
 */
import { mkdir, readdir, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ConflictError, IoError } from '../../../formats/errors.js';
import { type OutputFolder, withAtomicFolder } from '../../../src/io/atomic-output.js';
import { defaultThreads } from '../../../src/io/default-threads.js';
import { isSystemError, toIoError, withIoErrors } from '../../../src/io/io-error.js';
import { type ModelShape, parameterCountOf, shapeFor } from './model-shape.js';
import { runJobs } from './run-jobs.js';
import { type Shard, shardIndexOf, shardsOf } from './shards.js';
import { sideFilesOf } from './side-files.js';
import { tensorsOf } from './tensors.js';

export interface MakeCheckpointOptions {
  /** Parameters wanted; the model comes as near as a Llama's shape can. */
  readonly parameterCount: number;
  /** Folder to make, or an empty one; gets `base` and `fine-tuned`. Folders on the way to it are created. */
  readonly output: string;
  /** 0 to 2^32 − 1; default 1. */
  readonly seed?: number;
  /** Largest file, unless one tensor is larger; default 1 GB. */
  readonly shardByteLength?: number;
  /** Default: all cores. */
  readonly threads?: number;
  readonly signal?: AbortSignal;
  /** Told after every block of rows. */
  readonly onProgress?: (doneParameterCount: number, parameterCount: number) => void;
}

export interface MadeCheckpoint {
  readonly base: string;
  readonly fineTuned: string;
  readonly model: ModelShape;
  readonly parameterCount: number;
  /** Of the weight files of one checkpoint. */
  readonly byteLength: number;
  readonly shardCount: number;
}

const CHECKPOINTS = ['base', 'fine-tuned'] as const;
const DEFAULT_SHARD_BYTE_LENGTH = 1e9;

/**
 * Makes the pair and returns where it is and how large it became.
 * @throws RangeError on a count, seed or size that cannot be
 * @throws ConflictError when something is at the output already, IoError where the disk is too small
 */
export async function makeCheckpoint(options: MakeCheckpointOptions): Promise<MadeCheckpoint> {
  const { output, seed = 1, shardByteLength = DEFAULT_SHARD_BYTE_LENGTH, signal } = options;
  const threads = options.threads ?? defaultThreads();
  assertInteger('seed', seed, 0, 2 ** 32 - 1);
  assertInteger('shardByteLength', shardByteLength, 1, Number.MAX_SAFE_INTEGER);
  assertInteger('threads', threads, 1, 1024);
  const model = shapeFor(options.parameterCount);
  const parameterCount = parameterCountOf(model);
  const overwrite = await isEmptyFolder(output);
  const parent = dirname(output);
  await withIoErrors('create', parent, () => mkdir(parent, { recursive: true }));
  await assertSpace(output, parent, CHECKPOINTS.length * 2 * parameterCount);
  const shards = shardsOf(tensorsOf(model), shardByteLength);
  await withAtomicFolder(output, { overwrite, signal }, async (folder) => {
    const paths = new Map<string, string[]>();
    for (const name of CHECKPOINTS) paths.set(name, await createFiles(folder, name, model, shards));
    const init = { seed, basePaths: paths.get('base')!, fineTunedPaths: paths.get('fine-tuned')! };
    await runJobs(shards, init, {
      threads,
      signal,
      onProgress: (done) => options.onProgress?.(done, parameterCount),
    });
  });
  return {
    base: join(output, 'base'),
    fineTuned: join(output, 'fine-tuned'),
    model,
    parameterCount,
    byteLength: shards.reduce((sum, shard) => sum + shard.byteLength, 0),
    shardCount: shards.length,
  };
}

/** Everything but the tensors' bytes; the paths of the shards. */
async function createFiles(
  folder: OutputFolder,
  name: string,
  model: ModelShape,
  shards: readonly Shard[],
): Promise<string[]> {
  for (const [path, bytes] of sideFilesOf(model)) {
    await (await folder.createFile(`${name}/${path}`)).write(bytes);
  }
  const index = shardIndexOf(shards);
  if (index !== undefined) {
    await (await folder.createFile(`${name}/model.safetensors.index.json`)).write(index);
  }
  const paths: string[] = [];
  for (const shard of shards) {
    const file = await folder.createFile(`${name}/${shard.path}`);
    await file.truncate(shard.byteLength);
    await file.write(shard.header);
    paths.push(file.path);
  }
  return paths;
}

/** Whether an empty folder is at the path, which then may be replaced; false where nothing is. */
async function isEmptyFolder(path: string): Promise<boolean> {
  try {
    const entries = await readdir(path);
    if (entries.length === 0) return true;
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return false;
    if (!isSystemError(error, 'ENOTDIR')) throw toIoError(error, 'list', path);
  }
  throw new ConflictError(
    `${path}: expected no such folder or an empty one, found something there; remove it`,
  );
}

async function assertSpace(output: string, parent: string, needed: number): Promise<void> {
  const { bavail, bsize } = await withIoErrors('open', parent, () => statfs(parent));
  const free = bavail * bsize;
  if (free >= needed) return;
  throw new IoError(`${output}: ${needed} bytes are to be written, but the disk has ${free} free`);
}

function assertInteger(name: string, value: number, minimum: number, maximum: number): void {
  if (Number.isSafeInteger(value) && value >= minimum && value <= maximum) return;
  throw new RangeError(`expected ${name} to be an integer of ${minimum} to ${maximum}, got ${value}`);
}

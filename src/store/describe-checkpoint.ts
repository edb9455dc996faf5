/** What a version's manifest says of a checkpoint on disk: samples of its weights, and digests of its files. */
import type { Checkpoint, WeightFile } from '../../formats/checkpoint.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import type { Sketch } from '../../formats/sketch/sketch.js';
import { throwIfAborted } from '../io/abort.js';
import { createNodeHasher } from '../io/node-hasher.js';
import { nodeRuntime } from '../io/node-runtime.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import { sketchCheckpoint } from '../sketch/sketch-checkpoint.js';
import type { CommitOptions } from './api.js';

type DescribeOptions = Pick<CommitOptions, 'kernels' | 'signal'>;

export async function sketchPath(
  path: string,
  { kernels = 'wasm', signal }: DescribeOptions,
): Promise<Sketch> {
  const checkpoint = await openCheckpoint(path);
  try {
    return await sketchCheckpoint(checkpoint, nodeRuntime(kernels), { signal });
  } finally {
    await checkpoint.close();
  }
}

/** SHA-256 of each weight file, by its path in the checkpoint. */
export async function digestFiles(
  path: string,
  { signal }: DescribeOptions,
): Promise<ReadonlyMap<string, Digest>> {
  const checkpoint = await openCheckpoint(path);
  try {
    const digests = new Map<string, Digest>();
    for (const [number, file] of checkpoint.files.entries()) {
      digests.set(file.path, await digestFile(checkpoint, number, file, signal));
    }
    return digests;
  } finally {
    await checkpoint.close();
  }
}

/** Bytes hashed at a time. */
const PIECE_BYTE_LENGTH = 4 << 20;

/** A weight file is its header and the tensors behind it, without holes. */
async function digestFile(
  checkpoint: Checkpoint,
  number: number,
  { header }: WeightFile,
  signal: AbortSignal | undefined,
): Promise<Digest> {
  const hash = createNodeHasher();
  hash.update(header);
  const inFile = [...checkpoint.tensors.values()].filter(({ file }) => file === number);
  for (const { name, byteLength } of inFile.sort((x, y) => x.byteOffset - y.byteOffset)) {
    for (let offset = 0; offset < byteLength; offset += PIECE_BYTE_LENGTH) {
      throwIfAborted(signal);
      hash.update(await checkpoint.read(name, offset, Math.min(PIECE_BYTE_LENGTH, byteLength - offset)));
    }
  }
  return hash.digest();
}

/** What a version's manifest says of a checkpoint on disk: samples of its weights, and digests of its files. */
import { readPieces } from '../../formats/byte-source.js';
import type { Checkpoint, TensorInfo } from '../../formats/checkpoint.js';
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
    return await digestCheckpoint(checkpoint, { signal });
  } finally {
    await checkpoint.close();
  }
}

/**
 * SHA-256 of each weight file, by its path; of each tensor as well, for `onTensor`. Every byte is read once: a weight file
 * is its header and the tensors behind it, without holes, and a checkpoint has its tensors in that order.
 */
export async function digestCheckpoint(
  checkpoint: Checkpoint,
  {
    signal,
    onTensor,
  }: {
    readonly signal?: AbortSignal | undefined;
    readonly onTensor?: (tensor: TensorInfo, digest: Digest) => void;
  },
): Promise<ReadonlyMap<string, Digest>> {
  const ofFiles = checkpoint.files.map(({ header }) => {
    const hash = createNodeHasher();
    hash.update(header);
    return hash;
  });
  for (const tensor of checkpoint.tensors.values()) {
    const ofFile = ofFiles[tensor.file]!;
    const ofTensor = onTensor && createNodeHasher();
    const read = (offset: number, length: number) => checkpoint.read(tensor.name, offset, length);
    for await (const bytes of readPieces(read, tensor.byteLength)) {
      throwIfAborted(signal);
      ofFile.update(bytes);
      ofTensor?.update(bytes);
    }
    if (ofTensor !== undefined) onTensor!(tensor, ofTensor.digest());
  }
  return new Map(checkpoint.files.map(({ path }, i) => [path, ofFiles[i]!.digest()]));
}

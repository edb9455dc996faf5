/** SHA-256 of one tensor's bytes, read in pieces. */
import { readPieces } from '../../formats/byte-source.js';
import type { Checkpoint, TensorInfo } from '../../formats/checkpoint.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import type { ReadTensor, Runtime } from './runtime.js';

export async function digestTensor(
  checkpoint: Checkpoint,
  tensor: TensorInfo,
  runtime: Pick<Runtime, 'createHasher'>,
): Promise<Digest> {
  return digestRange(
    (offset, length) => checkpoint.read(tensor.name, offset, length),
    tensor.byteLength,
    runtime,
  );
}

/** SHA-256 of the first `byteLength` bytes that `read` gives. */
export async function digestRange(
  read: ReadTensor,
  byteLength: number,
  runtime: Pick<Runtime, 'createHasher'>,
): Promise<Digest> {
  const hash = runtime.createHasher();
  for await (const bytes of readPieces(read, byteLength)) hash.update(bytes);
  return hash.digest();
}

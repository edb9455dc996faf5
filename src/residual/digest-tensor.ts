/** SHA-256 of one tensor's bytes, read in pieces. */
import type { Checkpoint, TensorInfo } from '../../formats/checkpoint.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import type { ReadTensor, Runtime } from './runtime.js';

/** Bytes hashed at a time. */
const PIECE_BYTE_LENGTH = 4 << 20;

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
  for (let offset = 0; offset < byteLength; offset += PIECE_BYTE_LENGTH) {
    hash.update(await read(offset, Math.min(PIECE_BYTE_LENGTH, byteLength - offset)));
  }
  return hash.digest();
}

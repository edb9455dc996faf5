/**
 * Rebuilds one tensor piece by piece. Every byte of the base tensor is hashed on the way, as is every byte
 * that is given out.
 */
import { tensorByteLength } from '../../formats/dtype.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import { HashedReader } from './hashed-reader.js';
import type { Runtime } from './runtime.js';
import { type TensorPiecesInput, tensorPieces } from './tensor-pieces.js';

export interface DecodeTensorInput extends TensorPiecesInput {
  /** Receives the decoded bytes in order; must not keep `bytes`. */
  readonly write: (byteOffset: number, bytes: Uint8Array) => void | Promise<void>;
  readonly runtime: Runtime;
  /** Hash the base as well; default true. */
  readonly hashBase?: boolean;
}

export interface DecodedDigests {
  readonly decoded: Digest;
  /** Absent without a base, or where it is not hashed. */
  readonly base?: Digest;
}

/** @throws CodecError, UnsupportedError; digests are the caller's to compare. */
export async function decodeTensor(input: DecodeTensorInput): Promise<DecodedDigests> {
  const { tensor, readBase, runtime, write, hashBase = true } = input;
  const hash = runtime.createHasher();
  const base =
    readBase === undefined || !hashBase ? undefined : new HashedReader(readBase, runtime.createHasher());
  const hashing = base === undefined ? {} : { readBase: base.read };
  for await (const { byteOffset, bytes } of tensorPieces({ ...input, ...hashing })) {
    hash.update(bytes);
    await write(byteOffset, bytes);
  }
  if (base === undefined) return { decoded: hash.digest() };
  const baseByteLength = tensorByteLength(
    tensor.base?.dtype ?? tensor.dtype,
    tensor.base?.shape ?? tensor.shape,
  );
  return { decoded: hash.digest(), base: await base.finish(baseByteLength ?? 0) };
}

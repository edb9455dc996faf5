/**
 * Rebuilds one tensor piece by piece. Every byte of the base tensor is hashed on the way, as is every byte
 * that is given out.
 */
import { tensorByteLength } from '../../formats/dtype.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import { PIECE_BYTE_LENGTH } from '../codecs/codec.js';
import type { Hasher, ReadTensor, Runtime } from './runtime.js';
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

/** Reads in ascending order, and hashes every byte: those that nobody asks for as well. */
class HashedReader {
  readonly #read: ReadTensor;
  readonly #hash: Hasher;
  /** Everything before it is hashed. */
  #position = 0;

  constructor(read: ReadTensor, hash: Hasher) {
    this.#read = read;
    this.#hash = hash;
  }

  readonly read: ReadTensor = async (byteOffset, byteLength) => {
    await this.#skipTo(byteOffset);
    const bytes = await this.#read(byteOffset, byteLength);
    this.#hash.update(bytes);
    this.#position += byteLength;
    return bytes;
  };

  async finish(byteLength: number): Promise<Digest> {
    await this.#skipTo(byteLength);
    return this.#hash.digest();
  }

  async #skipTo(end: number): Promise<void> {
    while (this.#position < end) {
      const length = Math.min(PIECE_BYTE_LENGTH, end - this.#position);
      this.#hash.update(await this.#read(this.#position, length));
      this.#position += length;
    }
  }
}

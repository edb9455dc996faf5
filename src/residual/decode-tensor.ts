/**
 * Rebuilds one tensor block by block. Every byte of the base tensor is hashed on the way, as is every
 * byte that is given out.
 */
import type { Digest } from '../../formats/ere/archive-index.js';
import { blockRows, type ReadTensor, type Runtime } from './runtime.js';
import { openTensorDecoder, type TensorDecoder, type TensorDecoderInput } from './tensor-decoder.js';

export interface DecodeTensorInput extends TensorDecoderInput {
  /** Absent for added tensors. */
  readonly readBase?: ReadTensor;
  /** Receives the decoded bytes in order; must not keep `bytes`. */
  readonly write: (byteOffset: number, bytes: Uint8Array) => void | Promise<void>;
  readonly runtime: Runtime;
}

export interface DecodedDigests {
  readonly decoded: Digest;
  /** Absent without a base. */
  readonly base?: Digest;
}

/** @throws CodecError, UnsupportedError; digests are the caller's to compare. */
export async function decodeTensor(input: DecodeTensorInput): Promise<DecodedDigests> {
  const { readBase, runtime, write } = input;
  const decodedHash = runtime.createHasher();
  const baseHash = readBase === undefined ? undefined : runtime.createHasher();
  const decoder = await openTensorDecoder(input);
  try {
    const step = blockRows(decoder.columns);
    for (let start = 0; start < decoder.rowCount; start += step) {
      const end = Math.min(decoder.rowCount, start + step);
      const base = await readBaseRows(decoder, readBase, start, end);
      baseHash?.update(base);
      const block = await decoder.decodeRows(start, end, base);
      decodedHash.update(block);
      await write(start * decoder.rowByteLength, block);
    }
    if (readBase !== undefined && baseHash !== undefined) await hashRest(readBase, baseHash, decoder);
  } finally {
    decoder.close();
  }
  return { decoded: decodedHash.digest(), ...(baseHash === undefined ? {} : { base: baseHash.digest() }) };
}

/** The base's bytes of those of rows [start, end) that it has. */
export async function readBaseRows(
  { base }: TensorDecoder,
  readBase: ReadTensor | undefined,
  start: number,
  end: number,
): Promise<Uint8Array> {
  const count = Math.min(end, base.rowCount) - start;
  if (readBase === undefined || count <= 0) return new Uint8Array(0);
  return readBase(start * base.rowByteLength, count * base.rowByteLength);
}

/** Base bytes behind the rows that were used: they belong to the digest all the same. */
async function hashRest(
  readBase: ReadTensor,
  hash: { update(bytes: Uint8Array): void },
  { rowCount, base }: TensorDecoder,
): Promise<void> {
  const piece = 4 << 20;
  const used = Math.min(rowCount, base.rowCount) * base.rowByteLength;
  for (let offset = used; offset < base.byteLength; offset += piece) {
    hash.update(await readBase(offset, Math.min(piece, base.byteLength - offset)));
  }
}

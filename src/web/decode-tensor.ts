/** Rebuilds one tensor whole, and gives it out only when its digest is right. */
import type { Checkpoint } from '../../formats/checkpoint.js';
import { tensorByteLength } from '../../formats/dtype.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import { formatDigest, webSha256 } from '../../formats/ere/digest.js';
import type { Archive } from '../../formats/ere/open-archive.js';
import { IntegrityError, UnsupportedError } from '../../formats/errors.js';
import { throwIfAborted } from '../io/abort.js';
import type { DecodeKernels } from '../kernels/kernels.js';
import type { DecodedTensor } from '../residual/api.js';
import { assertBaseDigest, baseTensorOf } from '../residual/archive-base.js';
import { type Selection, selectTensor } from '../residual/select-tensors.js';
import { openTensorDecoder } from '../residual/tensor-decoder.js';

export interface TensorSources {
  readonly archive: Archive;
  readonly base: Checkpoint;
  readonly kernels: DecodeKernels;
  readonly selection: Selection;
}

/** Bytes of the base that are read at a time where they are only hashed. */
const PIECE_BYTE_LENGTH = 4 << 20;

/**
 * Decodes tensor number `index`. Memory: the tensor, and a block of 4 MB or less of the base; when the digest is
 * wrong, or there is none to check, the base tensor is read whole to be hashed.
 * @throws CheckpointMismatchError for another base; IntegrityError for other bytes than the archive promises;
 *   CodecError, FormatError for a malformed archive; EreError 'ERE_ABORTED'; errors of the sources
 */
export async function decodeWholeTensor(
  sources: TensorSources,
  index: number,
  signal?: AbortSignal,
): Promise<DecodedTensor> {
  const { archive, base, kernels, selection } = sources;
  const { tensor, digest } = selectTensor(archive, index, selection);
  const { name, dtype, shape } = tensor;
  const baseTensor = baseTensorOf(base, tensor);
  const decoder = await openTensorDecoder({
    tensor,
    archive: archive.source.name,
    readChunk: (chunk) => archive.readChunk(chunk),
    hasBase: baseTensor !== undefined,
    runtime: { kernels },
  });
  const bytes = new Uint8Array(tensorByteLength(dtype, shape)!);
  try {
    for (const block of decoder.blocks) {
      throwIfAborted(signal);
      const { byteOffset, byteLength, baseOffset, baseLength } = block;
      const room = bytes.subarray(byteOffset, byteOffset + byteLength);
      const read =
        baseLength === 0 ? new Uint8Array(0) : await base.read(baseTensor!.name, baseOffset, baseLength);
      const rows = await decoder.decode(block, read, room);
      if (rows.bytes !== room) room.set(rows.bytes);
    }
  } finally {
    decoder.close();
  }
  const found = digest === undefined ? undefined : await sha256(bytes);
  if (found !== digest || digest === undefined) {
    if (baseTensor !== undefined) {
      assertBaseDigest(archive.index, base, tensor, await digestBase(base, baseTensor.name, signal));
    }
    if (found !== undefined) {
      const subject = `${archive.source.name}, tensor "${name}" as decoded`;
      throw new IntegrityError(subject, digest!, found, 'the archive is damaged, or this build is');
    }
  }
  return { name, dtype, shape, bytes };
}

/** The Web Crypto API hashes at once only. */
async function digestBase(base: Checkpoint, name: string, signal: AbortSignal | undefined): Promise<Digest> {
  const { byteLength } = base.tensors.get(name)!;
  const bytes = new Uint8Array(byteLength);
  for (let offset = 0; offset < byteLength; offset += PIECE_BYTE_LENGTH) {
    throwIfAborted(signal);
    bytes.set(await base.read(name, offset, Math.min(PIECE_BYTE_LENGTH, byteLength - offset)), offset);
  }
  return sha256(bytes);
}

async function sha256(bytes: Uint8Array): Promise<Digest> {
  return formatDigest(await webSha256(bytes));
}

/** @throws UnsupportedError where digests cannot be checked */
export function assertWebCrypto(): void {
  if (globalThis.crypto?.subtle !== undefined) return;
  throw new UnsupportedError(
    'the Web Crypto API',
    'digests are checked by the Web Crypto API, which pages have in a secure context only: over https:, or from localhost',
  );
}

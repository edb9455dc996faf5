/** Decodes one tensor of an open archive, and gives nothing for good that its digests do not confirm. */
import type { Checkpoint } from '../../formats/checkpoint.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import type { Archive } from '../../formats/ere/open-archive.js';
import { IntegrityError } from '../../formats/errors.js';
import { assertBaseDigest, baseTensorOf } from './archive-base.js';
import { type BlockRooms, type DecodeTensorInput, decodeTensor } from './decode-tensor.js';
import type { Runtime } from './runtime.js';
import { type Selection, selectTensor, selectUsable } from './select-tensors.js';

/** What tensors are decoded from. */
export interface DecodeSources {
  readonly archive: Archive;
  readonly base: Checkpoint;
  readonly runtime: Runtime;
  /** How much of the archive; default: all of it. */
  readonly selection?: Selection;
  /** Memory for blocks, used again from tensor to tensor; default: new memory. */
  readonly rooms?: BlockRooms;
}

/**
 * Decodes tensor number `index` into `write`, and checks it where the archive has a digest of what the selection
 * reaches. What was written is not to be used when this throws.
 * @returns the digest of the decoded bytes
 * @throws CheckpointMismatchError for another base; IntegrityError when the decoded bytes are not those
 * the archive promises; CodecError, FormatError for a malformed archive
 */
export async function decodeVerified(
  { archive, base, runtime, selection = selectUsable(archive, 'best'), rooms }: DecodeSources,
  index: number,
  write: DecodeTensorInput['write'],
): Promise<Digest> {
  const { tensor, digest } = selectTensor(archive, index, selection);
  const baseTensor = baseTensorOf(base, tensor);
  const digests = await decodeTensor({
    tensor,
    archive: archive.source.name,
    readChunk: (chunk) => archive.readChunk(chunk),
    ...(baseTensor === undefined
      ? {}
      : { readBase: (offset, length, room) => base.read(baseTensor.name, offset, length, room) }),
    write,
    ...(rooms === undefined ? {} : { rooms }),
    runtime,
  });
  if (digests.base !== undefined) assertBaseDigest(archive.index, base, tensor, digests.base);
  if (digest !== undefined && digests.decoded !== digest) {
    const subject = `${archive.source.name}, tensor "${tensor.name}" as decoded`;
    throw new IntegrityError(subject, digest, digests.decoded, 'the archive is damaged, or this build is');
  }
  return digests.decoded;
}

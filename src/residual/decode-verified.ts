/** Decodes one tensor of an open archive, and gives nothing for good that its digests do not confirm. */
import type { Checkpoint } from '../../formats/checkpoint.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import type { Archive } from '../../formats/ere/open-archive.js';
import { baseTensorOf } from './archive-base.js';
import { assertDigests } from './assert-digests.js';
import { ChunkRooms } from './chunk-rooms.js';
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
  /**
   * Check the digest of the base even where that of the result proves it; default false. A result with the right
   * digest is right whatever it came from.
   */
  readonly checkBase?: boolean;
  /** Elements of a block at most; default: as `blockRows`. */
  readonly blockElements?: number;
  /** Memory for blocks, used again from tensor to tensor; default: new memory. */
  readonly rooms?: BlockRooms;
  /** Memory for chunks, likewise. */
  readonly chunkRooms?: ChunkRooms;
}

/**
 * Decodes tensor number `index` into `write`, and checks it where the archive has a digest of what the selection
 * reaches. What was written is not to be used when this throws.
 * @returns the digest of the decoded bytes
 * @throws CheckpointMismatchError for another base; IntegrityError when the decoded bytes are not those
 * the archive promises; CodecError, FormatError for a malformed archive
 */
export async function decodeVerified(
  sources: DecodeSources,
  index: number,
  write: DecodeTensorInput['write'],
): Promise<Digest> {
  const { archive, base, runtime, selection = selectUsable(archive, 'best'), blockElements, rooms } = sources;
  const { chunkRooms = new ChunkRooms(archive), checkBase = false } = sources;
  const { tensor, digest } = selectTensor(archive, index, selection);
  const baseTensor = baseTensorOf(base, tensor);
  const digests = await decodeTensor({
    tensor,
    archive: archive.source.name,
    readChunk: chunkRooms.read,
    releaseChunk: chunkRooms.release,
    ...(baseTensor === undefined
      ? {}
      : { readBase: (offset, length, room) => base.read(baseTensor.name, offset, length, room) }),
    write,
    ...(blockElements === undefined ? {} : { blockElements }),
    ...(rooms === undefined ? {} : { rooms }),
    hashBase: checkBase || digest === undefined,
    runtime,
  });
  await assertDigests({ archive, base, selection }, index, digests);
  return digests.decoded;
}

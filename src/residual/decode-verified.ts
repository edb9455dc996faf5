/** Decodes one tensor of an open archive, and gives nothing for good that its digests do not confirm. */
import type { Checkpoint } from '../../formats/checkpoint.js';
import type { Archive } from '../../formats/ere/open-archive.js';
import { IntegrityError } from '../../formats/errors.js';
import { assertBaseDigest, baseTensorOf } from './archive-base.js';
import { type DecodeTensorInput, decodeTensor } from './decode-tensor.js';
import type { Runtime } from './runtime.js';

/** What tensors are decoded from. */
export interface DecodeSources {
  readonly archive: Archive;
  readonly base: Checkpoint;
  readonly runtime: Runtime;
}

/**
 * Decodes tensor number `index` into `write`. What was written is not to be used when this throws.
 * @throws CheckpointMismatchError for another base; IntegrityError when the decoded bytes are not those
 * the archive promises; CodecError, FormatError for a malformed archive
 */
export async function decodeVerified(
  { archive, base, runtime }: DecodeSources,
  index: number,
  write: DecodeTensorInput['write'],
): Promise<void> {
  const tensor = archive.index.tensors[index]!;
  const baseTensor = baseTensorOf(base, tensor);
  const digests = await decodeTensor({
    tensor,
    archive: archive.source.name,
    readChunk: (chunk) => archive.readChunk(chunk),
    ...(baseTensor === undefined
      ? {}
      : { readBase: (offset, length) => base.read(baseTensor.name, offset, length) }),
    write,
    runtime,
  });
  if (digests.base !== undefined) assertBaseDigest(archive.index, base, tensor, digests.base);
  if (digests.decoded !== tensor.digest) {
    const subject = `${archive.source.name}, tensor "${tensor.name}" as decoded`;
    throw new IntegrityError(
      subject,
      tensor.digest,
      digests.decoded,
      'the archive is damaged, or this build is',
    );
  }
}

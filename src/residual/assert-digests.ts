/** The digests of a decoded tensor and its base, held against those that the archive promises. */
import type { Checkpoint } from '../../formats/checkpoint.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import type { Archive } from '../../formats/ere/open-archive.js';
import { IntegrityError } from '../../formats/errors.js';
import { createNodeHasher } from '../io/node-hasher.js';
import { assertBaseDigest, baseTensorOf } from './archive-base.js';
import { digestTensor } from './digest-tensor.js';
import { type Selection, selectTensor } from './select-tensors.js';

export interface DecodedDigests {
  readonly decoded: Digest;
  /** Absent without a base, or where it is not hashed. */
  readonly base?: Digest;
}

export interface DigestSources {
  readonly archive: Archive;
  readonly base: Checkpoint;
  /** How much of the archive was decoded. */
  readonly selection: Selection;
}

/**
 * Compares the digests found of tensor `index` with those promised. Where the result is another, and the base was
 * not hashed, it is now: that tells whether base or archive is to blame.
 * @throws CheckpointMismatchError, IntegrityError
 */
export async function assertDigests(
  { archive, base, selection }: DigestSources,
  index: number,
  found: DecodedDigests,
): Promise<void> {
  const { tensor, digest } = selectTensor(archive, index, selection);
  const isRight = digest === undefined || found.decoded === digest;
  const baseTensor = baseTensorOf(base, tensor);
  if (found.base !== undefined) {
    assertBaseDigest(archive.index, base, tensor, found.base);
  } else if (!isRight && baseTensor !== undefined) {
    assertBaseDigest(
      archive.index,
      base,
      tensor,
      await digestTensor(base, baseTensor, { createHasher: createNodeHasher }),
    );
  }
  if (isRight) return;
  const subject = `${archive.source.name}, tensor "${tensor.name}" as decoded`;
  throw new IntegrityError(subject, digest, found.decoded, 'the archive is damaged, or this build is');
}

/** The small files of a model that was encoded: what the archive carries, and what it takes from its base. */
import type { Checkpoint } from '../../formats/checkpoint.js';
import type { ArchiveSideFile } from '../../formats/ere/archive-index.js';
import type { Archive } from '../../formats/ere/open-archive.js';
import { IntegrityError, NotFoundError } from '../../formats/errors.js';
import { digestOf } from '../io/node-hasher.js';
import { describeBase } from './archive-base.js';

/** A carried side file, or the base's of the same path; checked against its digest either way. */
export async function readSideFile(
  { archive, base }: { readonly archive: Archive; readonly base: Checkpoint },
  file: ArchiveSideFile,
): Promise<Uint8Array> {
  const shared = base.sideFiles.find((candidate) => candidate.path === file.path);
  if (file.content === undefined && shared === undefined) {
    throw new NotFoundError(
      `${base.location} has no ${file.path}, which the archive takes from its base ${describeBase(archive.index)}; ` +
        'give the whole base folder, or leave side files out',
    );
  }
  const bytes = file.content === undefined ? await shared!.read() : await archive.readBlob(file.content);
  const digest = digestOf(bytes);
  if (digest !== file.digest) {
    const subject = `${file.content === undefined ? base.location : archive.source.name}, side file ${file.path}`;
    throw new IntegrityError(subject, file.digest, digest);
  }
  return bytes;
}

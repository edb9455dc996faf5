/** What an archive says it decodes to, held against the tensors that it lists. */
import { decodedIdentities } from '../../formats/ere/levels.js';
import type { Archive } from '../../formats/ere/open-archive.js';
import { IntegrityError } from '../../formats/errors.js';

/** @throws IntegrityError when the archive's identities are not those of the tensors it lists */
export async function assertIdentity({ index, source }: Archive): Promise<void> {
  const { digest, lossyDigest } = index.decoded;
  const found = await decodedIdentities(index.tensors);
  const subject = `${source.name}, identity of the decoded checkpoint`;
  if (found.digest !== digest) throw new IntegrityError(subject, digest, found.digest);
  if (lossyDigest !== undefined && found.lossyDigest !== lossyDigest)
    throw new IntegrityError(`${subject}, lossy`, lossyDigest, `${found.lossyDigest}`);
}

/**
 * Identity of a checkpoint (docs/spec/archive.md §6): one digest over the names, dtypes, shapes and digests
 * of its tensors. It does not depend on shards, on the order of tensors or on metadata, so a re-sharded
 * model keeps its identity.
 */
import { compareCodePoints } from '../compare-code-points.js';
import type { Dtype } from '../dtype.js';
import type { Digest } from './archive-index.js';
import { formatDigest, isDigest, type Sha256, webSha256 } from './digest.js';

export interface IdentifiedTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** SHA-256 of the tensor's bytes. */
  readonly digest: Digest;
}

/**
 * SHA-256 over one line per tensor, sorted by name in code-point order:
 * `name TAB dtype TAB shape TAB digest LF`, the name as a JSON string, the shape joined by commas.
 * @param sha256 default: the Web Crypto API.
 * @throws RangeError when a name occurs twice or a digest is malformed.
 */
export async function checkpointIdentity(
  tensors: Iterable<IdentifiedTensor>,
  sha256: Sha256 = webSha256,
): Promise<Digest> {
  return formatDigest(await sha256(new TextEncoder().encode(identityText(tensors))));
}

/** The text that {@link checkpointIdentity} hashes. */
export function identityText(tensors: Iterable<IdentifiedTensor>): string {
  const sorted = [...tensors].sort((left, right) => compareCodePoints(left.name, right.name));
  const lines: string[] = [];
  sorted.forEach(({ name, dtype, shape, digest }, i) => {
    if (i > 0 && sorted[i - 1].name === name) {
      throw new RangeError(`expected unique tensor names, got ${JSON.stringify(name)} twice`);
    }
    if (!isDigest(digest))
      throw new RangeError(`expected a digest of tensor ${JSON.stringify(name)}, got ${digest}`);
    // JSON leaves no tab or line feed in the name, so no two sets of tensors give the same text.
    lines.push(`${JSON.stringify(name)}\t${dtype}\t${shape.join(',')}\t${digest}\n`);
  });
  return lines.join('');
}

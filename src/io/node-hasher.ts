/** SHA-256 from node:crypto. */
import { createHash } from 'node:crypto';
import type { Digest } from '../../formats/ere/archive-index.js';
import type { Hasher } from '../residual/runtime.js';

export function createNodeHasher(): Hasher {
  const hash = createHash('sha256');
  return {
    update: (bytes) => void hash.update(bytes),
    digest: () => `sha256:${hash.digest('hex')}`,
  };
}

/** SHA-256 of bytes in memory. */
export function digestOf(bytes: Uint8Array): Digest {
  const hash = createNodeHasher();
  hash.update(bytes);
  return hash.digest();
}

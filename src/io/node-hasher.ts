/** SHA-256 from node:crypto. */
import { createHash } from 'node:crypto';
import type { Hasher } from '../residual/runtime.js';

export function createNodeHasher(): Hasher {
  const hash = createHash('sha256');
  return {
    update: (bytes) => void hash.update(bytes),
    digest: () => `sha256:${hash.digest('hex')}`,
  };
}

/** The surroundings of encode and decode in Node: kernels and SHA-256 from node:crypto. */
import { createHash } from 'node:crypto';
import type { KernelPath } from '../kernels/kernels.js';
import { loadKernels } from '../kernels/load-kernels.js';
import type { Hasher, Runtime } from '../residual/runtime.js';

export function createNodeHasher(): Hasher {
  const hash = createHash('sha256');
  return {
    update: (bytes) => void hash.update(bytes),
    digest: () => `sha256:${hash.digest('hex')}`,
  };
}

export function nodeRuntime(kernels: KernelPath): Runtime {
  return { kernels: loadKernels(kernels), createHasher: createNodeHasher };
}

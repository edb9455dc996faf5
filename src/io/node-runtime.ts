/** The surroundings of encode and decode in Node. */
import type { KernelPath } from '../kernels/kernels.js';
import { loadKernels } from '../kernels/load-kernels.js';
import type { Runtime } from '../residual/runtime.js';
import { createNodeHasher } from './node-hasher.js';

export function nodeRuntime(kernels: KernelPath): Runtime {
  return { kernels: loadKernels(kernels), createHasher: createNodeHasher };
}

/** The one way to get kernels. Runs in Node, workers and browsers. */
import type { KernelPath, Kernels } from './kernels.js';
import { scalarKernels } from './scalar/scalar-kernels.js';
import { wasmKernels } from './wasm/wasm-kernels.js';

const loaded = new Map<KernelPath, Kernels>();

/**
 * The kernels of one path: 'wasm' (default; needs WebAssembly SIMD) or 'scalar'. Both give the same
 * bytes. One instance a thread, made on first use; calls are synchronous, so callers can share it.
 */
export function loadKernels(path: KernelPath = 'wasm'): Kernels {
  let kernels = loaded.get(path);
  if (kernels === undefined) {
    kernels = path === 'scalar' ? scalarKernels() : wasmKernels();
    loaded.set(path, kernels);
  }
  return kernels;
}

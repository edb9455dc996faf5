/** The module of all kernels. */
import { KERNELS_WASM } from '../generated/kernels-wasm.js';
import type { KernelExports } from './kernel-exports.js';

let compiled: WebAssembly.Module | undefined;

/** An instance over `memory`. Compiles on first use, synchronously: the module is about 100 KB. */
export function instantiateKernels(memory: WebAssembly.Memory): KernelExports {
  compiled ??= new WebAssembly.Module(Uint8Array.from(atob(KERNELS_WASM), (char) => char.charCodeAt(0)));
  const instance = new WebAssembly.Instance(compiled, { env: { memory } });
  return instance.exports as unknown as KernelExports;
}

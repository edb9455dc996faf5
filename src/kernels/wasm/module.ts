/** The module of all kernels. */
import { KERNELS_WASM } from '../generated/kernels-wasm.js';
import type { KernelExports } from './kernel-exports.js';

let compiled: WebAssembly.Module | undefined;

/** An instance over `memory`. Compiles on first use, synchronously: the module is about 100 KB. */
export function instantiateKernels(memory: WebAssembly.Memory): KernelExports {
  compiled ??= new WebAssembly.Module(bytesOf(KERNELS_WASM));
  const instance = new WebAssembly.Instance(compiled, { env: { memory } });
  return instance.exports as unknown as KernelExports;
}

/** Of base64. Node's own way takes a fiftieth of the time, which every start waits for. */
function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  if (typeof Buffer !== 'undefined') return new Uint8Array(Buffer.from(text, 'base64'));
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

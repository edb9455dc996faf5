/** The kernels of a page: those that decoding calls. */
import { inflateRaw } from '../../formats/deflate.js';
import { UnsupportedError } from '../../formats/errors.js';
import { DECODE_KERNELS_WASM } from '../kernels/generated/decode-kernels-wasm.js';
import type { DecodeKernels } from '../kernels/kernels.js';
import { Arena } from '../kernels/wasm/arena.js';
import { CoderPool } from '../kernels/wasm/coder-memory.js';
import { wasmDecodeKernels } from '../kernels/wasm/decode-kernels.js';
import type { KernelExports } from '../kernels/wasm/kernel-exports.js';

let loaded: Promise<DecodeKernels> | undefined;

/**
 * One set of kernels a thread. Compiled off the main thread where the browser does so.
 * @throws UnsupportedError where there is no WebAssembly with SIMD, or the page's policy forbids it
 */
export function loadDecodeKernels(): Promise<DecodeKernels> {
  loaded ??= compile();
  return loaded;
}

async function compile(): Promise<DecodeKernels> {
  try {
    const { byteLength, deflated } = DECODE_KERNELS_WASM;
    const stored = Uint8Array.from(atob(deflated), (char) => char.charCodeAt(0));
    const bytes = await inflateRaw(stored, byteLength, { format: 'wasm', file: 'ere/web', part: 'kernels' });
    const module = await WebAssembly.compile(bytes as Uint8Array<ArrayBuffer>);
    const instantiate = (memory: WebAssembly.Memory) =>
      new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as KernelExports;
    return wasmDecodeKernels(new Arena(instantiate), new CoderPool(instantiate));
  } catch (cause) {
    const message =
      "decoding needs WebAssembly with SIMD, and a content security policy with 'wasm-unsafe-eval'";
    throw new UnsupportedError('WebAssembly', `${message}: ${(cause as Error).message}`, { cause });
  }
}

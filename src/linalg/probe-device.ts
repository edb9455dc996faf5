/** What a device must have before it is used. */
import type { GemmEngine } from './gemm-engine.js';
import { createMatrix } from './matrix.js';

/** The Vulkan loader, which WebGPU needs on Linux. */
const VULKAN_LIBRARY = 'libvulkan.so.1';

/**
 * @throws Error when the Vulkan loader is missing. WebGPU says so itself, but on stderr, past every caller.
 */
export function assertVulkan(library = VULKAN_LIBRARY, platform: NodeJS.Platform = process.platform): void {
  if (platform !== 'linux') return;
  try {
    process.dlopen({ exports: {} }, library);
  } catch (error) {
    // A library that does load is no addon, and Node says that it did not register as one.
    const message = error instanceof Error ? error.message : '';
    if (!message.includes('did not self-register')) {
      throw new Error(`the Vulkan loader ${library} is not there`, { cause: error });
    }
  }
}

/** Large enough that a GPU takes its fastest way of multiplying, small enough to cost nothing. */
const PROBE_SIZE = 256;

/**
 * @throws Error when products are not those of float32 operands: GPUs have faster units that cut operands to 11 bits,
 *   and the bits of a merged LoRA are found in what such products lose.
 */
export async function assertFloat32Products(engine: GemmEngine): Promise<void> {
  const n = PROBE_SIZE;
  const a = createMatrix(n, n);
  const b = createMatrix(n, n);
  for (let i = 0; i < n; i++) {
    a.data[i * n + i] = 1 + 2 ** -20; // lost with 11 bits, and with the 16 of three bfloat16 parts
    b.data[i * n + ((i + 1) % n)] = 1;
  }
  const { data } = await engine.multiply(a, b);
  const isExact = data.every(
    (value, at) => value === (at % n === (Math.floor(at / n) + 1) % n ? 1 + 2 ** -20 : 0),
  );
  if (!isExact) throw new Error('its products are not those of float32');
}

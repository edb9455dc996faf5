/** Where the encoder's matrix products may run. Decoding is integer arithmetic on the CPU, whatever encoded. */

/** 'cpu', or an execution provider of onnxruntime for GPUs. */
export const DEVICES = ['cpu', 'webgpu', 'cuda'] as const;
export type Device = (typeof DEVICES)[number];

/** @throws TypeError for another device, or for one beside GEMM without onnxruntime */
export function assertDevice(options: { readonly device?: Device; readonly gemm?: 'auto' | 'wasm' }): void {
  const { device = 'cpu', gemm = 'auto' } = options;
  if (!DEVICES.includes(device)) {
    throw new TypeError(`expected a device of ${DEVICES.join(', ')}, got ${String(device)}`);
  }
  if (device !== 'cpu' && gemm === 'wasm') {
    throw new TypeError(`expected gemm 'auto' with device '${device}', got 'wasm'`);
  }
}

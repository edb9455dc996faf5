/** Why onnxruntime-node, or one of its devices, does not work here: in words, on one line. */
import type { Device } from './devices.js';

/** The first line of an error's message; those of native code may have more. */
export function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]!.trim();
}

/** Why the package could not be used at all. */
export function describeLoadFailure(cause: unknown): string {
  if (isAbsent(cause)) return 'the optional package onnxruntime-node is not installed';
  return `onnxruntime-node is installed, but its native part does not load here (${firstLine(cause)})`;
}

/** Why a device could not be opened. */
export function describeDeviceFailure(device: Device, cause: unknown): string {
  if (isAbsent(cause)) return describeLoadFailure(cause);
  // Failed checks of the runtime come with the place in its source and the condition: what counts stands behind.
  const message = firstLine(cause).replace(/^.* was (?:true|false)\. /, '');
  if (device !== 'cuda' || !message.includes('Failed to load shared library')) return message;
  return (
    "the CUDA provider of onnxruntime-node, or a library it needs, is missing (the package's install script fetches " +
    'the provider with --onnxruntime-node-install=cuda12; it needs CUDA 12 and cuDNN 9)'
  );
}

/** Node reports an absent package and a native part that does not load with different codes. */
function isAbsent(cause: unknown): boolean {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const isModule = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
  return isModule && firstLine(cause).includes("'onnxruntime-node'");
}

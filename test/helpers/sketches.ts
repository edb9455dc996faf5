/** Sketches of tensors in memory, and of checkpoints on disk. */
import type { Checkpoint, TensorInfo } from '../../formats/checkpoint.js';
import type { Sketch } from '../../formats/sketch/sketch.js';
import { nodeRuntime } from '../../src/io/node-runtime.js';
import { openCheckpoint } from '../../src/io/open-checkpoint.js';
import { type SketchOptions, sketchCheckpoint } from '../../src/sketch/sketch-checkpoint.js';
import type { TensorToWrite } from './safetensors-bytes.js';

export interface MemoryCheckpoint extends Checkpoint {
  /** Bytes that were read so far, and in how many reads. */
  readonly reads: { count: number; byteLength: number };
}

export function memoryCheckpoint(tensors: readonly TensorToWrite[]): MemoryCheckpoint {
  const bytes = new Map(tensors.map(({ name, data }) => [name, data ?? new Uint8Array(0)]));
  const infos = tensors.map(
    ({ name, dtype, shape }) =>
      [
        name,
        { name, dtype, shape, byteLength: bytes.get(name)!.byteLength, file: 0, byteOffset: 0 } as TensorInfo,
      ] as const,
  );
  const reads = { count: 0, byteLength: 0 };
  return {
    location: 'memory',
    files: [],
    tensors: new Map(infos),
    sideFiles: [],
    skippedFiles: [],
    reads,
    read: async (name, byteOffset = 0, byteLength = bytes.get(name)!.byteLength - byteOffset) => {
      reads.count++;
      reads.byteLength += byteLength;
      return bytes.get(name)!.slice(byteOffset, byteOffset + byteLength);
    },
    close: async () => {},
  };
}

export function sketchOf(tensors: readonly TensorToWrite[], options?: SketchOptions): Promise<Sketch> {
  return sketchCheckpoint(memoryCheckpoint(tensors), nodeRuntime('scalar'), options);
}

export async function sketchPath(path: string): Promise<Sketch> {
  const checkpoint = await openCheckpoint(path);
  try {
    return await sketchCheckpoint(checkpoint, nodeRuntime('wasm'));
  } finally {
    await checkpoint.close();
  }
}

/** The sketch of a checkpoint on disk. */

import type { Sketch } from '../../formats/sketch/sketch.js';
import { nodeRuntime } from '../io/node-runtime.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import { sketchCheckpoint } from '../sketch/sketch-checkpoint.js';
import type { CommitOptions } from './api.js';

export async function sketchPath(
  path: string,
  { kernels = 'wasm', signal }: Pick<CommitOptions, 'kernels' | 'signal'>,
): Promise<Sketch> {
  const checkpoint = await openCheckpoint(path);
  try {
    return await sketchCheckpoint(checkpoint, nodeRuntime(kernels), { signal });
  } finally {
    await checkpoint.close();
  }
}

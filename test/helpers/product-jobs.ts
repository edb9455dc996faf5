/** A job module whose job multiplies by onnxruntime-node without end: its thread is nearly always in native code. */
import type { JobRunner } from '../../src/io/worker-pool.js';
import { createMatrix } from '../../src/linalg/matrix.js';
import { openOnnxruntimeEngine } from '../../src/linalg/onnxruntime-engine.js';

export interface ProductJobsInit {
  /** Int32: products that ended, of all threads. */
  readonly products: SharedArrayBuffer;
}

export async function openJobs({ products }: ProductJobsInit): Promise<JobRunner<'endless', never>> {
  const count = new Int32Array(products);
  const engine = await openOnnxruntimeEngine({ threads: 1, load: () => import('onnxruntime-node') });
  const side = 256;
  const matrix = createMatrix(side, side, new Float32Array(side * side).fill(0.5));
  return {
    async run() {
      for (;;) {
        await engine.multiply(matrix, matrix);
        Atomics.add(count, 0, 1);
      }
    },
    close: () => engine.close(),
  };
}

/** Job module of a worker pool: how fast one thread multiplies, with the engine of the encoder. */
import type { JobRunner } from '../../../src/io/worker-pool.js';
import { openGemmEngine } from '../../../src/linalg/gemm-engine.js';
import { createMatrix } from '../../../src/linalg/matrix.js';
import { sketchMatrix } from '../../../src/linalg/sketch.js';
import { plainGemm } from '../../linalg/plain-gemm.js';
import type { ProductCount } from './products.js';

export interface GemmJob extends Pick<ProductCount, 'kind' | 'm' | 'k' | 'n'> {
  /** Products are repeated for so long. */
  readonly durationMs: number;
}

/** Operations a second. */
export async function openJobs(): Promise<JobRunner<GemmJob, number>> {
  const { engine } = await openGemmEngine({ fallback: plainGemm, preferred: 'onnxruntime', threads: 1 });
  return {
    async run({ kind, m, k, n, durationMs }) {
      const [a, b] = [kind === 'gram' ? sketchMatrix(k, m, 1) : sketchMatrix(m, k, 1), sketchMatrix(k, n, 2)];
      const into = createMatrix(m, n);
      const multiply = () => (kind === 'gram' ? engine.gram(a) : engine.multiply(a, b, { into }));
      await multiply();
      const started = performance.now();
      let [count, elapsedMs] = [0, 0];
      while (elapsedMs < durationMs) {
        await multiply();
        count++;
        elapsedMs = performance.now() - started;
      }
      return (2 * m * k * n * count * 1000) / elapsedMs;
    },
    close: () => engine.close(),
  };
}

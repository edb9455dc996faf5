/** Products of a streamed matrix R (m × n) with tall matrices in memory, one pass over its blocks each. */
import type { GemmEngine } from './gemm-engine.js';
import { createMatrix, type Matrix, rowRange, squaredNorm } from './matrix.js';
import type { MatrixStream } from './matrix-stream.js';

export interface StreamProducts {
  /** R · x for x: n × k. Returns m × k. */
  forward(x: Matrix): Promise<Matrix>;
  /** Rᵀ · y for y: m × k. Returns n × k. */
  backward(y: Matrix): Promise<Matrix>;
  /** ‖R‖², from the first product's pass, or from a pass of its own where there was none. */
  energy(): Promise<number>;
}

/**
 * Throws RangeError when R has an entry that is not finite, and the signal's reason on abort, between blocks.
 * @param options energy: ‖R‖² where it is known, so that it is not measured; every entry is finite then
 */
export function streamProducts(
  stream: MatrixStream,
  options: {
    readonly engine: GemmEngine;
    readonly energy?: number | undefined;
    readonly signal?: AbortSignal | undefined;
  },
): StreamProducts {
  const { engine, signal } = options;
  const { rows, columns } = stream;
  let { energy } = options;

  async function pass(visit: (start: number, block: Matrix) => Promise<void>): Promise<void> {
    let sum = 0;
    for await (const { start, matrix } of stream.blocks()) {
      signal?.throwIfAborted();
      if (energy === undefined) sum += squaredNorm(matrix);
      await visit(start, matrix);
    }
    signal?.throwIfAborted();
    energy ??= assertFiniteEnergy(sum, rows, columns);
  }

  return {
    async forward(x) {
      const result = createMatrix(rows, x.columns);
      await pass(async (start, block) => {
        await engine.multiply(block, x, { into: rowRange(result, start, start + block.rows) });
      });
      return result;
    },
    async backward(y) {
      const result = createMatrix(columns, y.columns);
      await pass(async (start, block) => {
        const part = rowRange(y, start, start + block.rows);
        await engine.multiply(block, part, { transposeA: true, into: result, accumulate: start > 0 });
      });
      return result;
    },
    async energy() {
      if (energy === undefined) await pass(async () => {});
      return energy ?? 0;
    },
  };
}

/** A float64 sum of squares of float32 values is finite unless one of them is not. */
export function assertFiniteEnergy(energy: number, rows: number, columns: number): number {
  if (!Number.isFinite(energy)) {
    throw new RangeError(
      `expected a ${rows} × ${columns} matrix of finite values, got NaN or infinity among them`,
    );
  }
  return energy;
}

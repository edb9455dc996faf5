/**
 * Products of a streamed matrix R (m × n) with tall matrices in memory, one pass over its blocks each, which threads
 * with nothing else to do take part in where the stream can be shared. The bits do not depend on that: products of
 * blocks are added one after another.
 */
import type { GemmEngine } from './gemm-engine.js';
import { addInto } from './gemm-shapes.js';
import { createMatrix, type Matrix, rowRange, squaredNorm } from './matrix.js';
import type { MatrixStream, StreamSharing } from './matrix-stream.js';
import {
  type SharedProduct,
  type SharedProductOptions,
  sharedBackward,
  sharedForward,
} from './shared-products.js';

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

  /** By several threads, where there are any; undefined where there are none, or one has failed. */
  async function shared(
    make: (sharing: StreamSharing, options: SharedProductOptions) => Promise<SharedProduct | undefined>,
  ): Promise<Matrix | undefined> {
    const { sharing } = stream;
    if (sharing === undefined || sharing.idle === 0) return undefined;
    signal?.throwIfAborted();
    const made = await make(sharing, { engine, measuresEnergy: energy === undefined });
    if (made === undefined) return undefined;
    energy ??= assertFiniteEnergy(
      made.energies.reduce((sum, own) => sum + own, 0),
      rows,
      columns,
    );
    return made.product;
  }

  return {
    async forward(x) {
      const made = await shared((sharing, options) => sharedForward(sharing, x, options));
      if (made !== undefined) return made;
      const result = createMatrix(rows, x.columns);
      await pass(async (start, block) => {
        await engine.multiply(block, x, { into: rowRange(result, start, start + block.rows) });
      });
      return result;
    },
    async backward(y) {
      const made = await shared((sharing, options) => sharedBackward(sharing, y, options));
      if (made !== undefined) return made;
      const result = createMatrix(columns, y.columns);
      let addend: Matrix | undefined;
      await pass(async (start, block) => {
        const part = rowRange(y, start, start + block.rows);
        if (start > 0) addend ??= createMatrix(columns, y.columns);
        const into = addend ?? result;
        await engine.multiply(block, part, { transposeA: true, into });
        if (addend !== undefined) addInto(result.data, addend.data);
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

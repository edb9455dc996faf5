/** One tensor's residual as a matrix that is read in row blocks from the two checkpoints. */

import { rowRange } from '../linalg/matrix.js';
import { type CachedStream, cacheStream, type MatrixStream } from '../linalg/matrix-stream.js';
import { type ReadablePair, residualReader } from './analyse-tensor.js';

export type { CachedStream };

/** Elements of a row block: large enough for GEMM to run at full speed, 8 MB of float32. */
const STREAM_BLOCK_ELEMENTS = 1 << 21;

export interface ResidualStreamOptions {
  /** Residuals of up to so many bytes of float32 stay in memory between passes. */
  readonly cacheByteLimit: number;
}

/** The residual over the common rows; cached after its first pass where it is small enough. */
export function residualStream(readable: ReadablePair, options: ResidualStreamOptions): CachedStream {
  return cacheStream(residualMatrix(readable), { byteLimit: options.cacheByteLimit });
}

function residualMatrix(readable: ReadablePair): MatrixStream {
  const { commonRows: rows, columns } = readable.pair;
  const rowBlock = Math.min(rows, Math.max(1, Math.floor(STREAM_BLOCK_ELEMENTS / columns)));
  const read = residualReader(readable);
  return {
    rows,
    columns,
    rowBlock,
    async *blocks(into) {
      // Two blocks of its own: one is read while the other is worked on.
      const rooms = into === undefined ? [0, 1].map(() => new Float32Array(rowBlock * columns)) : [];
      const readAt = async (start: number) => {
        const count = Math.min(rowBlock, rows - start);
        const room =
          into === undefined
            ? rooms[(start / rowBlock) % 2]!.subarray(0, count * columns)
            : rowRange(into, start, start + count).data;
        return { start, matrix: { rows: count, columns, data: await read(start, count, room) } };
      };
      let next = rows === 0 ? undefined : readAt(0);
      for (let start = 0; start < rows; start += rowBlock) {
        const block = await next!;
        // The bytes of the next block come while this one is worked on.
        if (start + rowBlock < rows) {
          next = readAt(start + rowBlock);
          next.catch(() => {}); // Told when it is awaited; a consumer that stops early never asks.
        }
        yield block;
      }
    },
  };
}

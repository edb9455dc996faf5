/** One tensor's residual as a matrix that is read in row blocks from the two checkpoints. */
import { cacheStream, type MatrixStream } from '../linalg/matrix-stream.js';
import { type ReadablePair, residualReader } from './analyse-tensor.js';

/** Residuals up to this size stay in memory between passes. */
const CACHE_BYTE_LIMIT = 512 * 1024 * 1024;
/** Elements of a row block: large enough for GEMM to run at full speed, 16 MB of float32. */
const STREAM_BLOCK_ELEMENTS = 1 << 22;

/** The residual over the common rows; cached after its first pass where it is small enough. */
export function residualStream(readable: ReadablePair): MatrixStream {
  return cacheStream(residualMatrix(readable), { byteLimit: CACHE_BYTE_LIMIT });
}

function residualMatrix(readable: ReadablePair): MatrixStream {
  const { commonRows: rows, columns } = readable.pair;
  const rowBlock = Math.min(rows, Math.max(1, Math.floor(STREAM_BLOCK_ELEMENTS / columns)));
  const read = residualReader(readable);
  return {
    rows,
    columns,
    rowBlock,
    async *blocks() {
      for (let start = 0; start < rows; start += rowBlock) {
        const count = Math.min(rowBlock, rows - start);
        yield { start, matrix: { rows: count, columns, data: await read(start, count) } };
      }
    },
  };
}

/** Leading singular triplets of one tensor's residual, read in row blocks from the two checkpoints. */
import type { LowRankFactors } from '../codecs/low-rank.js';
import type { GemmEngine } from '../linalg/gemm-engine.js';
import { cacheStream, type MatrixStream } from '../linalg/matrix-stream.js';
import { truncatedSvd } from '../linalg/truncated-svd.js';
import { type ReadablePair, residualReader } from './analyse-tensor.js';

/** Residuals up to this size stay in memory between the passes of the range finder. */
const CACHE_BYTE_LIMIT = 512 * 1024 * 1024;
/** Elements of a row block: large enough for GEMM to run at full speed, 16 MB of float32. */
const STREAM_BLOCK_ELEMENTS = 1 << 22;

/** @param maxRank components wanted, at most; fewer come back where the residual has no more. */
export async function residualFactors(
  readable: ReadablePair,
  maxRank: number,
  engine: GemmEngine,
): Promise<LowRankFactors> {
  return truncatedSvd(cacheStream(residualMatrix(readable), { byteLimit: CACHE_BYTE_LIMIT }), {
    maxRank,
    engine,
  });
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

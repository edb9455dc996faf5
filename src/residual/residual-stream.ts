/** One tensor's residual as a matrix that is read in row blocks from the two checkpoints. */

import { rowRange } from '../linalg/matrix.js';
import {
  type BlockSource,
  type CachedStream,
  cacheStream,
  type MatrixStream,
} from '../linalg/matrix-stream.js';
import type { SharedPass } from '../linalg/shared-pass.js';
import { type ReadablePair, residualReader } from './analyse-tensor.js';
import type { TensorPair } from './pair-tensors.js';

export type { CachedStream };

/** Elements of a row block: large enough for GEMM to run at full speed, 8 MB of float32. */
const STREAM_BLOCK_ELEMENTS = 1 << 21;

/** Least elements of a residual that threads share: of four blocks. */
const SHARED_ELEMENTS = 4 * STREAM_BLOCK_ELEMENTS;

/** Other threads that read the same pair. */
export interface ResidualCrew {
  /** How many have nothing to do at the moment. */
  readonly idle: number;
  /**
   * Has them take part in a pass over the pair's residual, until the returned function is called.
   * @param isWeighted whether its columns have the weights of their importance; default false
   */
  offer(pass: SharedPass, isWeighted?: boolean): () => void;
}

export interface ResidualStreamOptions {
  /** Residuals of up to so many bytes of float32 stay in memory between passes. */
  readonly cacheByteLimit: number;
  /** Who else works on blocks of a large residual; default: nobody. */
  readonly crew?: ResidualCrew | undefined;
}

/** How many threads can work on a residual: those with nothing else to do each on a block of a large one. */
export function usefulThreads(pair: TensorPair): number {
  return isShared(pair) ? Math.ceil(pair.commonRows / rowBlockOf(pair)) : 1;
}

function isShared({ kind, commonRows, columns }: TensorPair): boolean {
  return kind === 'matrix' && commonRows * columns >= SHARED_ELEMENTS;
}

/** The residual over the common rows; cached after its first pass where it is small enough. */
export function residualStream(readable: ReadablePair, options: ResidualStreamOptions): CachedStream {
  const { crew, cacheByteLimit: byteLimit } = options;
  return cacheStream(residualMatrix(readable, crew), { byteLimit });
}

function rowBlockOf({ commonRows, columns }: TensorPair): number {
  return Math.min(commonRows, Math.max(1, Math.floor(STREAM_BLOCK_ELEMENTS / columns)));
}

/** The blocks of the residual's streams in any order, read as they are asked for. */
export function residualBlocks(readable: ReadablePair): BlockSource {
  const { commonRows: rows, columns } = readable.pair;
  const rowBlock = rowBlockOf(readable.pair);
  const read = residualReader(readable);
  return {
    rows,
    columns,
    rowBlock,
    isInMemory: false,
    async readBlock(block, room) {
      const start = block * rowBlock;
      const count = Math.min(rowBlock, rows - start);
      const data = await read(start, count, room().subarray(0, count * columns));
      return { rows: count, columns, data };
    },
  };
}

function residualMatrix(readable: ReadablePair, crew: ResidualCrew | undefined): MatrixStream {
  const { commonRows: rows, columns } = readable.pair;
  const rowBlock = rowBlockOf(readable.pair);
  const read = residualReader(readable);
  const sharing =
    crew === undefined || !isShared(readable.pair)
      ? undefined
      : {
          ...residualBlocks(readable),
          get idle() {
            return crew.idle;
          },
          offer: (pass: SharedPass) => crew.offer(pass),
        };
  return {
    rows,
    columns,
    rowBlock,
    sharing,
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

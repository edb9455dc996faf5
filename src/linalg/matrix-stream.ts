/**
 * A matrix that is read in blocks of rows and never has to exist whole: the residual of a
 * 128 k × 4 k embedding is produced block by block from its two checkpoints, once per pass.
 */
import { assertDimension, createMatrix, type Matrix, rowRange } from './matrix.js';
import type { SharedPass } from './shared-pass.js';

export interface MatrixBlock {
  /** First row. */
  readonly start: number;
  /** The rows from there on; valid until the next block is asked for, as its buffer may be used again. */
  readonly matrix: Matrix;
}

export interface MatrixStream {
  readonly rows: number;
  readonly columns: number;
  /** Most rows in a block; some, like the last, may have fewer. */
  readonly rowBlock: number;
  /**
   * Every row once, in ascending order; each call starts a new pass with the same values.
   * @param into rows × columns: where the rows may be put at their place, and the blocks then lie
   */
  blocks(into?: Matrix): AsyncIterable<MatrixBlock>;
  /** Where blocks can be had in any order, and other threads can have them too. */
  readonly sharing?: StreamSharing | undefined;
}

/** Blocks of `rowBlock` rows in any order; the last may have fewer. */
export interface BlockSource {
  readonly rows: number;
  readonly columns: number;
  readonly rowBlock: number;
  /** Whether blocks are there without being read. */
  readonly isInMemory: boolean;
  /** @param room gives rowBlock × columns, where the rows may be put; the same each time it is asked */
  readBlock(block: number, room: () => Float32Array): Promise<Matrix>;
}

/** How a pass over a stream is shared with threads that have the same blocks. */
export interface StreamSharing extends BlockSource {
  /** Threads that have nothing else to do at the moment. */
  readonly idle: number;
  /** Has them take part (`workOnPass`) until the returned function is called. */
  offer(pass: SharedPass): () => void;
}

/** A matrix in memory as a stream of views, all rows in one block unless `rowBlock` is given. */
export function streamMatrix(matrix: Matrix, options: { readonly rowBlock?: number } = {}): MatrixStream {
  const { rows, columns } = matrix;
  const rowBlock = options.rowBlock ?? Math.max(1, rows);
  assertDimension('rowBlock', rowBlock);
  if (rowBlock === 0) throw new RangeError('expected rowBlock to be at least 1, got 0');
  return {
    rows,
    columns,
    rowBlock,
    async *blocks() {
      for (let start = 0; start < rows; start += rowBlock) {
        yield { start, matrix: rowRange(matrix, start, Math.min(start + rowBlock, rows)) };
      }
    },
  };
}

/** A stream that may hold its rows in memory. */
export interface CachedStream extends MatrixStream {
  /** Bytes held now. */
  readonly cachedByteLength: number;
  /** Lets go of them; the next pass reads the source again. */
  drop(): void;
  /** Takes over what another stream with the same values holds. */
  adopt(other: CachedStream): void;
  /** The rows in memory, where all are. */
  readonly cached: Matrix | undefined;
}

/**
 * A stream that keeps the rows of its first complete pass, when the whole has at most `byteLimit`
 * bytes as float32; larger ones are read anew in every pass. Passes that run at the same time before
 * that each read the source.
 */
export function cacheStream(source: MatrixStream, options: { readonly byteLimit: number }): CachedStream {
  const { rows, columns, rowBlock } = source;
  const isCacheable = rows * columns * Float32Array.BYTES_PER_ELEMENT <= options.byteLimit;
  let cached: Matrix | undefined;
  return {
    rows,
    columns,
    rowBlock,
    get cachedByteLength() {
      return cached?.data.byteLength ?? 0;
    },
    get cached() {
      return cached;
    },
    get sharing() {
      const { sharing } = source;
      const whole = cached;
      // One that will be kept is read by its own thread first, so that later passes find it there.
      if (sharing === undefined || whole === undefined) return isCacheable ? undefined : sharing;
      return {
        rows,
        columns,
        rowBlock,
        isInMemory: true,
        readBlock: async (block: number) =>
          rowRange(whole, block * rowBlock, Math.min(rows, (block + 1) * rowBlock)),
        get idle() {
          return sharing.idle;
        },
        offer: sharing.offer,
      };
    },
    drop() {
      cached = undefined;
    },
    adopt(other) {
      if (isCacheable) cached = other.cached;
    },
    async *blocks() {
      if (cached !== undefined) {
        yield* streamMatrix(cached, { rowBlock }).blocks();
        return;
      }
      if (!isCacheable) {
        yield* source.blocks();
        return;
      }
      const copy = createMatrix(rows, columns);
      for await (const { start, matrix } of source.blocks(copy)) {
        const rows = rowRange(copy, start, start + matrix.rows);
        if (matrix.data.buffer !== copy.data.buffer) rows.data.set(matrix.data);
        yield { start, matrix: rows };
      }
      cached = copy;
    },
  };
}

/** All rows in memory, as a copy: the stream's buffers may be used for something else afterwards. */
export async function collectStream(stream: MatrixStream, signal?: AbortSignal): Promise<Matrix> {
  const { rows, columns } = stream;
  const whole = createMatrix(rows, columns);
  for await (const { start, matrix } of stream.blocks()) {
    signal?.throwIfAborted();
    whole.data.set(matrix.data, start * columns);
  }
  return whole;
}

/**
 * What the codecs of densely coded matrices (docs/spec/codecs.md §7, §11) share: R̂_ij = f32(s · f32(q_ij)), q entropy-coded
 * in half steps, one chunk a block of rows. The coder's models carry on from block to block.
 */
import type { RowsDecoder } from '../kernels/matrix-coder.js';
import type { AdditiveDecoder, TermContext } from './codec.js';
import { expectChunks } from './params.js';

/**
 * @param createDecoder fresh, of the term's columns; it is freed with the result
 * @param scale of a half step
 * @throws CodecError where the term has another number of chunks
 */
export function denseBlocks(
  context: TermContext,
  createDecoder: () => RowsDecoder,
  scale: number,
  blockRows: number,
): AdditiveDecoder {
  const { rowCount, columns, kernels } = context;
  expectChunks(context, Math.ceil(rowCount / blockRows));
  const decoder = createDecoder();
  const rowGains = new Uint16Array(Math.min(blockRows, rowCount)).fill(1);
  let codes = new Int16Array(0);
  let nextRow = 0;
  /** Chunks that were read and not begun, by block. */
  const chunks = new Map<number, Uint8Array>();
  let current: Uint8Array | undefined;
  /** The first block behind the cut: it and all that follow leave the rows as they are. */
  let cutBlock = Number.POSITIVE_INFINITY;

  const add = (rows: number, out: Float32Array): void => {
    if (codes.length < rows * columns) codes = new Int16Array(rows * columns);
    const part = codes.subarray(0, rows * columns);
    decoder.decodeRows(rows, part);
    kernels.accumulateCodes({
      codes: part,
      rowGains: rowGains.subarray(0, rows),
      rows,
      columns,
      scale,
      out,
    });
  };

  return {
    kind: 'additive',
    isSequential: true,
    async prepare(startRow, rows) {
      // Blocks that begin in these rows; the one that began before them is being decoded.
      for (let block = Math.ceil(startRow / blockRows); block * blockRows < startRow + rows; block++) {
        if (block >= cutBlock) return;
        const bytes = await context.chunk(block);
        if (bytes === undefined) cutBlock = block;
        else chunks.set(block, bytes);
      }
    },
    accumulate(startRow, rows, residual) {
      if (startRow !== nextRow) throw new RangeError(`expected rows from ${nextRow}, got ${startRow}`);
      nextRow = startRow + rows;
      for (let row = startRow; row < nextRow; ) {
        const block = Math.floor(row / blockRows);
        if (block >= cutBlock) return;
        if (row === block * blockRows) {
          if (current !== undefined) context.release?.(current);
          current = chunks.get(block)!;
          decoder.beginChunk(current);
          chunks.delete(block);
        }
        const count = Math.min(nextRow, (block + 1) * blockRows) - row;
        add(count, residual.subarray((row - startRow) * columns, (row - startRow + count) * columns));
        row += count;
      }
    },
    close: () => decoder.free(),
  };
}

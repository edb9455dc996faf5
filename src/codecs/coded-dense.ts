/**
 * Codec "coded-dense" (docs/spec/codecs.md §7): R̂_ij = f32(s · f32(q_ij)), q entropy-coded by
 * the matrix coder in half steps. What has no low-rank structure is cheaper this way than as factors.
 * One chunk a block of rows; the coder's models carry on from block to block.
 */
import type { AdditiveDecoder, Codec, EncodedTerm } from './codec.js';
import { TRELLIS_STATES, type TrellisStates } from './coded-low-rank.js';
import { choiceParam, expectChunks, float32Param, integerParam } from './params.js';

/** Term from the chunks of a matrix coder. */
export function codedDenseTerm(
  chunks: EncodedTerm['chunks'],
  scale: number,
  states: TrellisStates,
  blockRows: number,
): EncodedTerm {
  return { codec: codedDenseCodec.id, params: { scale, states, blockRows }, chunks };
}

export const codedDenseCodec: Codec = {
  id: 'coded-dense',
  async open(context): Promise<AdditiveDecoder> {
    const { rowCount, columns, kernels } = context;
    const scale = float32Param(context, 'scale');
    const states = choiceParam(context, 'states', TRELLIS_STATES);
    const blockRows = integerParam(context, 'blockRows', 1, 2 ** 31 - 1);
    expectChunks(context, Math.ceil(rowCount / blockRows));
    const decoder = kernels.createMatrixDecoder({ columns, states });
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
  },
};

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
    let nextRow = 0;
    let isCut = false;

    const beginBlock = async (block: number): Promise<void> => {
      const bytes = await context.chunk(block);
      if (bytes === undefined) {
        isCut = true; // Behind the cut, and so is all that follows: the rows stay as they are.
        return;
      }
      decoder.beginChunk(bytes);
    };

    return {
      kind: 'additive',
      async accumulate(startRow, rows, residual) {
        if (startRow !== nextRow) throw new RangeError(`expected rows from ${nextRow}, got ${startRow}`);
        for (let row = startRow; row < startRow + rows; ) {
          const block = Math.floor(row / blockRows);
          if (row === block * blockRows && !isCut) await beginBlock(block);
          const count = Math.min(startRow + rows, (block + 1) * blockRows) - row;
          if (!isCut) {
            const codes = new Int16Array(count * columns);
            decoder.decodeRows(count, codes);
            const out = residual.subarray((row - startRow) * columns, (row - startRow + count) * columns);
            kernels.accumulateCodes({
              codes,
              rowGains: rowGains.subarray(0, count),
              rows: count,
              columns,
              scale,
              out,
            });
          }
          row += count;
        }
        nextRow = startRow + rows;
      },
      close: () => decoder.free(),
    };
  },
};

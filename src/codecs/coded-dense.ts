/**
 * Codec "coded-dense" (docs/spec/codecs.md §7): R̂_ij = f32(s · f32(columnGain_j · q_ij)), q entropy-coded by
 * the matrix coder in half steps. What has no low-rank structure is cheaper this way than as factors.
 * One chunk a block of rows; the coder's models carry on from block to block.
 */
import { readUint16, writeUint16 } from '../../formats/little-endian.js';
import type { AdditiveDecoder, Codec, EncodedTerm } from './codec.js';
import { TRELLIS_STATES, type TrellisStates } from './coded-low-rank.js';
import { choiceParam, codecError, expectChunks, float32Param, integerParam } from './params.js';

/** Elements in a chunk: small enough to check and decode in a few MB. */
const BLOCK_ELEMENTS = 1 << 20;

/** Rows in a chunk of a matrix with so many columns. */
export function codedBlockRows(columns: number): number {
  return Math.max(1, Math.floor(BLOCK_ELEMENTS / columns));
}

/** Term from the chunks of a matrix coder. @param columnGains one a column, for weighted residuals */
export function codedDenseTerm(
  chunks: EncodedTerm['chunks'],
  scale: number,
  states: TrellisStates,
  blockRows: number,
  columnGains?: Uint16Array,
): EncodedTerm {
  const params = { scale, states, blockRows };
  if (columnGains === undefined) return { codec: codedDenseCodec.id, params, chunks };
  const [first, ...rest] = chunks;
  const bytes = new Uint8Array(2 * columnGains.length + first.bytes.byteLength);
  for (const [j, gain] of columnGains.entries()) writeUint16(bytes, 2 * j, gain);
  bytes.set(first.bytes, 2 * columnGains.length);
  return {
    codec: codedDenseCodec.id,
    params: { ...params, columnGains: true },
    chunks: [{ ...first, bytes }, ...rest],
  };
}

export const codedDenseCodec: Codec = {
  id: 'coded-dense',
  async open(context): Promise<AdditiveDecoder> {
    const { rowCount, columns, kernels } = context;
    const scale = float32Param(context, 'scale');
    const states = choiceParam(context, 'states', TRELLIS_STATES);
    const blockRows = integerParam(context, 'blockRows', 1, 2 ** 31 - 1);
    const hasColumnGains = context.term.params.columnGains === true;
    expectChunks(context, Math.ceil(rowCount / blockRows));
    const decoder = kernels.createMatrixDecoder({ columns, states });
    const rowGains = new Uint16Array(blockRows > rowCount ? rowCount : blockRows).fill(1);
    let columnGains: Uint16Array | undefined;
    let nextRow = 0;
    let isCut = false;

    const beginBlock = async (block: number): Promise<void> => {
      const bytes = await context.chunk(block);
      if (bytes === undefined) {
        isCut = true; // Behind the cut, and so is all that follows: the rows stay as they are.
        return;
      }
      let payload = bytes;
      if (block === 0 && hasColumnGains) {
        if (bytes.byteLength < 2 * columns)
          throw codecError(context, 'the first chunk ends inside its column gains');
        columnGains = Uint16Array.from({ length: columns }, (_, j) => readUint16(bytes, 2 * j));
        payload = bytes.subarray(2 * columns);
      }
      decoder.beginChunk(payload);
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
              codes: columnGains === undefined ? codes : withGains(codes, columnGains),
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

/** code · gain of its column; 16 bits each, so 32 hold the product. */
function withGains(codes: Int16Array, gains: Uint16Array): Int32Array {
  return Int32Array.from(codes, (code, i) => code * gains[i % gains.length]);
}

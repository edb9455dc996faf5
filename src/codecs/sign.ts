/**
 * Codec "sign" (docs/spec/codecs.md §5): R̂_ij = ±scale, one bit an entry, as BitDelta does
 * (arXiv 2402.10193). BitDelta goes on to train its scales on data; without data the scale of least
 * squared error is the mean magnitude: Σ(|r| − s)² is least at s = Σ|r| / n.
 */
import type { Kernels } from '../kernels/kernels.js';
import type { AdditiveDecoder, Codec, EncodedTerm } from './codec.js';
import { expectByteLength, expectChunks, float32Param, integerParam } from './params.js';
import { prepareBlocks, type ResidualRows, rowsPerBlock } from './row-blocks.js';

function blockByteLength(rows: number, columns: number): number {
  return Math.ceil((rows * columns) / 8);
}

/** Payload bytes of a matrix: an eighth of its entries, each block rounded up. */
export function signByteLength(rows: number, columns: number): number {
  const blockRows = rowsPerBlock(columns);
  const full = Math.floor(rows / blockRows);
  return full * blockByteLength(blockRows, columns) + blockByteLength(rows - full * blockRows, columns);
}

/** Encodes a residual of rows × columns that is read twice, block by block. */
export async function encodeSign(
  readRows: ResidualRows,
  rows: number,
  columns: number,
  kernels: Kernels,
): Promise<EncodedTerm> {
  const blockRows = rowsPerBlock(columns);
  const magnitudes: number[] = [];
  for (let start = 0; start < rows; start += blockRows) {
    const block = await readRows(start, Math.min(blockRows, rows - start));
    let sum = 0;
    for (let i = 0; i < block.length; i++) sum += Math.abs(block[i]!);
    magnitudes.push(sum);
  }
  const scale = Math.fround(magnitudes.reduce((sum, magnitude) => sum + magnitude, 0) / (rows * columns));
  const chunks: { bytes: Uint8Array; squaredErrorDrop: number }[] = [];
  for (let start = 0, b = 0; start < rows; start += blockRows, b++) {
    const count = Math.min(blockRows, rows - start);
    const block = await readRows(start, count);
    const codes = new Int16Array(block.length);
    for (let i = 0; i < block.length; i++) codes[i] = block[i]! < 0 ? -1 : 0;
    const bytes = new Uint8Array(blockByteLength(count, columns));
    kernels.packCodes(codes, 1, bytes);
    // Σ r² − Σ (|r| − s)². A block far below the mean loses by its signs, but still is no exact term (a drop of 0).
    const drop = 2 * scale * magnitudes[b]! - scale * scale * block.length;
    chunks.push({ bytes, squaredErrorDrop: Math.max(drop, Number.MIN_VALUE) });
  }
  return { codec: signCodec.id, params: { scale, blockRows }, chunks };
}

export const signCodec: Codec = {
  id: 'sign',
  async open(context): Promise<AdditiveDecoder> {
    const { rowCount, columns, kernels } = context;
    const scale = float32Param(context, 'scale');
    const blockRows = integerParam(context, 'blockRows', 1, 2 ** 31 - 1);
    expectChunks(context, Math.ceil(rowCount / blockRows));

    /** The prepared blocks that rows are still asked of. */
    const blocks = new Map<number, Uint8Array | undefined>();
    const readBlock = async (block: number): Promise<Uint8Array | undefined> => {
      const bytes = await context.chunk(block);
      const rows = Math.min(blockRows, rowCount - block * blockRows);
      if (bytes !== undefined) expectByteLength(context, block, bytes, blockByteLength(rows, columns));
      return bytes;
    };

    return {
      kind: 'additive',
      isSequential: false,
      prepare: (startRow, rows) => prepareBlocks(blocks, blockRows, startRow, rows, readBlock),
      accumulate(startRow, rows, residual) {
        for (let row = startRow; row < startRow + rows; ) {
          const block = Math.floor(row / blockRows);
          const first = row - block * blockRows;
          const count = Math.min(startRow + rows - row, blockRows - first);
          const bytes = blocks.get(block);
          // Behind the cut of a truncated archive: these rows stay as they are.
          if (bytes !== undefined) {
            const out = residual.subarray((row - startRow) * columns, (row - startRow + count) * columns);
            kernels.accumulateSigns({ bytes, bitOffset: first * columns, scale, out });
          }
          row += count;
        }
      },
      close: () => blocks.clear(),
    };
  },
};

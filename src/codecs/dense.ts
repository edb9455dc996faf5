/**
 * Codec "dense" (docs/spec/codecs.md §3): R̂_ij = f32(s · f32(gain_i · code_ij)), a fixed-width
 * scalar quantiser with one integer gain a row. For residuals with no low-rank structure.
 */
import { readUint16, writeUint16 } from '../../formats/little-endian.js';
import type { Kernels } from '../kernels/kernels.js';
import type { AdditiveDecoder, Codec, EncodedTerm } from './codec.js';
import { codecError, expectByteLength, expectChunks, float32Param, integerParam } from './params.js';
import { prepareBlocks, type ResidualRows, rowsPerBlock } from './row-blocks.js';
import { bestStep, codeRange } from './scalar-quantizer.js';

const GAIN_BYTE_LENGTH = 2;
/** Row steps are multiples of 1/4096 of the largest: under 1 % off for rows down to 1/50 of the largest. */
const LARGEST_GAIN = 4096;
function blockByteLength(rows: number, columns: number, bits: number): number {
  return rows * GAIN_BYTE_LENGTH + Math.ceil((rows * columns * bits) / 8);
}

/** Payload bytes of a matrix. @param bits 2 to 8 */
export function denseByteLength(rows: number, columns: number, bits: number): number {
  const blockRows = rowsPerBlock(columns);
  const full = Math.floor(rows / blockRows);
  return (
    full * blockByteLength(blockRows, columns, bits) + blockByteLength(rows - full * blockRows, columns, bits)
  );
}

/** Encodes a residual of rows × columns that is read twice, block by block. @param bits 2 to 8 */
export async function encodeDense(
  readRows: ResidualRows,
  rows: number,
  columns: number,
  bits: number,
  kernels: Kernels,
): Promise<EncodedTerm> {
  const blockRows = rowsPerBlock(columns);
  const range = codeRange(bits);
  const steps = new Float64Array(rows);
  for (let start = 0; start < rows; start += blockRows) {
    const count = Math.min(blockRows, rows - start);
    const block = await readRows(start, count);
    for (let i = 0; i < count; i++)
      steps[start + i] = bestStep(block.subarray(i * columns, (i + 1) * columns), bits);
  }
  // The scale is a float32 so that the decoder sees the very step the codes were made for.
  const scale = Math.fround(steps.reduce((largest, step) => Math.max(largest, step), 0) / LARGEST_GAIN);
  const chunks: { bytes: Uint8Array; squaredErrorDrop: number }[] = [];
  for (let start = 0; start < rows; start += blockRows) {
    const count = Math.min(blockRows, rows - start);
    const block = await readRows(start, count);
    const bytes = new Uint8Array(blockByteLength(count, columns, bits));
    const codes = new Int16Array(count * columns);
    let energy = 0;
    for (let i = 0; i < count; i++) {
      const gain = scale > 0 ? Math.round(steps[start + i]! / scale) : 0;
      writeUint16(bytes, i * GAIN_BYTE_LENGTH, gain);
      const row = block.subarray(i * columns, (i + 1) * columns);
      if (gain > 0) {
        const target = codes.subarray(i * columns, (i + 1) * columns);
        kernels.quantize(row, 1 / (gain * scale), range.minimum, range.maximum, target);
      }
      for (let j = 0; j < columns; j++) energy += row[j]! * row[j]!;
    }
    kernels.packCodes(codes, bits, bytes.subarray(count * GAIN_BYTE_LENGTH));
    chunks.push({ bytes, squaredErrorDrop: energy });
  }
  return { codec: denseCodec.id, params: { scale, bits, blockRows }, chunks };
}

export const denseCodec: Codec = {
  id: 'dense',
  async open(context): Promise<AdditiveDecoder> {
    const { rowCount, columns, kernels } = context;
    const scale = float32Param(context, 'scale');
    const bits = integerParam(context, 'bits', 2, 16);
    const blockRows = integerParam(context, 'blockRows', 1, 2 ** 31 - 1);
    expectChunks(context, Math.ceil(rowCount / blockRows));

    /** The prepared blocks that rows are still asked of. */
    const blocks = new Map<number, { readonly codes: Int16Array; readonly gains: Uint16Array } | undefined>();
    const readBlock = async (
      block: number,
    ): Promise<{ codes: Int16Array; gains: Uint16Array } | undefined> => {
      const bytes = await context.chunk(block);
      if (bytes === undefined) return undefined; // Behind the cut: these rows stay as they are.
      const rows = Math.min(blockRows, rowCount - block * blockRows);
      expectByteLength(context, block, bytes, blockByteLength(rows, columns, bits));
      const gains = Uint16Array.from({ length: rows }, (_, i) => readUint16(bytes, i * GAIN_BYTE_LENGTH));
      if (gains.some((gain) => gain * 2 ** (bits - 1) >= 2 ** 31)) {
        throw codecError(context, `block ${block}: gain times code does not fit 32 bits`);
      }
      const codes = new Int16Array(rows * columns);
      kernels.unpackCodes(bytes.subarray(rows * GAIN_BYTE_LENGTH), bits, codes.length, codes);
      return { codes, gains };
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
          const data = blocks.get(block);
          if (data !== undefined) {
            const out = residual.subarray((row - startRow) * columns, (row - startRow + count) * columns);
            const codes = data.codes.subarray(first * columns, (first + count) * columns);
            const rowGains = data.gains.subarray(first, first + count);
            kernels.accumulateCodes({ codes, rowGains, rows: count, columns, scale, out });
          }
          row += count;
        }
      },
      close: () => blocks.clear(),
    };
  },
};

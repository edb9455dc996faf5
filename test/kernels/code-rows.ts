/** Rows through a coder of matrices and back, for the tests of both coders. */
import type { RowsDecoder, RowsEncoder } from '../../src/kernels/matrix-coder.js';

export interface EncodedRows {
  readonly codes: Int16Array;
  readonly chunks: Uint8Array[];
  readonly byteLength: number;
}

/** Encodes rows with a chunk border after every `chunkRows` of them. @param encoder fresh; freed */
export function encodeRows(
  encoder: RowsEncoder,
  columns: number,
  values: Float32Array,
  {
    lambda = 0.1,
    chunkRows = Number.POSITIVE_INFINITY,
    columnWeights = undefined as Float32Array | undefined,
  } = {},
): EncodedRows {
  const rows = values.length / columns;
  const codes = new Int16Array(values.length);
  const chunks: Uint8Array[] = [];
  for (let row = 0; row < rows; row += chunkRows) {
    const count = Math.min(chunkRows, rows - row);
    const [start, end] = [row * columns, (row + count) * columns];
    encoder.encodeRows({
      values: values.subarray(start, end),
      rows: count,
      lambda,
      codes: codes.subarray(start, end),
      ...(columnWeights && { columnWeights }),
    });
    chunks.push(encoder.endChunk());
  }
  encoder.free();
  return { codes, chunks, byteLength: chunks.reduce((sum, chunk) => sum + chunk.length, 0) };
}

/** Decodes chunks of `chunkRows` rows into memory that was not zero. @param decoder fresh; freed */
export function decodeRows(
  decoder: RowsDecoder,
  columns: number,
  chunks: readonly Uint8Array[],
  rows: number,
  chunkRows = rows,
): Int16Array {
  const out = new Int16Array(rows * columns).fill(7);
  for (const [i, chunk] of chunks.entries()) {
    const count = Math.min(chunkRows, rows - i * chunkRows);
    const start = i * chunkRows * columns;
    decoder.beginChunk(chunk);
    decoder.decodeRows(count, out.subarray(start, start + count * columns));
  }
  decoder.free();
  return out;
}

/** How codecs that code entries in place cut a matrix: blocks of whole rows, one chunk each. */

/** Elements in a chunk: small enough to check and decode in a few MB. */
const BLOCK_ELEMENTS = 1 << 20;

/** Rows in a chunk. */
export function rowsPerBlock(columns: number): number {
  return Math.max(1, Math.floor(BLOCK_ELEMENTS / columns));
}

/** Rows of a residual, in order. */
export type ResidualRows = (startRow: number, rows: number) => Promise<Float32Array>;

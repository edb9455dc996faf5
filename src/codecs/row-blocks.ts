/** How codecs that code entries in place cut a matrix: blocks of whole rows, one chunk each. */

/** Elements in a chunk: small enough to check and decode in a few MB. */
const BLOCK_ELEMENTS = 1 << 20;

/** Rows in a chunk. */
export function rowsPerBlock(columns: number): number {
  return Math.max(1, Math.floor(BLOCK_ELEMENTS / columns));
}

/** Rows of a residual, in order. */
export type ResidualRows = (startRow: number, rows: number) => Promise<Float32Array>;

/** Keeps of `blocks` those that hold rows from `startRow` on, and reads what of `rows` is not there. */
export async function prepareBlocks<Block>(
  blocks: Map<number, Block>,
  blockRows: number,
  startRow: number,
  rows: number,
  read: (block: number) => Promise<Block>,
): Promise<void> {
  const first = Math.floor(startRow / blockRows);
  const last = Math.floor((startRow + Math.max(1, rows) - 1) / blockRows);
  for (const block of blocks.keys()) if (block < first || block > last) blocks.delete(block);
  for (let block = first; block <= last; block++) {
    if (!blocks.has(block)) blocks.set(block, await read(block));
  }
}

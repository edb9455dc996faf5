/** Parts of the caller's matrices, to and from the arena: one copy where rows are whole, else one a row. */
import type { Arena } from './arena.js';

/** A rectangle of a row-major matrix with `columns` columns. */
export interface Rectangle {
  readonly row: number;
  readonly rowCount: number;
  readonly column: number;
  readonly columnCount: number;
  readonly columns: number;
}

/** Copies a rectangle of `matrix` to `address`, rows back to back. */
export function copyIn(arena: Arena, address: number, matrix: Float32Array, part: Rectangle): void {
  const { row, rowCount, column, columnCount, columns } = part;
  if (columnCount === columns) {
    arena.float32.set(matrix.subarray(row * columns, (row + rowCount) * columns), address / 4);
    return;
  }
  for (let i = 0; i < rowCount; i++) {
    const start = (row + i) * columns + column;
    arena.float32.set(matrix.subarray(start, start + columnCount), address / 4 + i * columnCount);
  }
}

/** The way back. */
export function copyOut(arena: Arena, address: number, matrix: Float32Array, part: Rectangle): void {
  const { row, rowCount, column, columnCount, columns } = part;
  if (columnCount === columns) {
    const block = arena.float32.subarray(address / 4, address / 4 + rowCount * columns);
    matrix.set(block, row * columns);
    return;
  }
  for (let i = 0; i < rowCount; i++) {
    const from = address / 4 + i * columnCount;
    matrix.set(arena.float32.subarray(from, from + columnCount), (row + i) * columns + column);
  }
}

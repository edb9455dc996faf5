/** How a tensor of any shape is seen as one row-major matrix (docs/spec/archive.md §4.5). */
import { elementCount } from './dtype.js';

export interface MatrixView {
  readonly rows: number;
  /** At least 1. */
  readonly columns: number;
}

/**
 * The default matrix view: leading dimensions become rows, trailing ones columns, split where
 * min(rows, columns) is largest, at the earliest such place. So (out, in, kh, kw) becomes out × (in·kh·kw),
 * and (1, m, n) becomes m × n. One dimension or none: a single row. No elements: 0 × 1.
 * rows · columns = elementCount(shape) always.
 * @throws RangeError over 2^53 elements.
 */
export function matrixView(shape: readonly number[]): MatrixView {
  const count = elementCount(shape);
  if (count === 0) return { rows: 0, columns: 1 };
  let best: MatrixView = { rows: 1, columns: count };
  let bestRank = 0;
  let rows = 1;
  for (let split = 1; split < shape.length; split++) {
    rows *= shape[split - 1];
    const columns = count / rows;
    const rank = Math.min(rows, columns);
    if (rank > bestRank) {
      best = { rows, columns };
      bestRank = rank;
    }
  }
  return best;
}

/** Whether at most one dimension is over 1: what such a tensor holds is a vector, however it is shaped. */
export function isVectorShape(shape: readonly number[]): boolean {
  return shape.filter((dimension) => dimension !== 1).length <= 1;
}

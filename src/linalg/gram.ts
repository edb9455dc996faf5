/** aᵀ · a in float64, in plain TypeScript: the Gram matrix of the engine without a float64 GEMM. */
import type { Matrix } from './matrix.js';

/**
 * Returns columns × columns, row-major, symmetric. Four rows are taken at a time, so that each
 * element of the sum is loaded and stored once per four products.
 */
export function gramFloat64(a: Matrix): Float64Array {
  const { rows, columns, data } = a;
  const sum = new Float64Array(columns * columns);
  const panel = new Float64Array(4 * columns);
  const row0 = panel.subarray(0, columns);
  const row1 = panel.subarray(columns, 2 * columns);
  const row2 = panel.subarray(2 * columns, 3 * columns);
  const row3 = panel.subarray(3 * columns);
  for (let start = 0; start < rows; start += 4) {
    const count = Math.min(4, rows - start);
    if (count < 4) panel.fill(0);
    panel.set(data.subarray(start * columns, (start + count) * columns));
    for (let i = 0; i < columns; i++) {
      const a0 = row0[i];
      const a1 = row1[i];
      const a2 = row2[i];
      const a3 = row3[i];
      const line = i * columns;
      for (let j = i; j < columns; j++) {
        sum[line + j] += a0 * row0[j] + a1 * row1[j] + (a2 * row2[j] + a3 * row3[j]);
      }
    }
  }
  for (let i = 1; i < columns; i++) {
    for (let j = 0; j < i; j++) sum[i * columns + j] = sum[j * columns + i];
  }
  return sum;
}

/** What both GEMM engines share: shape checks, and sums of partial products. */
import type { MultiplyOptions } from './gemm-engine.js';
import { createMatrix, type Matrix } from './matrix.js';

/** Checks that op(a) · op(b) exists and fits `into`, which is created where it is not given. */
export function prepareProduct(
  a: Matrix,
  b: Matrix,
  options: MultiplyOptions,
): { into: Matrix; inner: number } {
  const [rows, inner] = options.transposeA ? [a.columns, a.rows] : [a.rows, a.columns];
  const [innerB, columns] = options.transposeB ? [b.columns, b.rows] : [b.rows, b.columns];
  if (inner !== innerB) {
    throw new RangeError(
      `expected equal inner dimensions, got ${rows} × ${inner} times ${innerB} × ${columns}`,
    );
  }
  const { into } = options;
  if (into === undefined) {
    if (options.accumulate) throw new TypeError('expected `into` with accumulate, got none');
    return { into: createMatrix(rows, columns), inner };
  }
  if (into.rows !== rows || into.columns !== columns) {
    throw new RangeError(
      `expected a ${rows} × ${columns} matrix to put the product into, got ${into.rows} × ${into.columns}`,
    );
  }
  return { into, inner };
}

/** target += addend, element by element. */
export function addInto<T extends Float32Array | Float64Array>(target: T, addend: T): void {
  const { length } = target;
  for (let i = 0; i < length; i++) target[i] += addend[i];
}

/** Residual matrices as the allocation sees them, made up or random. */
import fc from 'fast-check';
import type { AllocationTensor } from '../../src/allocation/operating-points.js';

/** A tensor with all its singular values; its energy is theirs and `rest`. */
export function tensorOf(
  rows: number,
  columns: number,
  singularValues: readonly number[],
  rest = 0,
): AllocationTensor {
  const sorted = Float64Array.from([...singularValues].sort((x, y) => y - x));
  return {
    rows,
    columns,
    energy: sorted.reduce((sum, sigma) => sum + sigma * sigma, rest),
    singularValues: sorted,
    exactByteLength: rows * columns * 2,
  };
}

export const anyTensor: fc.Arbitrary<AllocationTensor> = fc
  .tuple(fc.integer({ min: 2, max: 40 }), fc.integer({ min: 2, max: 40 }))
  .chain(([rows, columns]) =>
    fc
      .array(fc.double({ min: 0.001, max: 100, noNaN: true }), {
        minLength: 1,
        maxLength: Math.min(5, rows, columns),
      })
      .map((values) => tensorOf(rows, columns, values)),
  );

export const anyTensors = fc.array(anyTensor, { minLength: 1, maxLength: 3 });

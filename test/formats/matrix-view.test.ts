import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { elementCount } from '../../formats/dtype.js';
import { matrixView } from '../../formats/matrix-view.js';

describe('matrixView', () => {
  for (const [shape, rows, columns, why] of [
    [[4, 6], 4, 6, 'a matrix is itself'],
    [[32, 16, 3, 3], 32, 144, 'a convolution is out × (in · kh · kw)'],
    [[1, 8, 8], 8, 8, 'leading dimensions of 1 join the rows'],
    [[8, 4096, 14336], 32768, 14336, 'experts are stacked in rows'],
    [[2, 2, 2, 2], 4, 4, 'the split is where the smaller side is largest'],
    [[4, 1, 4], 4, 4, 'the earliest of equal splits is taken'],
    [[7], 1, 7, 'a vector is one row'],
    [[], 1, 1, 'a scalar is 1 × 1'],
    [[0], 0, 1, 'an empty vector is 0 × 1'],
    [[3, 0], 0, 1, 'an empty matrix is 0 × 1'],
    [[0, 3], 0, 1, 'an empty matrix is 0 × 1, whichever side is empty'],
  ] as const) {
    it(`of [${shape.join(', ')}] is ${rows} × ${columns}: ${why}`, () => {
      expect(matrixView(shape)).toEqual({ rows, columns });
    });
  }

  it('covers every element, with the best of all splits', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(9), { maxLength: 6 }), (shape) => {
        const { rows, columns } = matrixView(shape);
        expect(rows * columns).toBe(elementCount(shape));
        expect(columns).toBeGreaterThan(0);
        if (rows === 0) return;
        for (let p = 1; p < shape.length; p++) {
          const other = Math.min(elementCount(shape.slice(0, p)), elementCount(shape.slice(p)));
          expect(other).toBeLessThanOrEqual(Math.min(rows, columns));
        }
      }),
    );
  });

  it('of more than 2^53 elements is a RangeError', () => {
    expect(() => matrixView([2 ** 30, 2 ** 30])).toThrow(RangeError);
  });
});

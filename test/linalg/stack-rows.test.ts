import { expect, it } from 'vitest';
import { createMatrix } from '../../src/linalg/matrix.js';
import { collectStream, streamMatrix } from '../../src/linalg/matrix-stream.js';
import { stackRows } from '../../src/linalg/stack-rows.js';

it('gives the rows of every matrix in order, whatever their blocks', async () => {
  const upper = createMatrix(3, 2, Float32Array.of(1, 2, 3, 4, 5, 6));
  const lower = createMatrix(2, 2, Float32Array.of(7, 8, 9, 10));
  const stack = stackRows([streamMatrix(upper, { rowBlock: 2 }), streamMatrix(lower)]);
  expect(stack).toMatchObject({ rows: 5, columns: 2 });
  expect([...(await collectStream(stack)).data]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  const starts: number[] = [];
  for await (const { start } of stack.blocks()) starts.push(start);
  expect(starts).toEqual([0, 2, 3]);
});

it('refuses matrices of other columns', () => {
  const streams = [2, 3].map((columns) => streamMatrix(createMatrix(1, columns)));
  expect(() => stackRows(streams)).toThrow('expected matrices of 2 columns, got one of 3');
});

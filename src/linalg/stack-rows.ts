/** Matrices of the same columns, one under the other. */
import type { MatrixStream } from './matrix-stream.js';

/** A stream over the rows of several streams in order; blocks never cross from one to the next. @throws RangeError */
export function stackRows(streams: readonly MatrixStream[]): MatrixStream {
  const columns = streams[0]?.columns ?? 0;
  for (const stream of streams) {
    if (stream.columns !== columns)
      throw new RangeError(`expected matrices of ${columns} columns, got one of ${stream.columns}`);
  }
  return {
    rows: streams.reduce((sum, { rows }) => sum + rows, 0),
    columns,
    rowBlock: streams.reduce((most, { rowBlock }) => Math.max(most, rowBlock), 1),
    async *blocks() {
      let first = 0;
      for (const stream of streams) {
        for await (const { start, matrix } of stream.blocks()) yield { start: first + start, matrix };
        first += stream.rows;
      }
    },
  };
}

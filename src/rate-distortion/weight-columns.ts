/** Importance of input channels: an error in column j counts w_j times. */
import type { MatrixStream } from '../linalg/matrix-stream.js';

/** The same weights with mean 1, so that the step keeps its meaning. @param weights not negative, not all 0 */
export function normalizeWeights(weights: Float32Array): Float32Array {
  let sum = 0;
  for (const weight of weights) sum += weight;
  return weights.map((weight) => (weight * weights.length) / sum);
}

/** R · diag(√w): its Frobenius norm is the weighted one of R. */
export function weightColumns(stream: MatrixStream, weights: Float32Array): MatrixStream {
  const { rows, columns, rowBlock } = stream;
  const roots = weights.map(Math.sqrt);
  return {
    rows,
    columns,
    rowBlock,
    async *blocks() {
      for await (const { start, matrix } of stream.blocks()) {
        const data = new Float32Array(matrix.data.length);
        for (let i = 0, j = 0; i < data.length; i++, j = j + 1 === columns ? 0 : j + 1)
          data[i] = matrix.data[i] * roots[j];
        yield { start, matrix: { rows: matrix.rows, columns, data } };
      }
    },
  };
}

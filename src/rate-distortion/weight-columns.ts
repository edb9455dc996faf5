/** Importance of input channels: an error in column j counts w_j times. */
import type { Matrix } from '../linalg/matrix.js';
import type { BlockSource, MatrixStream, StreamSharing } from '../linalg/matrix-stream.js';

/** The same weights with mean 1, so that the step keeps its meaning. @param weights not negative, not all 0 */
export function normalizeWeights(weights: Float32Array): Float32Array {
  let sum = 0;
  for (const weight of weights) sum += weight;
  return weights.map((weight) => (weight * weights.length) / sum);
}

/**
 * R · diag(√w): its Frobenius norm is the weighted one of R.
 * @param offer has other threads take part in a pass over it; default: it is not shared
 */
export function weightColumns(
  stream: MatrixStream,
  weights: Float32Array,
  offer?: StreamSharing['offer'],
): MatrixStream {
  const { rows, columns, rowBlock } = stream;
  const roots = weights.map(Math.sqrt);
  return {
    rows,
    columns,
    rowBlock,
    get sharing() {
      const { sharing } = stream;
      if (sharing === undefined || offer === undefined) return undefined;
      return {
        ...weightBlocks(sharing, weights),
        offer,
        get idle() {
          return sharing.idle;
        },
      };
    },
    async *blocks() {
      for await (const { start, matrix } of stream.blocks()) {
        yield { start, matrix: scaled(matrix, roots, new Float32Array(matrix.data.length)) };
      }
    },
  };
}

/** Blocks of R · diag(√w). */
export function weightBlocks(source: BlockSource, weights: Float32Array): BlockSource {
  const { rows, columns, rowBlock } = source;
  const roots = weights.map(Math.sqrt);
  return {
    rows,
    columns,
    rowBlock,
    isInMemory: false,
    async readBlock(block, room) {
      const matrix = await source.readBlock(block, room);
      return scaled(matrix, roots, room().subarray(0, matrix.data.length));
    },
  };
}

/** @param into may be the matrix's own memory */
function scaled({ rows, columns, data }: Matrix, roots: Float32Array, into: Float32Array): Matrix {
  for (let i = 0, j = 0; i < data.length; i++, j = j + 1 === columns ? 0 : j + 1)
    into[i] = data[i] * roots[j];
  return { rows, columns, data: into };
}

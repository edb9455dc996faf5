/** Quantises and codes the vectors of an orthonormal basis (codec "coded-subspace"). */
import { basisIntegers } from '../codecs/coded-subspace.js';
import { OrthonormalBasis } from '../codecs/orthonormal-basis.js';
import type { Kernels } from '../kernels/kernels.js';
import { createMatrix, type Matrix, transpose } from '../linalg/matrix.js';
import { selectComponents } from './component-matrix.js';
import type { FactorEncoding } from './encode-factors.js';

/** So much of a space can be spanned until the basis' steps grow no more. */
const LARGEST_SHARE = 0.9;

export interface BasisSpace {
  readonly dimension: number;
  /** Components by chunk at a rank. */
  bandsOf(rank: number): readonly number[];
}

export interface CodedBasis {
  /** Components by chunk. */
  readonly bands: readonly number[];
  readonly chunks: readonly Uint8Array[];
  /** dimension × rank. */
  readonly vectors: Matrix;
  /** The same as integers, rank × dimension. */
  readonly integers: Int32Array;
}

/**
 * Quantises and codes basis vectors; undefined when nothing is left of them. An error in the span of the basis costs
 * nothing, which leaves 1 − rank / dimension of it, so the step is larger by the root of that.
 * @param targets components × dimension, in steps of their coefficients
 */
export function encodeBasis(
  targets: Float32Array,
  space: BasisSpace,
  encoding: FactorEncoding,
  kernels: Kernels,
): CodedBasis | undefined {
  const { dimension } = space;
  const rank = Math.min(dimension, targets.length / dimension);
  if (rank === 0) return undefined;
  const bands = space.bandsOf(rank);
  const shrink = Math.sqrt(1 - Math.min(LARGEST_SHARE, rank / dimension));
  const vectors = createMatrix(rank, dimension);
  const integers = new Int32Array(dimension * rank);
  const basis = new OrthonormalBasis(dimension, kernels);
  const encoder = kernels.createMatrixEncoder({ columns: dimension, states: encoding.factorStates });
  const codes = new Int16Array(dimension);
  const kept: number[] = [];
  const encodeVector = (row: number): void => {
    const own = Float64Array.from(targets.subarray(row * dimension, (row + 1) * dimension));
    basis.reflect(own);
    const values = Float32Array.from(own, (value) => value * shrink);
    const { lambda } = encoding;
    encoder.encodeRows({ values, rows: 1, lambda, codes, firstColumn: basis.rank });
    const vector = basis.add(codes);
    if (vector === undefined) return;
    vectors.data.set(vector, kept.length * dimension);
    integers.set(basisIntegers(vector), kept.length * dimension);
    kept.push(row);
  };
  try {
    let next = 0;
    const chunks = bands.map((size) => {
      for (const end = next + size; next < end; next++) encodeVector(next);
      return encoder.endChunk();
    });
    if (kept.length === rank) return { bands, chunks, vectors: transpose(vectors), integers };
  } finally {
    encoder.free();
  }
  // All-zero vectors, rare by now, are no vectors: the others are coded without them.
  return encodeBasis(selectComponents(targets, kept, dimension), space, encoding, kernels);
}

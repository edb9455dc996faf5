/**
 * Codec "coded-subspace" (docs/spec/codecs.md §10): R̂_ij = f32(s · f32(Σ_k c_ik · b_jk)) with orthonormal vectors
 * b_k, as integers in units of 2⁻¹⁴, and entropy-coded coefficients c; or the same with rows and columns
 * exchanged. A basis vector takes fewer codes the more of them come before it (orthonormal-basis.ts), and tensors
 * with the same inputs can share the chunks of one basis.
 *
 * Components lie in bands, strongest first, two chunks a band: the basis, then the coefficients. Invariant as of
 * "low-rank": every sum is exact in float64.
 */

import type { MatrixDecoder } from '../kernels/matrix-coder.js';
import type { Codec, EncodedTerm, TermContext } from './codec.js';
import { TRELLIS_STATES, type TrellisStates } from './coded-low-rank.js';
import { type IntegerFactors, openIntegerProduct } from './integer-product.js';
import { MAX_BASIS_DIMENSION, OrthonormalBasis } from './orthonormal-basis.js';
import { choiceParam, codecError, countsParam, expectChunks, float32Param } from './params.js';

/** What the basis spans: the space of rows' vectors (one entry a column), or of columns' (one entry a row). */
const BASIS_SIDES = ['columns', 'rows'] as const;
export type BasisSide = (typeof BASIS_SIDES)[number];

/** A basis vector's entry 1 as an integer: an int16, whose rounding is 50 dB below any residual. */
export const BASIS_UNIT = 1 << 14;

export interface SubspaceBand {
  readonly components: number;
  /** Chunk of the basis' matrix coder; the same array in every tensor that shares it. */
  readonly basis: Uint8Array;
  /** Chunk of the coefficients' matrix coder. */
  readonly coefficients: Uint8Array;
  readonly squaredErrorDrop: number;
}

/** Term from finished bands. The drop of a band is spread over its two chunks by their bytes, so that they stay together. */
export function codedSubspaceTerm(
  bands: readonly SubspaceBand[],
  scale: number,
  states: TrellisStates,
  basis: BasisSide,
): EncodedTerm {
  const chunks = bands.flatMap((band) => {
    const parts = [band.basis, band.coefficients];
    const byteLength = parts.reduce((sum, bytes) => sum + bytes.byteLength, 0);
    return parts.map((bytes) => ({
      bytes,
      squaredErrorDrop: Math.max(
        Number.MIN_VALUE,
        (band.squaredErrorDrop * bytes.byteLength) / Math.max(1, byteLength),
      ),
    }));
  });
  return {
    codec: codedSubspaceCodec.id,
    params: { scale, bands: bands.map(({ components }) => components), states, basis },
    chunks,
  };
}

/** A basis vector as integers. */
export function basisIntegers(vector: Float64Array): Int32Array {
  // A loop: `Int32Array.from` goes through an iterator, at ten times the time.
  const integers = new Int32Array(vector.length);
  for (let i = 0; i < vector.length; i++) integers[i] = Math.floor(vector[i] * BASIS_UNIT + 0.5);
  return integers;
}

/** Factor entries, and steps of making a basis, that a byte of payload may stand for. */
const MAX_EXPANSION = 1 << 16;

/** Whether a decoder may spend what a term asks for: a crafted file must not cost more than its bytes are worth. */
export function isAffordable(rank: number, dimension: number, length: number, payload: number): boolean {
  const work = Math.max(rank * (dimension + length), rank * rank * dimension);
  return rank <= dimension && dimension <= MAX_BASIS_DIMENSION && work <= payload * MAX_EXPANSION;
}

async function readFactors(context: TermContext): Promise<IntegerFactors> {
  const { rowCount, columns, kernels } = context;
  const sizes = countsParam(context, 'bands');
  const states = choiceParam(context, 'states', TRELLIS_STATES);
  const side = choiceParam(context, 'basis', BASIS_SIDES);
  expectChunks(context, 2 * sizes.length);
  const [dimension, length] = side === 'columns' ? [columns, rowCount] : [rowCount, columns];
  const bands: { readonly basis: Uint8Array; readonly coefficients: Uint8Array }[] = [];
  for (let band = 0; band < sizes.length; band++) {
    const basis = await context.chunk(2 * band);
    const coefficients = await context.chunk(2 * band + 1);
    if (basis === undefined || coefficients === undefined) break; // Behind the cut: later bands only refine.
    bands.push({ basis, coefficients });
  }
  const rank = bands.reduce((sum, _, band) => sum + sizes[band], 0);
  const payload = bands.reduce((sum, band) => sum + band.basis.byteLength + band.coefficients.byteLength, 0);
  if (!isAffordable(rank, dimension, length, payload)) {
    throw codecError(
      context,
      `rank ${rank} is too large for ${rowCount} × ${columns} values in ${payload} bytes`,
    );
  }
  const vectors = new Int32Array(dimension * rank);
  const coefficients = new Int32Array(length * rank);
  const basis = new OrthonormalBasis(dimension, kernels);
  const basisDecoder = kernels.createMatrixDecoder({ columns: dimension, states });
  const decoder = kernels.createMatrixDecoder({ columns: length, states });
  try {
    for (const [band, chunks] of bands.entries()) {
      basisDecoder.beginChunk(chunks.basis);
      decoder.beginChunk(chunks.coefficients);
      for (let i = 0; i < sizes[band]; i++) {
        const k = basis.rank;
        const vector = basis.add(decodeRow(basisDecoder, dimension, k));
        if (vector === undefined) throw codecError(context, `basis vector ${k} has no code other than 0`);
        scatter(basisIntegers(vector), vectors, rank, k);
        scatter(decodeRow(decoder, length, 0), coefficients, rank, k);
      }
    }
  } finally {
    basisDecoder.free();
    decoder.free();
  }
  return side === 'columns' ? { a: coefficients, b: vectors, rank } : { a: vectors, b: coefficients, rank };
}

function decodeRow(decoder: MatrixDecoder, length: number, first: number): Int16Array {
  const codes = new Int16Array(length);
  decoder.decodeRows(1, codes, first);
  return codes;
}

/** Puts a component into column k of a row-major length × rank matrix. */
function scatter(values: Int16Array | Int32Array, target: Int32Array, rank: number, k: number): void {
  for (let i = 0, at = k; i < values.length; i++, at += rank) target[at] = values[i];
}

export const codedSubspaceCodec: Codec = {
  id: 'coded-subspace',
  async open(context) {
    const scale = float32Param(context, 'scale');
    return openIntegerProduct(context, await readFactors(context), scale);
  },
};

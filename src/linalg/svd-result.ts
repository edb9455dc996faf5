/** The result of every truncated SVD here, and the steps that all of them end with. */
import type { GemmEngine } from './gemm-engine.js';
import { createMatrix, type Matrix, transpose } from './matrix.js';
import { orthonormalize } from './orthonormalize.js';
import { symmetricEigen } from './symmetric-eigen.js';

/** R ≈ Σ_i singularValues[i] · u_i · v_iᵀ for an m × n matrix R, strongest component first. */
export interface TruncatedSvd {
  readonly rows: number;
  readonly columns: number;
  /** Components found: at most what was asked for, less where R has no more than rounding noise left. */
  readonly rank: number;
  /** Descending, positive. */
  readonly singularValues: Float64Array;
  /** rank × m, row-major: u_i is contiguous at i · m. Orthonormal; its largest entry in magnitude (the first of equals) is positive. */
  readonly u: Float32Array;
  /** rank × n, row-major: v_i is contiguous at i · n. Orthonormal. */
  readonly v: Float32Array;
  /** ‖R‖² = Σ over all singular values squared, summed over the entries in float64. */
  readonly energy: number;
  /** Which algorithm ran. */
  readonly method: 'exact' | 'randomized';
}

/**
 * Components below this share of the largest singular value are rounding noise of float32 products
 * (2⁻²⁴ per operation) and are left out; together they hold less than 10⁻¹² of the energy per component.
 */
const singularValueFloor = 5e-7;

/**
 * Singular values and one side's vectors from `projected` = Rᵀ Q or R Q (d × k, Q orthonormal):
 * the float64 Gram matrix of its columns, G = W Λ Wᵀ. Taking the root of a Gram matrix costs half the
 * digits: float64 leaves 10⁻⁸ relative to the first value, still below what float32 products carry.
 * `side` = projected · W / σ (d × rank) is orthonormalised again, strongest first, as the division by
 * a small σ enlarges float32 rounding; `rotation` = W (k × rank) turns Q into the other side.
 */
export async function solveProjected(
  projected: Matrix,
  options: { readonly rank: number; readonly engine: GemmEngine; readonly signal?: AbortSignal | undefined },
): Promise<{ singularValues: Float64Array; side: Matrix; rotation: Matrix }> {
  const { engine, signal } = options;
  const size = projected.columns;
  const { values, vectors } = symmetricEigen(await engine.gram(projected), size);
  signal?.throwIfAborted();
  const sigmas = values.map((value) => Math.sqrt(Math.max(0, value)));
  let count = 0;
  while (count < Math.min(options.rank, size) && sigmas[count] > singularValueFloor * sigmas[0]) count++;

  const scaled = selectColumns(vectors, size, count, (i) => 1 / sigmas[i]);
  const { q, kept } = await orthonormalize(await engine.multiply(projected, scaled), { engine, signal });
  return {
    singularValues: Float64Array.from(kept, (index) => sigmas[index]),
    side: q,
    rotation: selectColumns(vectors, size, kept.length, () => 1, kept),
  };
}

/** Columns of a size × size float64 matrix, scaled, as size × count in float32. */
function selectColumns(
  vectors: Float64Array,
  size: number,
  count: number,
  scale: (column: number) => number,
  columns?: Uint32Array,
): Matrix {
  const result = createMatrix(size, count);
  for (let i = 0; i < count; i++) {
    const column = columns === undefined ? i : columns[i];
    const factor = scale(column);
    for (let row = 0; row < size; row++) result.data[row * count + i] = vectors[row * size + column] * factor;
  }
  return result;
}

/** Puts both sides (m × rank and n × rank) into the layout and sign convention of TruncatedSvd. */
export function finishSvd(
  left: Matrix,
  right: Matrix,
  singularValues: Float64Array,
  energy: number,
  method: TruncatedSvd['method'],
): TruncatedSvd {
  const rank = singularValues.length;
  const u = transpose(left).data;
  const v = transpose(right).data;
  for (let i = 0; i < rank; i++) {
    const vector = u.subarray(i * left.rows, (i + 1) * left.rows);
    let largest = 0;
    for (let row = 0; row < vector.length; row++) {
      if (Math.abs(vector[row]) > Math.abs(largest)) largest = vector[row];
    }
    if (largest >= 0) continue;
    for (const one of [vector, v.subarray(i * right.rows, (i + 1) * right.rows)]) {
      for (let row = 0; row < one.length; row++) one[row] = -one[row];
    }
  }
  return { rows: left.rows, columns: right.rows, rank, singularValues, u, v, energy, method };
}

/** The strongest components of a truncated SVD, at most `rank`: views of its vectors. */
export function leadingComponents(svd: TruncatedSvd, rank: number): TruncatedSvd {
  if (rank >= svd.rank) return svd;
  return {
    ...svd,
    rank,
    singularValues: svd.singularValues.subarray(0, rank),
    u: svd.u.subarray(0, rank * svd.rows),
    v: svd.v.subarray(0, rank * svd.columns),
  };
}

/** No components: of a zero or empty matrix, or because none are wanted. */
export function emptySvd(
  rows: number,
  columns: number,
  energy: number,
  method: TruncatedSvd['method'],
): TruncatedSvd {
  return {
    rows,
    columns,
    rank: 0,
    singularValues: new Float64Array(0),
    u: new Float32Array(0),
    v: new Float32Array(0),
    energy,
    method,
  };
}

/** Small linear algebra on factor matrices stored component by component (k × length, row-major). */
import { invertGramFactor } from '../linalg/cholesky.js';
import type { GemmEngine } from '../linalg/gemm-engine.js';
import { createMatrix, type Matrix, transpose } from '../linalg/matrix.js';

/** Relative norm below which a component counts as a combination of earlier ones. */
const DEPENDENCE_TOLERANCE = 1e-6;

/** Codes in half steps (components × length) as real values in steps, length × components. */
export function codesToMatrix(codes: Int16Array, components: number, length: number): Matrix {
  const values = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i++) values[i] = codes[i] * 0.5;
  return transpose(createMatrix(components, length, values));
}

/** Rows of a components × length array that have a code other than 0. */
export function nonZeroComponents(codes: Int16Array, components: number, length: number): number[] {
  const found: number[] = [];
  for (let k = 0; k < components; k++) {
    const end = (k + 1) * length;
    let i = k * length;
    while (i < end && codes[i] === 0) i++;
    if (i < end) found.push(k);
  }
  return found;
}

/** The given rows of a components × length array. */
export function selectComponents<T extends Int16Array | Float32Array>(
  values: T,
  rows: readonly number[],
  length: number,
): T {
  const result = values.slice(0, rows.length * length) as T;
  for (const [to, from] of rows.entries()) {
    if (from !== to) result.set(values.subarray(from * length, (from + 1) * length) as never, to * length);
  }
  return result;
}

/** Row i times f(weights[i]); the matrix itself without weights. */
export function scaleRows(
  matrix: Matrix,
  weights: Float32Array | undefined,
  f: (weight: number) => number = (weight) => weight,
): Matrix {
  if (weights === undefined) return matrix;
  const { rows, columns } = matrix;
  const data = matrix.data.slice();
  for (let i = 0; i < rows; i++) {
    const factor = f(weights[i]);
    for (let k = i * columns; k < (i + 1) * columns; k++) data[k] *= factor;
  }
  return { rows, columns, data };
}

export interface LeastSquares {
  /** components × length: the other side, each component times the norm of its own side. */
  readonly scaled: Float32Array;
  /** Norms of the fixed side's components. */
  readonly norms: Float64Array;
  /** Gram matrix of the fixed side, components × components. */
  readonly gram: Float64Array;
}

/**
 * The best other side for a fixed one: with X fixed (its codes, length × k) and P = Rᵀ X (other × k), the
 * minimiser of ‖R − X Yᵀ‖ is Y = P (XᵀX)⁻¹. A component is returned times ‖x_k‖, so that its entries are
 * in the units of R and one quantiser step serves all of them.
 */
export async function solveOtherSide(
  fixed: Matrix,
  projected: Matrix,
  engine: GemmEngine,
): Promise<LeastSquares> {
  const size = fixed.columns;
  const gram = await engine.gram(fixed);
  const { kept, inverse } = invertGramFactor(gram, size, {
    tolerance: DEPENDENCE_TOLERANCE,
    zeroNorm: 1e-30,
  });
  // G⁻¹ = S Sᵀ over the kept components; the others get 0.
  const factor = createMatrix(size, kept.length, new Float32Array(inverse));
  const half = await engine.multiply(projected, factor);
  const solution = await engine.multiply(half, factor, { transposeB: true });
  const norms = Float64Array.from({ length: size }, (_, k) => Math.sqrt(gram[k * size + k]));
  const { data } = transpose(solution);
  const length = projected.rows;
  for (let k = 0; k < size; k++) {
    const norm = norms[k];
    for (let i = k * length; i < (k + 1) * length; i++) data[i] *= norm;
  }
  return { scaled: data, norms, gram };
}

/**
 * The gains that minimise ‖R − Σ g_k x_k y_kᵀ‖: (XᵀX ∘ YᵀY) g = diag(Xᵀ R Y).
 * @param gramX,gramY k × k; @param products diag(Xᵀ R Y)
 */
export function solveGains(gramX: Float64Array, gramY: Float64Array, products: Float64Array): Float64Array {
  const size = products.length;
  const system = Float64Array.from(gramX, (value, i) => value * gramY[i]);
  const { kept, inverse } = invertGramFactor(system, size, {
    tolerance: DEPENDENCE_TOLERANCE,
    zeroNorm: 1e-30,
  });
  const count = kept.length;
  const half = new Float64Array(count);
  for (let k = 0; k < size; k++)
    for (let p = 0; p < count; p++) half[p] += inverse[k * count + p] * products[k];
  return Float64Array.from({ length: size }, (_, k) => {
    let sum = 0;
    for (let p = 0; p < count; p++) sum += inverse[k * count + p] * half[p];
    return sum;
  });
}

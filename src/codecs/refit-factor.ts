/**
 * Refits one factor to the other: when A has been quantised, the best B for it is no longer the one
 * that came with A. B = argmin ‖R − A·Bᵀ‖ = RᵀA·(AᵀA)⁻¹, one pass over R and a k × k system.
 */
import { invertGramFactor } from '../linalg/cholesky.js';
import type { GemmEngine } from '../linalg/gemm-engine.js';
import { createMatrix, type Matrix } from '../linalg/matrix.js';
import type { MatrixStream } from '../linalg/matrix-stream.js';
import { streamProducts } from '../linalg/stream-products.js';

/** Columns of A with less than this outside the span of earlier ones are left out: their row of B is 0. */
const DEPENDENCE_TOLERANCE = 1e-5;

/**
 * @param residual R, m × n
 * @param a A as the decoder will see it, m × k; columns may be 0 or dependent
 * @returns B, n × k
 */
export async function refitFactor(
  residual: MatrixStream,
  a: Matrix,
  options: { readonly engine: GemmEngine; readonly signal?: AbortSignal },
): Promise<Matrix> {
  const { engine } = options;
  const size = a.columns;
  const products = await streamProducts(residual, options).backward(a);
  const gram = await engine.gram(a);
  const { kept, inverse } = invertGramFactor(gram, size, { tolerance: DEPENDENCE_TOLERANCE, zeroNorm: 0 });
  // G⁻¹ = S·Sᵀ over the kept columns; rows and columns of dropped ones are 0.
  const solve = createMatrix(size, size);
  const count = kept.length;
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      let sum = 0;
      for (let p = 0; p < count; p++) sum += inverse[i * count + p]! * inverse[j * count + p]!;
      solve.data[i * size + j] = sum;
    }
  }
  return engine.multiply(products, solve);
}

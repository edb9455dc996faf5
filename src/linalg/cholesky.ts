/** The k × k part of Cholesky-QR, in float64: from a Gram matrix to the triangle that orthonormalises. */

export interface CholeskyInverse {
  /** Columns kept, in ascending order: those not numerically dependent on earlier ones. */
  readonly kept: Uint32Array;
  /** k × kept.length, row-major, upper triangular up to the removed columns: A · inverse has orthonormal columns. */
  readonly inverse: Float64Array;
}

/**
 * For G = AᵀA (k × k, row-major), S with Sᵀ G S = I over the kept columns.
 *
 * Columns are scaled to norm 1 first, then G = L Lᵀ is built row by row. A column of which less than
 * `tolerance` (relative norm) is left once the earlier columns are taken out is dropped; so is one
 * whose squared norm is not above `zeroNorm`². The order of the columns therefore matters: put the
 * important ones first.
 */
export function invertGramFactor(
  gram: Float64Array,
  size: number,
  options: { readonly tolerance: number; readonly zeroNorm: number },
): CholeskyInverse {
  const minimum = options.tolerance ** 2;
  const scales = new Float64Array(size);
  const kept = new Uint32Array(size);
  // lower: row p belongs to the p-th kept column.
  const lower = new Float64Array(size * size);
  let count = 0;
  for (let j = 0; j < size; j++) {
    const squared = gram[j * size + j];
    if (!(squared > options.zeroNorm ** 2)) continue;
    scales[j] = 1 / Math.sqrt(squared);
    const row = count * size;
    let left = 1;
    for (let p = 0; p < count; p++) {
      const column = kept[p];
      const value =
        (gram[j * size + column] * scales[j] * scales[column] - dot(lower, row, p * size, p)) /
        lower[p * size + p];
      lower[row + p] = value;
      left -= value * value;
    }
    if (!(left > minimum)) continue;
    lower[row + count] = Math.sqrt(left);
    kept[count++] = j;
  }
  return { kept: kept.slice(0, count), inverse: invertTransposed(lower, size, kept, scales, count) };
}

/** D · L⁻ᵀ, scattered to the original rows. Row p of `work` is column p of L⁻ᵀ. */
function invertTransposed(
  lower: Float64Array,
  size: number,
  kept: Uint32Array,
  scales: Float64Array,
  count: number,
): Float64Array {
  // Forward substitution of L⁻¹ row by row: row p = (e_p − Σ_{q<p} L_pq · row q) / L_pp.
  const work = new Float64Array(count * count);
  for (let p = 0; p < count; p++) {
    const row = p * count;
    for (let q = 0; q < p; q++) {
      const factor = lower[p * size + q];
      if (factor === 0) continue;
      const earlier = q * count;
      for (let i = 0; i <= q; i++) work[row + i] -= factor * work[earlier + i];
    }
    const scale = 1 / lower[p * size + p];
    for (let i = 0; i < p; i++) work[row + i] *= scale;
    work[row + p] = scale;
  }
  const inverse = new Float64Array(size * count);
  for (let p = 0; p < count; p++) {
    for (let i = 0; i <= p; i++) inverse[kept[i] * count + p] = work[p * count + i] * scales[kept[i]];
  }
  return inverse;
}

/** Σ values[a + i] · values[b + i] over i < length, in four chains. */
function dot(values: Float64Array, a: number, b: number, length: number): number {
  const tail = length & ~3;
  let sum0 = 0;
  let sum1 = 0;
  let sum2 = 0;
  let sum3 = 0;
  for (let i = 0; i < tail; i += 4) {
    sum0 += values[a + i] * values[b + i];
    sum1 += values[a + i + 1] * values[b + i + 1];
    sum2 += values[a + i + 2] * values[b + i + 2];
    sum3 += values[a + i + 3] * values[b + i + 3];
  }
  for (let i = tail; i < length; i++) sum0 += values[a + i] * values[b + i];
  return sum0 + sum1 + (sum2 + sum3);
}

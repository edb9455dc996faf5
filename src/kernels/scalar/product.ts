/** Integer products and the float32 GEMM, as the contract writes them. */
import { checkGemm, checkOperand, checkProduct, checkRounded } from '../arguments.js';
import { GEMM_BLOCK_K, type GemmRequest, type PreparedProduct, type WideIntegers } from '../kernels.js';

type Integers = Int16Array | WideIntegers;

/** Σ a_ik·b_jk as int32, modulo 2^32. */
function sumInt32(a: Integers, aStart: number, b: Integers, bStart: number, k: number): number {
  let sum = 0;
  for (let p = 0; p < k; p++) sum = (sum + Math.imul(a[aStart + p], b[bStart + p])) | 0;
  return sum;
}

/** Σ a_ik·b_jk in float64, exact below 2^53. */
function sumFloat64(a: Integers, aStart: number, b: Integers, bStart: number, k: number): number {
  let sum = 0;
  for (let p = 0; p < k; p++) sum += a[aStart + p] * b[bStart + p];
  return sum;
}

function prepare<T extends Integers>(
  sum: typeof sumInt32,
  b: T,
  columns: number,
  k: number,
  scale: number,
): PreparedProduct<T> {
  checkOperand(b.length, columns, k);
  let operand: Integers | undefined = b.slice();
  const rounded = Math.fround(scale);
  return {
    columns,
    k,
    accumulate(a, rows, out) {
      if (operand === undefined) throw new TypeError('expected a prepared product, got a freed one');
      checkProduct(a.length, rows, columns, k, out.length);
      for (let row = 0, i = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++, i++) {
          out[i] += Math.fround(rounded * Math.fround(sum(a, row * k, operand, column * k, k)));
        }
      }
    },
    addAndRound(dtype, a, rows, base, out) {
      if (operand === undefined) throw new TypeError('expected a prepared product, got a freed one');
      checkRounded(dtype, a.length, { rows, columns, k }, base, out);
      return 0;
    },
    free() {
      operand = undefined;
    },
  };
}

export function prepareProduct(
  b: Int16Array,
  columns: number,
  k: number,
  scale: number,
): PreparedProduct<Int16Array> {
  return prepare(sumInt32, b, columns, k, scale);
}

export function prepareWideProduct(
  b: WideIntegers,
  columns: number,
  k: number,
  scale: number,
): PreparedProduct<WideIntegers> {
  return prepare<WideIntegers>(sumFloat64, b, columns, k, scale);
}

export function gemm(request: GemmRequest): void {
  checkGemm(request);
  const { m, n, k, a, b, c, transposeA = false, accumulate = false } = request;
  if (!accumulate) c.fill(0);
  const sums = new Float32Array(n);
  for (let start = 0; start < k; start += GEMM_BLOCK_K) {
    const end = Math.min(start + GEMM_BLOCK_K, k);
    for (let i = 0; i < m; i++) {
      sums.fill(0);
      for (let p = start; p < end; p++) {
        const factor = transposeA ? a[p * m + i] : a[i * k + p];
        for (let j = 0; j < n; j++) sums[j] += Math.fround(factor * b[p * n + j]);
      }
      for (let j = 0; j < n; j++) c[i * n + j] += sums[j];
    }
  }
}

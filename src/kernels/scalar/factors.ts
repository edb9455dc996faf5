/** Integer factors, as the contract writes them. */
import { checkComponents, checkNorm } from '../arguments.js';
import type { ComponentsRequest } from '../kernels.js';

export function scaleComponents(request: ComponentsRequest): number {
  const count = checkComponents(request);
  const { codes, gains, length, out, stride, first } = request;
  let largest = 0;
  for (let k = 0; k < count; k++) {
    for (let i = 0; i < length; i++) {
      const product = gains[k] * codes[k * length + i];
      largest = Math.max(largest, Math.abs(product));
      out[i * stride + first + k] = product;
    }
  }
  return largest;
}

export function largestSquaredNorm(matrix: Int16Array, k: number): number {
  checkNorm(matrix.length, k);
  let largest = 0;
  for (let start = 0; start < matrix.length; start += k) {
    let sum = 0;
    for (let i = start; i < start + k; i++) sum += matrix[i] * matrix[i];
    largest = Math.max(largest, sum);
  }
  return largest;
}

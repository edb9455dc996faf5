/** A GEMM kernel in plain loops, blocked over the summation index: what the WebAssembly kernel is in production. */
import type { GemmKernel } from '../../src/linalg/gemm-engine.js';

const innerBlock = 64; // rows of b that stay in cache while all rows of a pass over them

export const plainGemm: GemmKernel = (transA, m, n, k, a, b, c, accumulate) => {
  if (!accumulate) c.fill(0);
  for (let start = 0; start < k; start += innerBlock) {
    const end = Math.min(start + innerBlock, k);
    for (let i = 0; i < m; i++) {
      for (let p = start; p < end; p++) {
        const factor = transA ? a[p * m + i] : a[i * k + p];
        for (let j = 0; j < n; j++) c[i * n + j] += factor * b[p * n + j];
      }
    }
  }
};

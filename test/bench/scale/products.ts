/** Counts of matrix products: what a thread of `ere` writes down (count-products.ts), and sums of it. */

/** All products of one shape, m × k times k × n; 'gram' is aᵀ·a in float64. */
export interface ProductCount {
  readonly kind: 'gemm' | 'gram';
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly flops: number;
  /** Inside the engine, summed over threads. */
  readonly durationMs: number;
}

/** What one thread counted. */
export interface ThreadProducts {
  readonly shapes: readonly ProductCount[];
  /** Operations by the slice of time in which their product ended. */
  readonly slices: readonly { readonly atEpochMs: number; readonly flops: number }[];
}

export const SLICE_MS = 50;

/** The shapes of all threads together, most operations first. */
export function sumShapes(threads: readonly ThreadProducts[]): ProductCount[] {
  const sums = new Map<string, ProductCount>();
  for (const count of threads.flatMap(({ shapes }) => shapes)) {
    const key = shapeKey(count);
    const before = sums.get(key) ?? { ...count, flops: 0, durationMs: 0 };
    sums.set(key, {
      ...before,
      flops: before.flops + count.flops,
      durationMs: before.durationMs + count.durationMs,
    });
  }
  return [...sums.values()].sort((x, y) => y.flops - x.flops);
}

export function shapeKey({ kind, m, k, n }: Pick<ProductCount, 'kind' | 'm' | 'k' | 'n'>): string {
  return `${kind} ${m} × ${k} × ${n}`;
}

/** Operations whose products ended between two moments. */
export function flopsBetween(
  threads: readonly ThreadProducts[],
  startEpochMs: number,
  endEpochMs: number,
): number {
  return threads
    .flatMap(({ slices }) => slices)
    .filter(({ atEpochMs }) => atEpochMs >= startEpochMs && atEpochMs < endEpochMs)
    .reduce((sum, { flops }) => sum + flops, 0);
}

/** Bisection over an integer parameter whose growth costs bytes and takes off error. */

/**
 * For a size: the largest value in [0, largest] that meets it; for an error: the smallest.
 * Where none does: 0 for a size, `largest` for an error.
 */
export function searchParameter(
  largest: number,
  meetsTarget: (value: number) => boolean,
  kind: 'size' | 'error',
): number {
  let low = 0;
  let high = largest;
  while (low < high) {
    const middle = kind === 'size' ? Math.ceil((low + high) / 2) : Math.floor((low + high) / 2);
    const met = meetsTarget(middle);
    if (kind === 'size') {
      if (met) low = middle;
      else high = middle - 1;
    } else if (met) high = middle;
    else low = middle + 1;
  }
  return low;
}

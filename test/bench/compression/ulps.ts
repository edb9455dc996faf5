/** How far decoded weights are from the right ones, in steps of their own dtype. */
import type { Dtype } from '../../../formats/dtype.js';

export interface UlpComparison {
  /** Share of weights with the same bits. */
  readonly equalShare: number;
  /** Representable values between a weight and its decoded value, the far end counted; −0 and 0 are one. */
  readonly largestDistance: number;
}

/** Compares tensors of a 16-bit float type; others count by equal bytes only, with distance NaN. */
export function compareUlps(
  pairs: readonly { readonly dtype: Dtype; readonly x: Uint8Array; readonly y: Uint8Array }[],
): UlpComparison {
  let equal = 0;
  let count = 0;
  let largest = 0;
  for (const { dtype, x, y } of pairs) {
    if (dtype !== 'BF16' && dtype !== 'F16') {
      for (let i = 0; i < x.length; i++) if (x[i] === y[i]) equal++;
      count += x.length;
      largest = Number.NaN;
      continue;
    }
    const view = (bytes: Uint8Array) => new Uint16Array(bytes.slice().buffer);
    const [left, right] = [view(x), view(y)];
    for (let i = 0; i < left.length; i++) {
      if (left[i] === right[i]) equal++;
      else largest = Math.max(largest, Math.abs(order(left[i]!) - order(right[i]!)));
    }
    count += left.length;
  }
  return { equalShare: equal / count, largestDistance: largest };
}

/** Position of a 16-bit float among all of them; both zeros are 0. */
function order(code: number): number {
  return code & 0x8000 ? -(code & 0x7fff) : code;
}

/**
 * Spends the bytes that an allocation left over: steps up, one tensor at a time, to the point with
 * the most error off per byte among those that still fit, until none fits.
 */
import { totalByteLength } from './allocation.js';
import { type OperatingPoint, slope } from './operating-points.js';

/** @param all per tensor its points; @param chosen the allocation so far; @returns a new allocation */
export function fillRemainder(
  all: readonly (readonly OperatingPoint[])[],
  chosen: readonly OperatingPoint[],
  byteLength: number,
): OperatingPoint[] {
  const result = [...chosen];
  let left = byteLength - totalByteLength(result);
  for (;;) {
    let best: { tensor: number; point: OperatingPoint; slope: number } | undefined;
    for (const [tensor, points] of all.entries()) {
      const from = result[tensor]!;
      for (const point of points) {
        const cost = point.byteLength - from.byteLength;
        if (cost <= 0 || cost > left || point.squaredError >= from.squaredError) continue;
        const gain = slope(from, point);
        if (best === undefined || gain > best.slope) best = { tensor, point, slope: gain };
      }
    }
    if (best === undefined) return result;
    left -= best.point.byteLength - result[best.tensor]!.byteLength;
    result[best.tensor] = best.point;
  }
}

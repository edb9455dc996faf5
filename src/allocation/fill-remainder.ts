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
  const steps = all.map((points, tensor) => bestStep(points, result[tensor]!, left));
  for (;;) {
    let best = -1;
    for (const [tensor, step] of steps.entries()) {
      // What fits only gets less: a tensor's best step stays its best until it no longer fits.
      if (step !== undefined && step.byteLength > left) {
        steps[tensor] = bestStep(all[tensor]!, result[tensor]!, left);
      }
      if (steps[tensor] !== undefined && (best === -1 || steps[tensor].slope > steps[best]!.slope))
        best = tensor;
    }
    const step = steps[best];
    if (step === undefined) return result;
    left -= step.byteLength;
    result[best] = step.to;
    steps[best] = bestStep(all[best]!, step.to, left);
  }
}

interface Step {
  readonly to: OperatingPoint;
  /** Bytes of the step. */
  readonly byteLength: number;
  readonly slope: number;
}

/** The first of the steepest steps that fit. */
function bestStep(points: readonly OperatingPoint[], from: OperatingPoint, left: number): Step | undefined {
  let best: Step | undefined;
  for (const to of points) {
    const byteLength = to.byteLength - from.byteLength;
    if (byteLength <= 0 || byteLength > left || to.squaredError >= from.squaredError) continue;
    const gain = slope(from, to);
    if (best === undefined || gain > best.slope) best = { to, byteLength, slope: gain };
  }
  return best;
}

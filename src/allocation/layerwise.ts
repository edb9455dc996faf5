/**
 * Strategy "layerwise" (arXiv 2305.18425, layer-wise rank allocation): minimises Σ_l ‖R_l − R̂_l‖²
 * under a byte budget by taking, over all tensors at once, the step that takes off most error per
 * byte. On the lower convex hulls of the tensors this greedy walk is optimal up to its last step.
 * A prior first gives every tensor its share of the uniform allocation, so that none starves.
 */
import type { BitsProfile } from '../codecs/bits-profile.js';
import type { AllocationStrategy, AllocationTarget } from './allocation.js';
import { meets, totalByteLength, totalSquaredError } from './allocation.js';
import { fillRemainder } from './fill-remainder.js';
import { lowerHull, lowRankPoints, type OperatingPoint, otherPoints, slope } from './operating-points.js';
import { uniform } from './uniform.js';

export const layerwise: AllocationStrategy = (tensors, target, options) => {
  if (target.kind === 'fixed')
    throw new RangeError('expected a size or an error for a layer-wise allocation');
  const all = tensors.map((tensor) => [...lowRankPoints(tensor, options.bits), ...otherPoints(tensor)]);
  const floors = priorFloors(tensors, target, options.bits, options.prior);
  const hulls = all.map((points, i) => lowerHull(points.filter((point) => point.byteLength >= floors[i]!)));

  const steps = hulls.flatMap((hull, tensor) =>
    hull.slice(1).map((to, i) => ({ tensor, to, slope: slope(hull[i]!, to) })),
  );
  // Slopes fall along each hull, so the global order keeps each tensor's own order; ties by position.
  steps.sort((x, y) => y.slope - x.slope || x.tensor - y.tensor || x.to.byteLength - y.to.byteLength);

  const chosen = hulls.map((hull) => hull[0]!);
  let byteLength = totalByteLength(chosen);
  let squaredError = totalSquaredError(chosen);
  for (const { tensor, to } of steps) {
    const from = chosen[tensor]!;
    if (target.kind === 'error') {
      if (squaredError <= target.squaredError) break;
      // The last step may be a large one, so the cheapest that is enough takes its place.
      if (squaredError - from.squaredError + to.squaredError <= target.squaredError)
        return lastStep(all, chosen, squaredError - target.squaredError);
    }
    if (target.kind === 'size' && byteLength + to.byteLength - from.byteLength > target.byteLength) break;
    byteLength += to.byteLength - from.byteLength;
    squaredError += to.squaredError - from.squaredError;
    chosen[tensor] = to;
  }
  return target.kind === 'size' ? fillRemainder(all, chosen, target.byteLength) : chosen;
};

/** The allocation with one tensor moved to the cheapest point that takes off enough error; there is one. */
function lastStep(
  all: readonly (readonly OperatingPoint[])[],
  chosen: readonly OperatingPoint[],
  squaredError: number,
): OperatingPoint[] {
  let best: { tensor: number; point: OperatingPoint; cost: number } | undefined;
  for (const [tensor, points] of all.entries()) {
    const from = chosen[tensor]!;
    for (const point of points) {
      const cost = point.byteLength - from.byteLength;
      if (from.squaredError - point.squaredError < squaredError) continue;
      if (best === undefined || cost < best.cost) best = { tensor, point, cost };
    }
  }
  return chosen.map((point, tensor) => (tensor === best?.tensor ? best.point : point));
}

/** Bytes that each tensor gets before the greedy walk: `prior` times its rank in the uniform allocation. */
function priorFloors(
  tensors: Parameters<AllocationStrategy>[0],
  target: AllocationTarget,
  bits: BitsProfile,
  prior: number,
): number[] {
  if (prior === 0) return tensors.map(() => 0);
  const points = uniform(tensors, target, { bits, prior: 0 });
  const floors = points.map((point, i) => {
    if (point.choice.kind !== 'low-rank') return prior >= 1 ? point.byteLength : 0;
    return lowRankPoints(tensors[i]!, bits)[Math.floor(prior * point.choice.rank)]!.byteLength;
  });
  return meets(points, target) || target.kind === 'error' ? floors : tensors.map(() => 0);
}

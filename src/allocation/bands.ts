/**
 * Strategy "bands" (Delta-CoMe, arXiv 2406.08903): every matrix gets the same share of bytes per
 * weight, spent from the strongest singular vector down at the widths of the profile. With an
 * error, the share is searched; a fixed parameter is the rank of every matrix.
 */
import type { AllocationStrategy } from './allocation.js';
import { meets } from './allocation.js';
import { fillRemainder } from './fill-remainder.js';
import { lowRankPoints, type OperatingPoint } from './operating-points.js';
import { searchParameter } from './search-parameter.js';
import { cheaperOfExact, uniform } from './uniform.js';

/** The share is searched in 1/10,000 of a byte per weight: finer than one 2-bit component of a 16 k × 16 k matrix. */
const STEPS_PER_BYTE = 10_000;
/** From 4 bytes a weight on, every matrix is coded exactly. */
const LARGEST_SHARE = 4;

export const bands: AllocationStrategy = (tensors, target, options) => {
  if (target.kind === 'fixed') return uniform(tensors, target, options);
  const candidates = tensors.map((tensor) => lowRankPoints(tensor, options.bits));
  const atShare = (step: number): OperatingPoint[] =>
    candidates.map((points, i) => {
      const tensor = tensors[i]!;
      const byteLength = (step / STEPS_PER_BYTE) * tensor.rows * tensor.columns;
      const first = points.findIndex((point) => point.byteLength > byteLength);
      return cheaperOfExact(tensor, points[first === -1 ? points.length - 1 : first - 1]!);
    });
  const step = searchParameter(
    LARGEST_SHARE * STEPS_PER_BYTE,
    (value) => meets(atShare(value), target),
    target.kind,
  );
  const chosen = atShare(step);
  return target.kind === 'size' ? fillRemainder(candidates, chosen, target.byteLength) : chosen;
};

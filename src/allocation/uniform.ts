/**
 * Strategy "uniform": the same rank for every matrix (capped at its smaller side, and at exact
 * coding where that is no larger). With a size, the largest such rank that fits, the rest spent
 * by one further component per matrix.
 */
import type { AllocationStrategy } from './allocation.js';
import { meets } from './allocation.js';
import { fillRemainder } from './fill-remainder.js';
import { type AllocationTensor, lowRankPoints, type OperatingPoint } from './operating-points.js';
import { searchParameter } from './search-parameter.js';

export const uniform: AllocationStrategy = (tensors, target, { bits }) => {
  const candidates = tensors.map((tensor) => lowRankPoints(tensor, bits));
  const atRank = (rank: number): OperatingPoint[] =>
    candidates.map((points, i) => cheaperOfExact(tensors[i]!, points[Math.min(rank, points.length - 1)]!));
  if (target.kind === 'fixed') return atRank(target.value);
  const largest = Math.max(0, ...candidates.map((points) => points.length - 1));
  const rank = searchParameter(largest, (value) => meets(atRank(value), target), target.kind);
  const chosen = atRank(rank);
  if (target.kind !== 'size') return chosen;
  const next = candidates.map((points, i) => [chosen[i]!, ...points.slice(rank + 1, rank + 2)]);
  return fillRemainder(next, chosen, target.byteLength);
};

/** A low-rank point, or exact coding where that costs no more bytes and is allowed. */
export function cheaperOfExact(tensor: AllocationTensor, point: OperatingPoint): OperatingPoint {
  return tensor.lowRankOnly || point.byteLength < tensor.exactByteLength
    ? point
    : { byteLength: tensor.exactByteLength, squaredError: 0, choice: { kind: 'exact' } };
}

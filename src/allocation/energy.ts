/**
 * Strategy "energy": every matrix keeps the same share τ of Σσ², at its smallest sufficient rank.
 * With a size or an error, τ is searched in steps of 1/10,000.
 */
import type { AllocationStrategy } from './allocation.js';
import { meets } from './allocation.js';
import { fillRemainder } from './fill-remainder.js';
import { type AllocationTensor, lowRankPoints, type OperatingPoint } from './operating-points.js';
import { searchParameter } from './search-parameter.js';
import { cheaperOfExact } from './uniform.js';

const STEPS = 10_000;

export const energy: AllocationStrategy = (tensors, target, { bits }) => {
  const candidates = tensors.map((tensor) => lowRankPoints(tensor, bits));
  const shares = tensors.map(keptShares);
  const atShare = (share: number): OperatingPoint[] =>
    candidates.map((points, i) => {
      const rank = shares[i]!.findIndex((kept) => kept >= share);
      return cheaperOfExact(
        tensors[i]!,
        points[rank === -1 ? points.length - 1 : Math.min(rank, points.length - 1)]!,
      );
    });
  if (target.kind === 'fixed') return atShare(target.value);
  const step = searchParameter(STEPS, (value) => meets(atShare(value / STEPS), target), target.kind);
  const chosen = atShare(step / STEPS);
  return target.kind === 'size' ? fillRemainder(candidates, chosen, target.byteLength) : chosen;
};

/** Share of the energy in the first r components, by r. */
function keptShares({ singularValues, energy }: AllocationTensor): number[] {
  const shares = [0];
  let kept = 0;
  for (const sigma of singularValues) {
    kept += sigma * sigma;
    shares.push(kept / (energy || 1));
  }
  return shares;
}

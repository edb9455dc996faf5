/** Runs an allocation strategy by name, and picks the factor width where the user leaves it open. */
import type { BitsProfile } from '../codecs/bits-profile.js';
import type { AllocationStrategy, AllocationTarget } from './allocation.js';
import { totalByteLength, totalSquaredError } from './allocation.js';
import { bands } from './bands.js';
import { energy } from './energy.js';
import { layerwise } from './layerwise.js';
import type { AllocationTensor, OperatingPoint } from './operating-points.js';
import { signs } from './signs.js';
import { uniform } from './uniform.js';

export const STRATEGIES = { uniform, energy, layerwise, bands, signs } satisfies Record<
  string,
  AllocationStrategy
>;
/** Strategies that choose among operating points. */
export type PointStrategyName = keyof typeof STRATEGIES;
/** All strategies; 'rate-distortion' chooses by one step for the whole model (src/rate-distortion). */
export type StrategyName = PointStrategyName | 'rate-distortion';

/** Widths tried by bits 'auto' with a size or an error to reach. */
const AUTO_BITS = [2, 3, 4, 5, 6, 8] as const;
/** Width with a fixed rank or energy: the quantisation error is far below the truncation's. */
const FIXED_TARGET_BITS = 8;

export interface AllocateOptions {
  readonly strategy: PointStrategyName;
  /** 2 to 16, of all components or by component, or 'auto': the one width that is best for the target. */
  readonly bits: BitsProfile | 'auto';
  /** Weight of the uniform allocation, 0 to 1. */
  readonly prior: number;
}

export interface AllocationResult {
  /** One point a tensor. */
  readonly points: readonly OperatingPoint[];
  readonly bits: BitsProfile;
}

export function allocate(
  tensors: readonly AllocationTensor[],
  target: AllocationTarget,
  options: AllocateOptions,
): AllocationResult {
  const { strategy, bits, prior } = options;
  const run = (width: BitsProfile): AllocationResult => ({
    points: STRATEGIES[strategy](tensors, target, { bits: width, prior }),
    bits: width,
  });
  if (bits !== 'auto') return run(bits);
  if (target.kind === 'fixed') return run(FIXED_TARGET_BITS);
  const candidates = AUTO_BITS.map(run);
  return candidates.reduce((best, candidate) => (isBetter(candidate, best, target) ? candidate : best));
}

/** Less error at a size; fewer bytes at an error, among those that reach it. */
function isBetter(candidate: AllocationResult, best: AllocationResult, target: AllocationTarget): boolean {
  const errors = [candidate, best].map((result) => totalSquaredError(result.points)) as [number, number];
  if (target.kind !== 'error') return errors[0] < errors[1];
  const reached = errors.map((squaredError) => squaredError <= target.squaredError) as [boolean, boolean];
  if (reached[0] !== reached[1]) return reached[0];
  if (!reached[0]) return errors[0] < errors[1];
  return totalByteLength(candidate.points) < totalByteLength(best.points);
}

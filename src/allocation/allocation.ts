/** The contract of an allocation strategy: from operating points and a target to one point a tensor. */
import type { BitsProfile } from '../codecs/bits-profile.js';
import type { AllocationTensor, OperatingPoint } from './operating-points.js';

/** What an allocation has to reach. */
export type AllocationTarget =
  /** Payload bytes of all tensors together, at most. */
  | { readonly kind: 'size'; readonly byteLength: number }
  /** Σ‖R − R̂‖² over all tensors, at most (as predicted). */
  | { readonly kind: 'error'; readonly squaredError: number }
  /** The strategy's own parameter: a rank, or a share of energy. */
  | { readonly kind: 'fixed'; readonly value: number };

export interface AllocationOptions {
  /** Bits per factor entry, 2 to 16, of all components or by component. */
  readonly bits: BitsProfile;
  /** Weight of the uniform allocation, 0 to 1 (layerwise only). */
  readonly prior: number;
}

/** One point a tensor, in the order of the tensors. Where the target is out of reach: the nearest there is. */
export type AllocationStrategy = (
  tensors: readonly AllocationTensor[],
  target: AllocationTarget,
  options: AllocationOptions,
) => OperatingPoint[];

export function totalByteLength(points: readonly OperatingPoint[]): number {
  return points.reduce((sum, point) => sum + point.byteLength, 0);
}

export function totalSquaredError(points: readonly OperatingPoint[]): number {
  return points.reduce((sum, point) => sum + point.squaredError, 0);
}

/** Whether an allocation stays within a target of size or error. */
export function meets(points: readonly OperatingPoint[], target: AllocationTarget): boolean {
  if (target.kind === 'size') return totalByteLength(points) <= target.byteLength;
  if (target.kind === 'error') return totalSquaredError(points) <= target.squaredError;
  return true;
}

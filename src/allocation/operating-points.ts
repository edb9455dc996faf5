/**
 * What each tensor can be coded as, and what that costs: the operating points that every allocation
 * strategy chooses from. Errors are squared Frobenius norms, sizes are payload bytes.
 */
import { denseByteLength } from '../codecs/dense.js';
import { componentByteLength } from '../codecs/low-rank.js';
import { expectedRelativeError } from '../codecs/scalar-quantizer.js';

/** A residual matrix as the allocation sees it. */
export interface AllocationTensor {
  readonly rows: number;
  readonly columns: number;
  /** ‖R‖². */
  readonly energy: number;
  /** Leading singular values, descending; may be fewer than min(rows, columns). */
  readonly singularValues: Float64Array;
  /** Payload bytes of exact coding, an upper bound. */
  readonly exactByteLength: number;
}

export type Choice =
  | { readonly kind: 'none' }
  | { readonly kind: 'low-rank'; readonly rank: number; readonly bits: number }
  | { readonly kind: 'dense'; readonly bits: number }
  | { readonly kind: 'exact' };

export interface OperatingPoint {
  readonly byteLength: number;
  /** Predicted ‖R − R̂‖². */
  readonly squaredError: number;
  readonly choice: Choice;
}

/** Widths of the dense coder that compete with the low-rank part. */
const DENSE_BITS = [2, 3, 4, 5, 6, 8] as const;

/** The low-rank points of ranks 0 … all known singular values; index = rank. */
export function lowRankPoints(tensor: AllocationTensor, bits: number): OperatingPoint[] {
  const { rows, columns, energy, singularValues } = tensor;
  const componentBytes = componentByteLength(rows, columns, bits);
  // ‖σuvᵀ − σûv̂ᵀ‖² with û, v̂ the quantised vectors: a centroid quantiser keeps (1 − e)² of σ².
  const kept = (1 - expectedRelativeError(bits)) ** 2;
  const points: OperatingPoint[] = [{ byteLength: 0, squaredError: energy, choice: { kind: 'none' } }];
  let squaredError = energy;
  for (const [i, sigma] of singularValues.entries()) {
    squaredError = Math.max(0, squaredError - sigma * sigma * kept);
    const rank = i + 1;
    points.push({
      byteLength: rank * componentBytes,
      squaredError,
      choice: { kind: 'low-rank', rank, bits },
    });
  }
  return points;
}

/** The points without low-rank structure: dense at several widths, and exact. */
export function otherPoints(tensor: AllocationTensor): OperatingPoint[] {
  const { rows, columns, energy } = tensor;
  const dense = DENSE_BITS.map(
    (bits): OperatingPoint => ({
      byteLength: denseByteLength(rows, columns, bits),
      squaredError: energy * expectedRelativeError(bits),
      choice: { kind: 'dense', bits },
    }),
  );
  return [...dense, { byteLength: tensor.exactByteLength, squaredError: 0, choice: { kind: 'exact' } }];
}

/**
 * Lower convex hull of error over bytes, starting at the first point (the cheapest allowed).
 * On it, the error taken off per byte falls from point to point, so that a walk by slope over all
 * tensors minimises the total error at every size it passes (Shoham and Gersho 1988).
 */
export function lowerHull(points: readonly OperatingPoint[]): OperatingPoint[] {
  const ordered = [...points].sort((x, y) => x.byteLength - y.byteLength || x.squaredError - y.squaredError);
  const hull: OperatingPoint[] = [];
  for (const point of ordered) {
    if (hull.length > 0 && point.squaredError >= hull[hull.length - 1]!.squaredError) continue;
    while (
      hull.length >= 2 &&
      slope(hull[hull.length - 2]!, hull[hull.length - 1]!) <= slope(hull[hull.length - 2]!, point)
    ) {
      hull.pop();
    }
    hull.push(point);
  }
  return hull;
}

/** Squared error taken off per byte on the way from one point to a larger one. */
export function slope(from: OperatingPoint, to: OperatingPoint): number {
  return (from.squaredError - to.squaredError) / (to.byteLength - from.byteLength);
}

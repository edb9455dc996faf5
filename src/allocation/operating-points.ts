/**
 * What each tensor can be coded as, and what that costs: the operating points that every allocation
 * strategy chooses from. Errors are squared Frobenius norms, sizes are payload bytes.
 */
import { type BitsProfile, bitsOf } from '../codecs/bits-profile.js';
import { denseByteLength } from '../codecs/dense.js';
import { componentByteLength } from '../codecs/low-rank.js';
import { expectedRelativeError } from '../codecs/scalar-quantizer.js';
import { signByteLength } from '../codecs/sign.js';
import type { ResidualEncoding } from '../rate-distortion/encode-residual.js';

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
  /** Largest rank that may be chosen; default: all known singular values. */
  readonly maxRank?: number;
  /** Width of its factors whatever the allocation's. */
  readonly factorBits?: number;
  /** Whether the matrix may only be coded as low rank (or not at all), whatever the bytes; default false. */
  readonly lowRankOnly?: boolean;
}

export type RateDistortionChoice = {
  readonly kind: 'rate-distortion';
  /** Numbers of the tensors that are coded together, this one included; default: alone. */
  readonly group?: readonly number[];
} & ResidualEncoding;

export type Choice =
  | { readonly kind: 'none' }
  /** With `smallWeights`: a recovered product as a whole, with a term that corrects small weights. */
  | {
      readonly kind: 'low-rank';
      readonly rank: number;
      readonly bits: BitsProfile;
      readonly smallWeights?: true;
    }
  | { readonly kind: 'dense'; readonly bits: number }
  | { readonly kind: 'sign' }
  | RateDistortionChoice
  /** With `lowRankFirst`: also tried on top of a low-rank part, whatever is smaller. */
  | { readonly kind: 'exact'; readonly lowRankFirst?: boolean };

export interface OperatingPoint {
  readonly byteLength: number;
  /** Predicted ‖R − R̂‖². */
  readonly squaredError: number;
  readonly choice: Choice;
}

/** Widths of the dense coder that compete with the low-rank part. */
const DENSE_BITS = [2, 3, 4, 5, 6, 8] as const;

/** The low-rank points of ranks 0 … the largest allowed among the known ones; index = rank. */
export function lowRankPoints(tensor: AllocationTensor, profile: BitsProfile): OperatingPoint[] {
  const bits = tensor.factorBits ?? profile;
  const { rows, columns, energy, singularValues, maxRank = Number.POSITIVE_INFINITY } = tensor;
  const points: OperatingPoint[] = [{ byteLength: 0, squaredError: energy, choice: { kind: 'none' } }];
  let byteLength = 0;
  let squaredError = energy;
  for (const [k, sigma] of singularValues.subarray(0, maxRank).entries()) {
    const width = bitsOf(bits, k);
    // ‖σuvᵀ − σûv̂ᵀ‖² with û, v̂ the quantised vectors: a centroid quantiser keeps (1 − e)² of σ².
    const kept = (1 - expectedRelativeError(width)) ** 2;
    byteLength += componentByteLength(rows, columns, width);
    squaredError = Math.max(0, squaredError - sigma * sigma * kept);
    points.push({ byteLength, squaredError, choice: { kind: 'low-rank', rank: k + 1, bits } });
  }
  return points;
}

/** The points without low-rank structure, where the tensor may take them: dense at several widths, and exact. */
export function otherPoints(tensor: AllocationTensor): OperatingPoint[] {
  const { rows, columns, energy } = tensor;
  if (tensor.lowRankOnly) return [];
  const dense = DENSE_BITS.map(
    (bits): OperatingPoint => ({
      byteLength: denseByteLength(rows, columns, bits),
      squaredError: energy * expectedRelativeError(bits),
      choice: { kind: 'dense', bits },
    }),
  );
  return [...dense, { byteLength: tensor.exactByteLength, squaredError: 0, choice: { kind: 'exact' } }];
}

/** Share of ‖R‖² that the signs of a Gaussian R with its mean magnitude leave: 1 − (E|r|)² / E[r²]. */
const GAUSSIAN_SIGN_ERROR = 1 - 2 / Math.PI;

/** Signs and one scale. */
export function signPoint({ rows, columns, energy }: AllocationTensor): OperatingPoint {
  return {
    byteLength: signByteLength(rows, columns),
    squaredError: energy * GAUSSIAN_SIGN_ERROR,
    choice: { kind: 'sign' },
  };
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

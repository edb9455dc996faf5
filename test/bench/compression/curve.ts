/** Rate–distortion curves through measured points, and what one method needs where another one was measured. */

export interface CurvePoint {
  readonly bitsPerWeight: number;
  /** ‖R − R̂‖² / ‖R‖², over 0. */
  readonly squaredError: number;
}

/** The points that no other one beats in both respects, by ascending bits, so by descending error. */
export function frontOf<Point extends CurvePoint>(points: readonly Point[]): Point[] {
  const ascending = [...points].sort(
    (x, y) => x.bitsPerWeight - y.bitsPerWeight || x.squaredError - y.squaredError,
  );
  let least = Number.POSITIVE_INFINITY;
  return ascending.filter(({ squaredError }) => {
    if (squaredError >= least) return false;
    least = squaredError;
    return true;
  });
}

/**
 * Bits per weight at an error: linear in the logarithm of the error between the neighbouring points of
 * the front. Such curves bend downwards, so a chord is rather more than what the method would take there.
 * Undefined outside of the measured errors.
 */
export function bitsAt(points: readonly CurvePoint[], squaredError: number): number | undefined {
  const front = frontOf(points);
  const next = front.findIndex((point) => point.squaredError <= squaredError);
  const below = front[next];
  if (below === undefined) return undefined;
  if (below.squaredError === squaredError) return below.bitsPerWeight;
  const above = front[next - 1];
  if (above === undefined) return undefined;
  const share =
    Math.log(above.squaredError / squaredError) / Math.log(above.squaredError / below.squaredError);
  return above.bitsPerWeight + share * (below.bitsPerWeight - above.bitsPerWeight);
}

export interface EqualErrorRatio {
  /** Whether `bits` and `ratio` are upper bounds. */
  readonly isBound: boolean;
  /** Where the reference was measured. */
  readonly squaredError: number;
  readonly referenceBits: number;
  readonly bits: number;
  /** bits / referenceBits. */
  readonly ratio: number;
}

/**
 * Bits of `points` over those of `reference` at each error where the reference was measured and the curve reaches.
 * Where even the coarsest point has less error than the reference, its bits are an upper bound.
 */
export function equalErrorRatios(
  points: readonly CurvePoint[],
  reference: readonly CurvePoint[],
): EqualErrorRatio[] {
  const coarsest = frontOf(points).reduce<CurvePoint | undefined>(
    (worst, point) => (worst === undefined || point.squaredError > worst.squaredError ? point : worst),
    undefined,
  );
  return frontOf(reference).flatMap(({ bitsPerWeight: referenceBits, squaredError }) => {
    const isBound = coarsest !== undefined && squaredError > coarsest.squaredError;
    const bits = isBound ? coarsest.bitsPerWeight : bitsAt(points, squaredError);
    return bits === undefined
      ? []
      : [{ squaredError, referenceBits, bits, ratio: bits / referenceBits, isBound }];
  });
}

/** 10·log10(1 / squaredError). */
export function decibels(squaredError: number): number {
  return -10 * Math.log10(squaredError);
}

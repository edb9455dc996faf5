/**
 * Losses as an index states them: six significant digits are more than anyone compares, and compress better.
 * @param digits significant decimal digits
 */
export function roundLoss(value: number, digits = 6): number {
  return Number(value.toPrecision(digits));
}

/** How far apart weights are, and from where on two models have nothing to do with one another. */

/**
 * ‖R‖² / (‖W_ft‖² + ‖W_base‖²) is near 1 for independent weights and under 0.1 for fine-tunes; heavy continued
 * training reaches a few tenths.
 */
export const UNRELATED_DISTANCE = 0.7;

/** ‖R‖² / (‖W_ft‖² + ‖W_base‖²), 0 where all are 0. */
export function distanceOf(squaredResidual: number, squaredFineTuned: number, squaredBase: number): number {
  const weights = squaredFineTuned + squaredBase;
  return weights === 0 ? 0 : squaredResidual / weights;
}

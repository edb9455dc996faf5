/**
 * Finds the quantiser step whose archive meets a size or an error. Bytes fall and error grows with the
 * step, both nearly as powers of it, so the search interpolates between logarithms; the first step comes
 * from the rate of Gaussian residuals of the measured energies.
 */
import { gaussianCost } from '../rate-distortion/gaussian-cost.js';
import { type Attempt, type ResolvedBudget, sizeError } from './budget-search.js';

export interface StepSearchInput<Found extends Attempt<unknown>> {
  readonly budget: ResolvedBudget;
  /** Bytes of the file that no step changes, as estimated before the first encode. */
  readonly fixedByteLength: number;
  /** Σ‖R‖². */
  readonly squaredResidual: number;
  readonly residuals: readonly { readonly elements: number; readonly energy: number }[];
  /** Cost of a bit in squared steps. */
  readonly lambda: number;
  attempt(step: number): Promise<Found>;
}

/** Encodes at most this often. */
const MAX_ATTEMPTS = 10;
/** A file this close under the asked size is good; so is an error this close under the asked one. */
const TOLERANCE = 0.004;
/** Aim, relative to the budget: in the middle of the tolerance. */
const AIM = 1 - TOLERANCE / 2;
/** Step factor where nothing better is known; bytes change by about half. */
const BLIND_FACTOR = 1.6;

interface Sample<Found> {
  readonly found: Found;
  readonly step: number;
  /** log of value / aim: negative where the budget has room left. */
  readonly excess: number;
}

export async function searchStep<Found extends Attempt<unknown>>(
  input: StepSearchInput<Found>,
): Promise<Found> {
  const { budget } = input;
  if (budget.kind === 'fixed')
    throw new RangeError('expected a size or an error for a rate–distortion allocation');
  if (input.residuals.length === 0) return input.attempt(1);
  const goal = budget.kind === 'size' ? budget.byteLength : budget.relativeError;
  const measure = (found: Found): number =>
    budget.kind === 'size' ? found.byteLength : Math.sqrt(found.squaredError / input.squaredResidual);
  /** Bytes fall with the step, the error grows. */
  const direction = budget.kind === 'size' ? -1 : 1;

  let fits: Sample<Found> | undefined;
  let exceeds: Sample<Found> | undefined;
  let step = firstStep(input);
  for (let i = 0; i < MAX_ATTEMPTS; i++) {
    const found = await input.attempt(step);
    const value = measure(found);
    const sample = { found, step, excess: Math.log(Math.max(value, Number.MIN_VALUE) / (goal * AIM)) };
    if (value <= goal) {
      if (fits === undefined || sample.excess > fits.excess) fits = sample;
      if (value >= goal * (1 - TOLERANCE)) break;
    } else if (exceeds === undefined || sample.excess < exceeds.excess) exceeds = sample;
    const next = nextStep(fits, exceeds, direction);
    if (next === undefined || Math.abs(Math.log(next / step)) < 1e-6) break;
    step = next;
    if (isExhausted(step, input)) break;
  }
  if (fits !== undefined) return fits.found;
  const coarsest = await input.attempt(largestStep(input));
  if (measure(coarsest) <= goal) return coarsest;
  throw sizeError(coarsest.byteLength, goal);
}

/** Interpolated between a step on either side; beyond the only one known otherwise. */
function nextStep(
  fits: Sample<unknown> | undefined,
  exceeds: Sample<unknown> | undefined,
  direction: number,
): number | undefined {
  if (fits !== undefined && exceeds !== undefined) {
    const share = fits.excess / (fits.excess - exceeds.excess);
    // Off the ends, so that every attempt shrinks the bracket.
    const bounded = Math.min(0.95, Math.max(0.05, share));
    return fits.step * (exceeds.step / fits.step) ** bounded;
  }
  const known = fits ?? exceeds;
  if (known === undefined) return undefined;
  // One-sided: the slope of log bytes over log step is about −1.5, that of the error about 1.
  const slope = direction === -1 ? -1.5 : 1;
  const exponent = -known.excess / slope;
  const overshoot = fits === undefined ? 1.1 : 1.05;
  const limited =
    Math.sign(exponent) * Math.min(Math.abs(exponent) * overshoot + 0.01, Math.log(BLIND_FACTOR) * 3);
  return known.step * Math.exp(limited);
}

/** Steps beyond these change nothing: all codes zero, or all residuals exact. */
function isExhausted(step: number, input: StepSearchInput<Attempt<unknown>>): boolean {
  return step > largestStep(input) || step < smallestStep(input);
}

/** Larger than any residual can be. */
function largestStep({ residuals }: StepSearchInput<Attempt<unknown>>): number {
  return (
    4 * Math.sqrt(residuals.reduce((largest, { energy }) => Math.max(largest, energy), 0)) + Number.MIN_VALUE
  );
}

function smallestStep({ residuals }: StepSearchInput<Attempt<unknown>>): number {
  const deviations = residuals.map(({ elements, energy }) => Math.sqrt(energy / elements));
  return (
    deviations.reduce((smallest, deviation) => Math.min(smallest, deviation), Number.POSITIVE_INFINITY) *
    2 ** -16
  );
}

/** The step at which Gaussian residuals of these energies would take the asked bytes, or leave the asked error. */
function firstStep(input: StepSearchInput<Attempt<unknown>>): number {
  const { budget, residuals, lambda, fixedByteLength, squaredResidual } = input;
  const elements = residuals.reduce((sum, residual) => sum + residual.elements, 0);
  const deviation = Math.sqrt(squaredResidual / elements);
  // A uniform quantiser leaves s²/12 at high rate; half of that and more goes to the zeros at low rate.
  if (budget.kind === 'error') return Math.max(1e-4, budget.relativeError) * deviation * 2.5;
  if (budget.kind === 'fixed') return deviation;
  const { rate } = gaussianCost(lambda);
  const bits = Math.max(elements * 0.01, 8 * (budget.byteLength - fixedByteLength));
  let low = deviation * 2 ** -12;
  let high = deviation * 2 ** 6;
  for (let i = 0; i < 40; i++) {
    const step = Math.sqrt(low * high);
    const total = residuals.reduce(
      (sum, residual) =>
        sum + residual.elements * rate(Math.sqrt(residual.energy / residual.elements) / step),
      0,
    );
    if (total > bits) low = step;
    else high = step;
  }
  return high;
}

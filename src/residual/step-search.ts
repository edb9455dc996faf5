/**
 * Finds the quantiser step whose archive meets a size or an error. Bytes fall and error grows with the
 * step, both nearly as powers of it, so the search interpolates between logarithms.
 */
import { type Attempt, type ResolvedBudget, sizeError } from './budget-search.js';

export interface StepSearchInput<Found extends Attempt<unknown>> {
  readonly budget: ResolvedBudget;
  /** Σ‖R‖². */
  readonly squaredResidual: number;
  readonly residuals: readonly { readonly elements: number; readonly energy: number }[];
  /** Where to begin: what a model says. */
  readonly firstStep: number;
  /** @param stepOf of the i-th residual */
  attempt(stepOf: (residual: number) => number): Promise<Found>;
}

/** Encodes at most this often. */
const MAX_ATTEMPTS = 10;
/** A file this close under the asked size is good; so is an error this close under the asked one. */
const TOLERANCE = 0.008;
/** Aim, relative to the budget: in the middle of the tolerance. */
const AIM = 1 - TOLERANCE / 2;
/** Largest change of the step at once. */
const LARGEST_FACTOR = 4;
/** A measured slope below this share of the guessed one is noise. */
const MIN_SLOPE_SHARE = 0.25;

interface Sample<Found> {
  readonly found: Found;
  readonly value: number;
  readonly step: number;
  /** log of value / aim: negative where the budget has room left. */
  readonly excess: number;
}

export async function searchStep<Found extends Attempt<unknown>>(
  input: StepSearchInput<Found>,
): Promise<Found> {
  const { budget } = input;
  if (budget.kind === 'fixed') {
    throw new RangeError('expected a size or an error for a rate–distortion allocation');
  }
  const attempt = (step: number): Promise<Found> => input.attempt(() => step);
  if (input.residuals.length === 0) return attempt(1);
  const goal = budget.kind === 'size' ? budget.byteLength : budget.relativeError;
  const measure = (found: Found): number =>
    budget.kind === 'size' ? found.byteLength : Math.sqrt(found.squaredError / input.squaredResidual);
  /** Slope of log value over log step where nothing is measured yet: bytes fall, the error grows. */
  const guessedSlope = budget.kind === 'size' ? -1.1 : 1;

  const samples: Sample<Found>[] = [];
  let step = input.firstStep;
  for (let i = 0; i < MAX_ATTEMPTS && !isExhausted(step, input); i++) {
    const found = await attempt(step);
    const value = measure(found);
    samples.push({ found, value, step, excess: Math.log(Math.max(value, Number.MIN_VALUE) / (goal * AIM)) });
    if (value <= goal && value >= goal * (1 - TOLERANCE)) return found;
    const next = nextStep(samples, goal, guessedSlope);
    if (Math.abs(Math.log(next / step)) < 1e-6) break;
    step = next;
  }
  if (!samples.some((sample) => sample.value <= goal)) {
    // Nothing lossy at all, or everything left out: one of them does, or nothing will.
    const end = budget.kind === 'size' ? largestStep(input) : smallestStep(input);
    const found = await attempt(end);
    const value = measure(found);
    if (value > goal) throw sizeError(found.byteLength, goal);
    samples.push({
      found,
      value,
      step: end,
      excess: Math.log(Math.max(value, Number.MIN_VALUE) / (goal * AIM)),
    });
  }
  return mixSteps(input, samples, goal, measure);
}

/**
 * Where no one step comes close: a choice of coding changed all at once (dense or not, exact or not). The first
 * residuals take the step that exceeds the goal, the others the one that fits; how many is bisected.
 */
async function mixSteps<Found extends Attempt<unknown>>(
  { budget, residuals, attempt }: StepSearchInput<Found>,
  samples: readonly Sample<Found>[],
  goal: number,
  measure: (found: Found) => number,
): Promise<Found> {
  const nearest = [...samples].sort((x, y) => Math.abs(x.excess) - Math.abs(y.excess));
  const fits = nearest.find((sample) => sample.value <= goal)!;
  const exceeds = nearest.find((sample) => sample.value > goal);
  let best = fits.found;
  if (exceeds === undefined || measure(best) >= goal * (1 - TOLERANCE)) return best;
  let low = 0;
  let high = residuals.length;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    const found = await attempt((i) => (i < middle ? exceeds.step : fits.step));
    if (measure(found) <= goal) {
      low = middle;
      if (isBetter(found, best, budget)) best = found;
    } else high = middle;
  }
  return best;
}

/** At a size, less error; at an error, fewer bytes. */
function isBetter(found: Attempt<unknown>, best: Attempt<unknown>, budget: ResolvedBudget): boolean {
  return budget.kind === 'size' ? found.squaredError < best.squaredError : found.byteLength < best.byteLength;
}

/** Secant on logarithms through the two samples nearest to the aim, kept between those on its two sides. */
function nextStep(samples: readonly Sample<unknown>[], goal: number, guessedSlope: number): number {
  // Of equal ones the later: it lies further in the direction of the search.
  const nearest = [...samples].reverse().sort((x, y) => Math.abs(x.excess) - Math.abs(y.excess));
  const [first, second] = nearest;
  const measured =
    second === undefined ? guessedSlope : (first.excess - second.excess) / Math.log(first.step / second.step);
  // Steps of the value (a component more or less) can hide the slope of two near samples, or turn it.
  const slope = measured / guessedSlope > MIN_SLOPE_SHARE ? measured : guessedSlope;
  // As long as all samples lie on one side, the way grows: a coding choice may hold the value where it is.
  const isOneSided = samples.every((sample) => sample.value <= goal === first.value <= goal);
  const change = (-first.excess / slope) * (isOneSided ? 2 ** Math.max(0, samples.length - 2) : 1);
  const limited = Math.sign(change) * Math.min(Math.abs(change), Math.log(LARGEST_FACTOR));
  const step = first.step * Math.exp(limited);
  const fits = nearest.find((sample) => sample.value <= goal);
  const exceeds = nearest.find((sample) => sample.value > goal);
  if (fits === undefined || exceeds === undefined) return step;
  const share = Math.log(step / fits.step) / Math.log(exceeds.step / fits.step);
  // Off the ends, so that every attempt shrinks the bracket.
  return fits.step * (exceeds.step / fits.step) ** Math.min(0.9, Math.max(0.1, share));
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

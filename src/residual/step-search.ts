/**
 * Finds the quantiser step whose archive meets a size or an error. Bytes fall and error grows with the
 * step, both nearly as powers of it, so the search interpolates between logarithms. Encoding is what takes the
 * time, so what is nearly right is not encoded anew: some residuals take a step that is a little larger
 * or smaller, as many as make up for what is missing.
 */
import { errorError, type ResolvedBudget, sizeError } from './budget-search.js';

/** What one choice of steps came to. */
export interface StepAttempt {
  /** Whole file. */
  readonly byteLength: number;
  /** Σ‖W_ft − Ŵ‖² over the residuals. */
  readonly squaredError: number;
  /** By residual what of these its step decides. */
  readonly parts: readonly { readonly byteLength: number; readonly squaredError: number }[];
}

export interface StepSearchInput<Found extends StepAttempt> {
  readonly budget: ResolvedBudget;
  /** Σ‖R‖². */
  readonly squaredResidual: number;
  readonly residuals: readonly { readonly elements: number; readonly energy: number }[];
  /** What to do about an error that nothing reaches: ends the message that says so. */
  readonly errorAdvice: string;
  /** Where to begin: what a model says. */
  readonly firstStep: number | StepOf;
  /** @param stepOf of the i-th residual */
  attempt(stepOf: StepOf): Promise<Found>;
  /** What an attempt would come to, for next to nothing; without it no single residuals are corrected. */
  predict?(stepOf: StepOf): Promise<StepAttempt['parts']>;
}

/** The quantiser step of the i-th residual. */
export type StepOf = (residual: number) => number;

export interface FoundSteps<Found> {
  readonly found: Found;
  readonly stepOf: StepOf;
}

/** Steps of the whole model that are tried at most; corrections and mixtures come on top. */
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
  readonly stepOf: StepOf;
  /** The step of all, or of most of them. */
  readonly step: number;
  /** log of value / aim: negative where the budget has room left. */
  readonly excess: number;
}

/** @throws BudgetError for a size or an error that nothing reaches */
export async function searchStep<Found extends StepAttempt>(
  input: StepSearchInput<Found>,
): Promise<FoundSteps<Found>> {
  const { budget, attempt } = input;
  if (input.residuals.length === 0) return { found: await attempt(() => 1), stepOf: () => 1 };
  if (budget.kind === 'fixed') {
    const { value } = budget;
    return { found: await attempt(() => value), stepOf: () => value };
  }
  const goal = budget.kind === 'size' ? budget.byteLength : budget.relativeError;
  /** Slope of log value over log step where nothing is measured yet: bytes fall, the error grows. */
  const guessedSlope = budget.kind === 'size' ? -1.1 : 1;

  const samples: Sample<Found>[] = [];
  const { firstStep } = input;
  let stepOf: StepOf = typeof firstStep === 'number' ? () => firstStep : firstStep;
  let step = medianStep(input.residuals.map((_, r) => stepOf(r)));
  for (let i = 0; i < MAX_ATTEMPTS && !isExhausted(step, input); i++) {
    const sample = await sampleAt(input, goal, step, stepOf);
    samples.push(sample);
    if (isGood(sample, goal)) return sample;
    const settled = await settle(input, goal, sample);
    if (settled !== undefined) return settled;
    const next = nextStep(samples, goal, guessedSlope);
    if (Math.abs(Math.log(next / step)) < 1e-6) break;
    step = next;
    stepOf = () => next;
  }
  if (!samples.some((sample) => sample.value <= goal)) {
    // Nothing lossy at all, or everything left out: one of them does, or nothing will.
    const end = budget.kind === 'size' ? largestStep(input) : smallestStep(input);
    const sample = await sampleAt(input, goal, end, () => end);
    samples.push(sample);
    if (sample.value > goal) {
      const least = Math.min(...samples.map(({ value }) => value));
      throw budget.kind === 'size' ? sizeError(least, goal) : errorError(least, goal, input.errorAdvice);
    }
  }
  return mixSteps(input, samples, goal);
}

async function sampleAt<Found extends StepAttempt>(
  { budget, squaredResidual, attempt }: StepSearchInput<Found>,
  goal: number,
  step: number,
  stepOf: StepOf,
): Promise<Sample<Found>> {
  const found = await attempt(stepOf);
  const value = budget.kind === 'size' ? found.byteLength : Math.sqrt(found.squaredError / squaredResidual);
  return { found, value, stepOf, step, excess: Math.log(Math.max(value, Number.MIN_VALUE) / (goal * AIM)) };
}

function isGood({ value }: Sample<unknown>, goal: number): boolean {
  return value <= goal && value >= goal * (1 - TOLERANCE);
}

/** The step of most residuals. */
export function medianStep(steps: readonly number[]): number {
  return [...steps].sort((x, y) => x - y)[Math.floor(steps.length / 2)]!;
}

/** Factors by which steps of single residuals are corrected, the coarse ones first; slopes differ by their squares. */
const CORRECTIONS = [1.08, 1.04, 1.02, 1.01];
/** Rounds of correcting and encoding. */
const MAX_CORRECTIONS = 3;

/**
 * Brings a sample into the tolerance by changing the steps of some of its residuals; undefined where all of them
 * together do not make up for what is missing.
 */
async function settle<Found extends StepAttempt>(
  input: StepSearchInput<Found>,
  goal: number,
  first: Sample<Found>,
): Promise<Sample<Found> | undefined> {
  let sample = first;
  for (let i = 0; i < MAX_CORRECTIONS; i++) {
    const stepOf = await correctedSteps(input, goal, sample);
    if (stepOf === undefined) return undefined;
    sample = await sampleAt(input, goal, first.step, stepOf);
    if (isGood(sample, goal)) return sample;
  }
  return undefined;
}

/**
 * Steps that are predicted to meet the aim: what a residual came to changes as its prediction does. Those that
 * change most go first, so that few are encoded again.
 */
async function correctedSteps<Found extends StepAttempt>(
  { budget, squaredResidual, residuals, predict }: StepSearchInput<Found>,
  goal: number,
  { found, value, stepOf }: Sample<Found>,
): Promise<StepOf | undefined> {
  if (predict === undefined) return undefined;
  const isSize = budget.kind === 'size';
  const amountOf = (part: StepAttempt['parts'][number]): number =>
    isSize ? part.byteLength : part.squaredError;
  const unit = isSize ? 1 : squaredResidual;
  const power = isSize ? 1 : 2;
  let missing = ((goal * AIM) ** power - value ** power) * unit;
  const accepted = (goal ** power - (goal * AIM) ** power) * unit * 0.5;
  const isLarger = missing < 0 === isSize;
  const steps = residuals.map((_, r) => stepOf(r));
  const changed = new Set<number>();
  const predicted = (await predict(stepOf)).map(amountOf);
  for (const correction of CORRECTIONS) {
    const factor = isLarger ? correction : 1 / correction;
    const after = (await predict((r) => steps[r]! * (changed.has(r) ? 1 : factor))).map(amountOf);
    const changes = found.parts.map((part, r) => {
      if (changed.has(r) || predicted[r] === 0) return 0;
      return amountOf(part) * (after[r]! / predicted[r]! - 1);
    });
    const order = changes.map((_, r) => r).filter((r) => changes[r]! * missing > 0);
    order.sort((x, y) => Math.abs(changes[y]!) - Math.abs(changes[x]!) || x - y);
    for (const r of order) {
      if (Math.abs(changes[r]!) > Math.abs(missing) + accepted) continue;
      missing -= changes[r]!;
      steps[r] = steps[r]! * factor;
      changed.add(r);
      if (Math.abs(missing) <= accepted) return (residual) => steps[residual]!;
    }
  }
  return undefined;
}

/**
 * Where no one step comes close: a choice of coding changed all at once (dense or not, exact or not). The first
 * residuals take the step that exceeds the goal, the others the one that fits; how many is bisected.
 */
async function mixSteps<Found extends StepAttempt>(
  input: StepSearchInput<Found>,
  samples: readonly Sample<Found>[],
  goal: number,
): Promise<FoundSteps<Found>> {
  const nearest = [...samples].sort((x, y) => Math.abs(x.excess) - Math.abs(y.excess));
  const fits = nearest.find((sample) => sample.value <= goal)!;
  const exceeds = nearest.find((sample) => sample.value > goal);
  // The nearest need not be the best: a coding choice may take fewer bytes for less error.
  let best = nearest
    .filter(({ value }) => value <= goal)
    .reduce((x, y) => (isBetter(y.found, x.found, input.budget) ? y : x));
  if (exceeds === undefined || fits.value >= goal * (1 - TOLERANCE)) return best;
  let low = 0;
  let high = input.residuals.length;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    const stepOf: StepOf = (i) => (i < middle ? exceeds : fits).stepOf(i);
    const sample = await sampleAt(input, goal, fits.step, stepOf);
    if (sample.value <= goal) {
      low = middle;
      if (isBetter(sample.found, best.found, input.budget)) best = sample;
    } else high = middle;
  }
  return best;
}

/** At a size, less error; at an error, fewer bytes. */
function isBetter(found: StepAttempt, best: StepAttempt, budget: ResolvedBudget): boolean {
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
function isExhausted(step: number, input: StepSearchInput<StepAttempt>): boolean {
  return step > largestStep(input) || step < smallestStep(input);
}

/** Larger than any residual can be. */
function largestStep({ residuals }: StepSearchInput<StepAttempt>): number {
  return (
    4 * Math.sqrt(residuals.reduce((largest, { energy }) => Math.max(largest, energy), 0)) + Number.MIN_VALUE
  );
}

function smallestStep({ residuals }: StepSearchInput<StepAttempt>): number {
  const deviations = residuals.map(({ elements, energy }) => Math.sqrt(energy / elements));
  return (
    deviations.reduce((smallest, deviation) => Math.min(smallest, deviation), Number.POSITIVE_INFINITY) *
    2 ** -16
  );
}

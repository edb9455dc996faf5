/**
 * Finds the quantiser step whose archive meets a size or an error. Bytes fall and error grows with the
 * step, both nearly as powers of it, so the search interpolates between logarithms. Encoding is what takes the
 * time, so what is nearly right is not encoded anew: some residuals take a step that is a little larger
 * or smaller, as many as make up for what is missing.
 */
import type { ResolvedBudget } from './budget-search.js';
import { sizeError } from './budget-search.js';

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
  /** Where to begin: what a model says. */
  readonly firstStep: number;
  /** @param stepOf of the i-th residual */
  attempt(stepOf: (residual: number) => number): Promise<Found>;
}

export interface FoundStep<Found> {
  readonly found: Found;
  /** Of most residuals. */
  readonly step: number;
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

/** @throws BudgetError for a size that nothing reaches */
export async function searchStep<Found extends StepAttempt>(
  input: StepSearchInput<Found>,
): Promise<FoundStep<Found>> {
  const { budget, attempt } = input;
  if (budget.kind === 'fixed') {
    throw new RangeError('expected a size or an error for a rate–distortion allocation');
  }
  if (input.residuals.length === 0) return { found: await attempt(() => 1), step: 1 };
  const goal = budget.kind === 'size' ? budget.byteLength : budget.relativeError;
  /** Slope of log value over log step where nothing is measured yet: bytes fall, the error grows. */
  const guessedSlope = budget.kind === 'size' ? -1.1 : 1;

  const samples: Sample<Found>[] = [];
  let step = input.firstStep;
  for (let i = 0; i < MAX_ATTEMPTS && !isExhausted(step, input); i++) {
    const sample = await sampleAt(input, goal, step, () => step);
    samples.push(sample);
    if (isGood(sample, goal)) return sample;
    const settled = await settle(input, goal, sample);
    if (settled !== undefined) return settled;
    const next = nextStep(samples, goal, guessedSlope);
    if (Math.abs(Math.log(next / step)) < 1e-6) break;
    step = next;
  }
  if (!samples.some((sample) => sample.value <= goal)) {
    // Nothing lossy at all, or everything left out: one of them does, or nothing will.
    const end = budget.kind === 'size' ? largestStep(input) : smallestStep(input);
    const sample = await sampleAt(input, goal, end, () => end);
    if (sample.value > goal) throw sizeError(sample.found.byteLength, goal);
    samples.push(sample);
  }
  return mixSteps(input, samples, goal);
}

async function sampleAt<Found extends StepAttempt>(
  { budget, squaredResidual, attempt }: StepSearchInput<Found>,
  goal: number,
  step: number,
  stepOf: (residual: number) => number,
): Promise<Sample<Found>> {
  const found = await attempt(stepOf);
  const value = budget.kind === 'size' ? found.byteLength : Math.sqrt(found.squaredError / squaredResidual);
  return { found, value, step, excess: Math.log(Math.max(value, Number.MIN_VALUE) / (goal * AIM)) };
}

function isGood({ value }: Sample<unknown>, goal: number): boolean {
  return value <= goal && value >= goal * (1 - TOLERANCE);
}

/** Steps of single residuals differ from the others' by at most this factor: their slopes then by its square. */
const LARGEST_CORRECTION = 1.12;
/** The correction that is aimed at, where enough residuals are left to take it. */
const CORRECTION = 1.08;
/** Corrections of one sample. */
const MAX_CORRECTIONS = 3;
/** Power of the step that bytes and squared errors go with; what a correction comes to refines it. */
const CORRECTION_SLOPES = { size: -1.1, error: 2 };

/**
 * Brings a sample into the tolerance by changing the steps of some of its residuals; undefined where it is too
 * far off, or does not respond.
 */
async function settle<Found extends StepAttempt>(
  input: StepSearchInput<Found>,
  goal: number,
  first: Sample<Found>,
): Promise<Sample<Found> | undefined> {
  const { budget, squaredResidual } = input;
  if (budget.kind === 'fixed') return undefined;
  const steps = input.residuals.map(() => first.step);
  let slope = CORRECTION_SLOPES[budget.kind];
  let sample = first;
  for (let i = 0; i < MAX_CORRECTIONS; i++) {
    const { parts } = sample.found;
    const amounts = parts.map((part) => (budget.kind === 'size' ? part.byteLength : part.squaredError));
    const missing =
      budget.kind === 'size'
        ? goal * AIM - sample.value
        : ((goal * AIM) ** 2 - sample.value ** 2) * squaredResidual;
    const isLarger = Math.sign(missing) === Math.sign(slope);
    const order = amounts.map((_, r) => r).filter((r) => steps[r] === first.step);
    order.sort((x, y) => amounts[y]! - amounts[x]! || x - y);
    const chosen = chooseParts(order, amounts, missing, slope, isLarger);
    if (chosen === undefined) return undefined;
    for (const r of chosen.residuals) steps[r] = steps[r]! * chosen.factor;
    const before = sample.value;
    sample = await sampleAt(input, goal, first.step, (r) => steps[r]!);
    if (isGood(sample, goal)) return sample;
    const change =
      budget.kind === 'size' ? sample.value - before : (sample.value ** 2 - before ** 2) * squaredResidual;
    if (!(change / missing > MIN_SLOPE_SHARE)) return undefined;
    slope *= Math.min(4, change / missing);
  }
  return undefined;
}

/** Residuals, the largest first, whose change by one factor close to CORRECTION makes up for what is missing. */
function chooseParts(
  order: readonly number[],
  amounts: readonly number[],
  missing: number,
  slope: number,
  isLarger: boolean,
): { readonly residuals: readonly number[]; readonly factor: number } | undefined {
  const aimed = isLarger ? CORRECTION : 1 / CORRECTION;
  /** Share of its amount that a part changes by. */
  const changeBy = (factor: number): number => factor ** slope - 1;
  const residuals: number[] = [];
  let amount = 0;
  // Large parts as far as they fit, then the smallest that makes it enough: few are encoded again.
  const needed = missing / changeBy(aimed);
  for (const r of order) {
    if (amount + amounts[r]! > needed && r !== order.at(-1)) continue;
    residuals.push(r);
    amount += amounts[r]!;
    if (amount >= needed) break;
  }
  if (!(amount > 0) || 1 + missing / amount <= 0) return undefined;
  const factor = (1 + missing / amount) ** (1 / slope);
  const isSmall = factor <= LARGEST_CORRECTION && factor >= 1 / LARGEST_CORRECTION;
  return isSmall ? { residuals, factor } : undefined;
}

/**
 * Where no one step comes close: a choice of coding changed all at once (dense or not, exact or not). The first
 * residuals take the step that exceeds the goal, the others the one that fits; how many is bisected.
 */
async function mixSteps<Found extends StepAttempt>(
  input: StepSearchInput<Found>,
  samples: readonly Sample<Found>[],
  goal: number,
): Promise<FoundStep<Found>> {
  const nearest = [...samples].sort((x, y) => Math.abs(x.excess) - Math.abs(y.excess));
  const fits = nearest.find((sample) => sample.value <= goal)!;
  const exceeds = nearest.find((sample) => sample.value > goal);
  let best = fits;
  if (exceeds === undefined || best.value >= goal * (1 - TOLERANCE)) return best;
  let low = 0;
  let high = input.residuals.length;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    const sample = await sampleAt(input, goal, fits.step, (i) => (i < middle ? exceeds.step : fits.step));
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

/**
 * Lossy encoding within a budget: predictions first, then real bytes. Strategies of operating points allocate ranks
 * and widths; rate–distortion searches for the one quantiser step of the whole model.
 */
import type { ArchiveIndex } from '../../formats/ere/archive-index.js';
import { BudgetError } from '../../formats/errors.js';
import type { AllocateOptions, AllocationResult } from '../allocation/allocate.js';
import { type AllocationTarget, totalByteLength, totalSquaredError } from '../allocation/allocation.js';
import type { Choice, RateDistortionChoice } from '../allocation/operating-points.js';
import { describeBits } from '../codecs/bits-profile.js';
import { EFFORTS, type Effort, LAMBDA } from '../rate-distortion/efforts.js';
import { FIRST_RANK } from '../rate-distortion/encode-residual.js';
import { modelledStep } from '../rate-distortion/model-step.js';
import { bestPlan, type ResidualSpectrum } from '../rate-distortion/plan-residual.js';
import type { EncodeOptions } from './api.js';
import { type Attempt, type ResolvedBudget, searchBudget, targetOf } from './budget-search.js';
import { strategyOf } from './encode-options.js';
import type { EncodeSession } from './encode-session.js';
import { predictedIndexByteLength } from './predicted-index.js';
import { presetOf } from './presets.js';
import { fullSpectrum } from './spectrum-summary.js';
import {
  medianStep,
  type StepAttempt,
  type StepOf,
  type StepSearchInput,
  searchStep,
} from './step-search.js';

/** What is searched, and how an attempt becomes an archive. */
export interface LossySearch<Archive> {
  readonly session: EncodeSession;
  readonly options: EncodeOptions;
  readonly budget: ResolvedBudget;
  /** Bytes of the file that no choice changes, index aside; bytes of the budget to leave free among them. */
  readonly fixedByteLength: number;
  /** Encodes at one choice a residual, and measures. */
  attempt(
    choiceOf: (residual: number) => Choice,
    encoding: ArchiveIndex['encoding'],
  ): Promise<Attempt<Archive> & StepAttempt>;
}

export interface FoundArchive<Archive> {
  readonly archive: Archive;
  /** Bits per factor entry, where the strategy has widths. */
  readonly bits: number | string | undefined;
  /** Quantiser step of most residuals, where the strategy has steps. */
  readonly step?: number;
}

/** @throws BudgetError where nothing meets the budget */
export async function searchLossy<Archive>(search: LossySearch<Archive>): Promise<FoundArchive<Archive>> {
  return strategyOf(search.options) === 'rate-distortion' ? searchSteps(search) : searchPoints(search);
}

/** What a search is expected to arrive at. */
export interface Prediction {
  /** Whole file. */
  readonly byteLength: number;
  readonly squaredError: number;
  /** What the i-th residual is expected to be coded as. */
  choiceOf(residual: number): Choice;
}

/** Predicts from spectra and samples, without encoding. */
export async function predictLossy(search: Omit<LossySearch<unknown>, 'attempt'>): Promise<Prediction> {
  const { session } = search;
  if (strategyOf(search.options) === 'rate-distortion') {
    const { found, stepOf } = await searchStep(await predictedSearch(search, await modelSpectra(session)));
    const stepOfResidual = byResidual(session, stepOf);
    const effort = search.options.effort ?? 'default';
    return { ...found, choiceOf: (i) => rateDistortionChoice(stepOfResidual(i), effort) };
  }
  const overhead = predictedFixedByteLength(search);
  const { points } = await allocatePoints(search, targetOf(search.budget, overhead, session.squaredResidual));
  return {
    byteLength: overhead + totalByteLength(points),
    squaredError: Math.max(0, totalSquaredError(points)),
    choiceOf: (i) => points[i]!.choice,
  };
}

/** What coding every tensor exactly is expected to take. @param search its session analysed with `estimate` 'lossless' */
export function predictLossless(search: Omit<LossySearch<unknown>, 'attempt'>): Omit<Prediction, 'choiceOf'> {
  return {
    byteLength: predictedFixedByteLength(search) + search.session.losslessByteLength,
    squaredError: 0,
  };
}

async function allocatePoints(
  { session, options, budget }: Pick<LossySearch<unknown>, 'session' | 'options' | 'budget'>,
  target: AllocationTarget,
): Promise<AllocationResult> {
  const strategy = strategyOf(options);
  if (strategy === 'rate-distortion') throw new RangeError('expected a strategy of operating points');
  const allocateOptions: AllocateOptions = {
    strategy,
    bits: options.bits ?? presetOf(options).bits,
    prior: options.prior ?? 0,
  };
  return session.allocate(target, allocateOptions, initialRank(budget, session));
}

/** Strategies that choose among operating points: allocate on predictions, then correct with real bytes. */
async function searchPoints<Archive>(search: LossySearch<Archive>): Promise<FoundArchive<Archive>> {
  const { session, budget, options, fixedByteLength } = search;
  // Small weights are no operating point: they are added where nothing bounds the size, or where they fit.
  const withSmallWeights = (residual: number, choice: Choice): Choice =>
    choice.kind === 'low-rank' && choice.rank === session.product(residual)?.rank
      ? { ...choice, smallWeights: true }
      : choice;
  const found = await searchBudget({
    budget,
    fixedByteLength,
    squaredResidual: session.squaredResidual,
    attempt: async (target) => {
      const allocation = await allocatePoints(search, target);
      const bits = describeBits(allocation.bits);
      const encoding = {
        ...encodingRecord(options),
        bits,
        ...(strategyOf(options) === 'layerwise' && options.prior ? { prior: options.prior } : {}),
      };
      const choiceOf = (i: number): Choice => {
        const { choice } = allocation.points[i]!;
        return budget.kind === 'fixed' ? withSmallWeights(i, choice) : choice;
      };
      return { ...(await search.attempt(choiceOf, encoding)), bits, encoding, choiceOf };
    },
  });
  if (budget.kind !== 'size' || session.productRanks.length === 0) return found;
  const refined = await search.attempt((i) => withSmallWeights(i, found.choiceOf(i)), found.encoding);
  return refined.byteLength <= budget.byteLength ? { ...refined, bits: found.bits } : found;
}

/** Rate–distortion: one quantiser step for the whole model, searched for among predictions first. */
async function searchSteps<Archive>(search: LossySearch<Archive>): Promise<FoundArchive<Archive>> {
  const { session, options } = search;
  const effort = options.effort ?? 'default';
  const spectra = await modelSpectra(session);
  const predicted = await predictedSearch(search, spectra);
  const { found, stepOf } = await searchStep({
    ...predicted,
    errorAdvice: errorAdvice(options, 'allow a larger one, or take lossless'),
    firstStep: await predictedSteps(predicted),
    predict: (stepOf) => {
      const stepOfResidual = byResidual(session, stepOf);
      return session.estimate((i) => rateDistortionChoice(stepOfResidual(i), effort));
    },
    attempt: (stepOf) => {
      const stepOfResidual = byResidual(session, stepOf);
      const choiceOf = (i: number): Choice => {
        const step = stepOfResidual(i);
        const product = session.product(i);
        if (product === undefined) return rateDistortionChoice(step, effort);
        // Where its bytes are spent anyway, the product itself is kept: it decodes to nearly every bit.
        const affordable = bestPlan(spectra[i]!, { step, lambda: LAMBDA }).bits / 8;
        if (affordable < product.byteLength) return rateDistortionChoice(step, effort);
        const { rank, bits, withSmallWeights } = product;
        const small = affordable < withSmallWeights ? {} : { smallWeights: true as const };
        return { kind: 'low-rank', rank, bits, ...small };
      };
      return search.attempt(choiceOf, { ...encodingRecord(options), effort });
    },
  });
  const steps = predicted.residuals.map((_, residual) => stepOf(residual));
  const step = steps.length === 0 ? {} : { step: medianStep(steps) };
  return { archive: found.archive, bits: undefined, ...step };
}

/** What stands in the way of a small error where columns are weighted; else as given. */
function errorAdvice({ importance }: EncodeOptions, otherwise: string): string {
  if (importance === undefined) return otherwise;
  return 'columns of weight 0 are left out, and count all the same: allow a larger one, or give them weights';
}

function rateDistortionChoice(step: number, effort: Effort): RateDistortionChoice {
  return { kind: 'rate-distortion', step, lambda: LAMBDA, ...EFFORTS[effort] };
}

/** Steps by residual from those by unit: what is coded together has one. */
function byResidual({ units }: EncodeSession, stepOf: StepOf): StepOf {
  const unitOf = new Map(units.flatMap((unit, u) => unit.map((residual) => [residual, u] as const)));
  return (residual) => stepOf(unitOf.get(residual)!);
}

/** The search for a step among predictions from spectra and samples. */
async function predictedSearch(
  search: Omit<LossySearch<unknown>, 'attempt'>,
  spectra: readonly ResidualSpectrum[],
): Promise<StepSearchInput<StepAttempt> & { readonly firstStep: number }> {
  const { session, budget, fixedByteLength, options } = search;
  const { squaredResidual } = session;
  const overhead = predictedFixedByteLength(search);
  return {
    budget,
    squaredResidual,
    residuals: session.unitShapes,
    errorAdvice: errorAdvice(
      options,
      'below that, encoding codes tensors exactly, which is not foreseen: allow a larger one, or estimate lossless',
    ),
    firstStep: modelledStep(spectra, targetOf(budget, fixedByteLength, squaredResidual)),
    attempt: async (stepOf) => {
      const stepOfResidual = byResidual(session, stepOf);
      const parts = await session.estimate((i) =>
        rateDistortionChoice(stepOfResidual(i), options.effort ?? 'default'),
      );
      return {
        parts,
        byteLength: parts.reduce((sum, { byteLength }) => sum + byteLength, overhead),
        squaredError: parts.reduce((sum, { squaredError }) => sum + squaredError, 0),
      };
    },
  };
}

/** The steps at which predictions meet the budget; what the model says where none do. */
async function predictedSteps(
  predicted: StepSearchInput<StepAttempt> & { readonly firstStep: number },
): Promise<StepOf | number> {
  try {
    return (await searchStep(predicted)).stepOf;
  } catch (error) {
    if (!(error instanceof BudgetError)) throw error;
    return predicted.firstStep; // Coding decides what is out of reach.
  }
}

function predictedFixedByteLength({
  session,
  fixedByteLength,
}: Omit<LossySearch<unknown>, 'attempt'>): number {
  return fixedByteLength + predictedIndexByteLength(session.analyses);
}

/** Components to look at while a residual is first in memory; undefined where more must be known first, or none. */
export function firstRank(options: EncodeOptions, budget: ResolvedBudget): number | undefined {
  if (options.lossless === true) return undefined;
  if (strategyOf(options) === 'rate-distortion') return FIRST_RANK;
  const isRank = strategyOf(options) === 'uniform' && budget.kind === 'fixed' && budget.value >= 1;
  return isRank ? budget.value : undefined;
}

/** Residuals as the model sees them, in order: what is known of their spectra, continued. */
async function modelSpectra(session: EncodeSession): Promise<readonly ResidualSpectrum[]> {
  const spectra = [...(await session.spectra(FIRST_RANK)).values()].map(fullSpectrum);
  return spectra.map((spectrum) => ({ ...spectrum, singularValues: spectrum.fullSingularValues }));
}

/** The options that shaped the archive, for humans. */
export function encodingRecord(options: EncodeOptions): ArchiveIndex['encoding'] {
  return {
    ...(options.preset === undefined ? {} : { preset: options.preset }),
    allocation: strategyOf(options),
    ...(options.importance === undefined ? {} : { importance: true }),
  };
}

/** Width that the first guess of a rank assumes: narrow, so that it is seldom too small. */
const GUESS_BITS = 3;
/** Ranks to begin with when no size bounds them; doubled as needed. */
const OPEN_RANK = 32;

/** Components to look at first: a quarter more than the size could pay for everywhere alike. */
function initialRank(budget: ResolvedBudget, session: EncodeSession): number {
  if (budget.kind === 'fixed' && Number.isInteger(budget.value) && budget.value >= 1) return budget.value;
  if (budget.kind !== 'size') return OPEN_RANK;
  const affordable = (budget.byteLength * 8) / (GUESS_BITS * Math.max(1, session.componentElements));
  return Math.ceil(1.25 * affordable) + 4;
}

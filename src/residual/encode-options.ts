/** Checks and resolves the options of encode. */
import type { Checkpoint } from '../../formats/checkpoint.js';
import type { StrategyName } from '../allocation/allocate.js';
import { assertDevice } from '../linalg/devices.js';
import type { Budget, CommonOptions, EncodeOptions } from './api.js';
import type { ResolvedBudget } from './budget-search.js';
import { assertMemoryCap, MIN_ENCODER_MEMORY_CAP } from './memory-budget.js';
import { importanceConflict, PRESETS, presetConflict, presetOf } from './presets.js';
import type { TensorConstraints } from './residual-state.js';

/** The options of encode that decide on strategy and target. */
type EncodeChoices = Pick<EncodeOptions, 'budget' | 'allocation' | 'preset'>;

/** @throws RangeError */
export function assertCommonOptions(options: CommonOptions): void {
  const { threads, memoryCap } = options;
  assertMemoryCap(memoryCap);
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1)) {
    throw new RangeError(`expected threads to be an integer of at least 1, got ${threads}`);
  }
}

/** @throws RangeError, TypeError on options out of range or at odds with one another. */
export function assertEncodeOptions(options: EncodeOptions): void {
  assertCommonOptions(options);
  assertMemoryCap(options.memoryCap, MIN_ENCODER_MEMORY_CAP);
  assertDevice(options);
  const { bits = 'auto', prior = 0, allocation, preset } = options;
  assertLossless(options);
  if (preset !== undefined && !Object.hasOwn(PRESETS, preset)) {
    throw new TypeError(`expected a preset of ${Object.keys(PRESETS).join(', ')}, got ${String(preset)}`);
  }
  const conflict = presetConflict(options);
  if (conflict !== undefined) throw new TypeError(conflict);
  if (bits !== 'auto' && !(Number.isInteger(bits) && bits >= 2 && bits <= 16)) {
    throw new RangeError(`expected bits to be 'auto' or an integer in [2, 16], got ${bits}`);
  }
  if (!(prior >= 0 && prior <= 1)) throw new RangeError(`expected prior in [0, 1], got ${prior}`);
  const unweighed = options.importance === undefined ? undefined : importanceConflict(strategyOf(options));
  if (unweighed !== undefined) throw new TypeError(`expected no importance weights: ${unweighed}`);
  const { failAbove } = options;
  if (failAbove !== undefined && !(failAbove >= 0)) {
    throw new RangeError(`expected failAbove to be a relative error of at least 0, got ${failAbove}`);
  }
  if (options.budget !== undefined) assertBudget(options.budget);
  const implied = impliedStrategy(options);
  if (implied !== undefined && allocation !== undefined && allocation !== implied) {
    throw new TypeError(
      `expected allocation '${implied}' with a budget of kind '${options.budget?.kind}', got '${allocation}'`,
    );
  }
  if (prior > 0 && strategyOf(options) !== 'layerwise') {
    throw new TypeError(`expected a prior only with allocation 'layerwise', got '${strategyOf(options)}'`);
  }
}

/** A lossless archive takes what it takes, and has nothing left to add. */
function assertLossless(options: EncodeOptions): void {
  if (options.lossless !== true) return;
  for (const name of ['preset', 'budget', 'allocation', 'bits', 'prior'] as const) {
    if (options[name] !== undefined) throw new TypeError(`expected no ${name} with lossless, got one`);
  }
  if (options.exactOnTop === true) throw new TypeError('expected exactOnTop or lossless, got both');
}

/** @throws RangeError */
export function assertBudget(budget: Budget): void {
  const fail = (what: string, value: number): never => {
    throw new RangeError(`expected ${what}, got ${value}`);
  };
  switch (budget.kind) {
    case 'rank':
      if (!(Number.isInteger(budget.rank) && budget.rank >= 1)) fail('a rank of at least 1', budget.rank);
      break;
    case 'energy':
      if (!(budget.energy > 0 && budget.energy <= 1)) fail('an energy in (0, 1]', budget.energy);
      break;
    case 'ratio':
      if (!(budget.ratio > 0 && Number.isFinite(budget.ratio))) fail('a ratio over 0', budget.ratio);
      break;
    case 'size':
      if (!(Number.isSafeInteger(budget.byteLength) && budget.byteLength > 0))
        fail('a size over 0 bytes', budget.byteLength);
      break;
    case 'max-error':
      if (!(budget.relativeError >= 0 && budget.relativeError < 1))
        fail('a relative error in [0, 1)', budget.relativeError);
      break;
    case 'step':
      if (!(budget.step > 0 && Number.isFinite(budget.step))) fail('a step over 0', budget.step);
      break;
  }
}

/** The strategy that a budget brings with it, where the preset has it. */
function impliedStrategy(options: EncodeChoices): StrategyName | undefined {
  const kind = options.budget?.kind;
  const implied = kind === 'rank' ? 'uniform' : kind === 'energy' ? 'energy' : undefined;
  return presetOf(options).strategies.find((strategy) => strategy === implied);
}

export function strategyOf(options: EncodeChoices): StrategyName {
  return impliedStrategy(options) ?? options.allocation ?? presetOf(options).strategies[0]!;
}

/** The budget in bytes of this model, an error, or the strategy's own parameter. */
export function budgetOf(options: EncodeChoices, fineTuned: Checkpoint): ResolvedBudget {
  const budget = options.budget ?? presetOf(options).defaultBudget;
  // The method leaves nothing to choose; its strategy ignores the value.
  if (budget === undefined) return { kind: 'fixed', value: 0 };
  switch (budget.kind) {
    case 'rank':
      return { kind: 'fixed', value: budget.rank };
    case 'energy':
      return { kind: 'fixed', value: budget.energy };
    case 'ratio':
      return { kind: 'size', byteLength: Math.floor(budget.ratio * weightByteLength(fineTuned)) };
    case 'size':
      return { kind: 'size', byteLength: budget.byteLength };
    case 'max-error':
      return { kind: 'error', relativeError: budget.relativeError };
    case 'step':
      return { kind: 'fixed', value: budget.step };
  }
}

/** What tensors may be coded as, beside what strategy and budget say. */
export function constraintsOf(options: Pick<EncodeOptions, 'preset' | 'budget' | 'bits'>): TensorConstraints {
  const { lowRankOnly, maxRank, openRank, recoversProducts } = presetOf(options);
  const { budget, bits } = options;
  const asked = budget?.kind === 'rank' ? budget.rank : 0;
  return {
    lowRankOnly,
    maxRank: maxRank && Math.max(maxRank, asked),
    ...(openRank === undefined || budget !== undefined ? {} : { openRank }),
    recoverProducts: recoversProducts && (bits === undefined || bits === 'auto'),
  };
}

/** Bytes of all weight files. */
export function weightByteLength(checkpoint: Checkpoint): number {
  return checkpoint.files.reduce((sum, file) => sum + file.byteLength, 0);
}

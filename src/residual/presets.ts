/**
 * Presets: published methods under one name each, in the same archive format, for honest comparison.
 * A preset is a bundle of what encode otherwise decides itself: which strategies it may use, which
 * budgets make sense, the widths, and what a matrix may be coded as.
 */
import type { StrategyName } from '../allocation/allocate.js';
import type { BitsProfile } from '../codecs/bits-profile.js';
import type { Budget, EncodeOptions } from './api.js';

export interface Preset {
  /** One sentence for --help and the docs. */
  readonly summary: string;
  /** Strategies it may use, the default first. */
  readonly strategies: readonly StrategyName[];
  /** Kinds of budget that it takes. */
  readonly budgets: readonly Budget['kind'][];
  /** Without a budget of the user's; undefined where the method leaves nothing to choose. */
  readonly defaultBudget: Budget | undefined;
  readonly bits: BitsProfile | 'auto';
  /** Whether `bits` may be given. */
  readonly takesBits: boolean;
  /** Whether matrices may be coded as low rank only. */
  readonly lowRankOnly: boolean;
  /** Largest rank, unless a budget of kind 'rank' asks for more. */
  readonly maxRank: number | undefined;
  /** Largest rank without a budget, where the residual is no rounded product and has no rank of its own. */
  readonly openRank?: number;
  /** Whether products that were merged and rounded are recovered: a LoRA's rank and factors. */
  readonly recoversProducts: boolean;
}

const ALL_BUDGETS = ['rank', 'energy', 'ratio', 'size', 'max-error'] as const;

/**
 * Delta-CoMe's setting at 1/16 of fp16 (run.sh of the authors' repository): 2 singular vectors at 8
 * bits, 32 at 3, as many at 2 as the bytes allow.
 */
const DELTA_COME_BITS: BitsProfile = [...Array<number>(2).fill(8), ...Array<number>(32).fill(3), 2];

/** Ranks over this are refused by common servers of adapters (vLLM: at most 16 unless told otherwise). */
const LARGEST_LORA_RANK = 64;

export const PRESETS = {
  'ere-paper': {
    summary: 'low-rank factors of one width, ranks spread over layers (arXiv 2305.18425)',
    strategies: ['layerwise', 'uniform', 'energy'],
    budgets: ALL_BUDGETS,
    defaultBudget: { kind: 'ratio', ratio: 0.06 },
    bits: 'auto',
    takesBits: true,
    lowRankOnly: false,
    maxRank: undefined,
    recoversProducts: true,
  },
  bitdelta: {
    summary: 'signs and one scale a matrix: 1 bit per weight (arXiv 2402.10193)',
    strategies: ['signs'],
    budgets: [],
    defaultBudget: undefined,
    bits: 1,
    takesBits: false,
    lowRankOnly: false,
    maxRank: undefined,
    recoversProducts: false,
  },
  'delta-come': {
    summary:
      'singular vectors in bands of 8, 3 and 2 bits, the same share for every matrix (arXiv 2406.08903)',
    strategies: ['bands'],
    budgets: ['rank', 'ratio', 'size', 'max-error'],
    defaultBudget: { kind: 'ratio', ratio: 1 / 16 },
    bits: DELTA_COME_BITS,
    takesBits: false,
    lowRankOnly: false,
    maxRank: undefined,
    recoversProducts: false,
  },
  lora: {
    summary: 'low-rank factors only, one rank for every matrix, exportable as an adapter',
    strategies: ['uniform'],
    budgets: ['rank', 'ratio', 'size', 'max-error'],
    defaultBudget: { kind: 'rank', rank: LARGEST_LORA_RANK },
    bits: 16,
    takesBits: true,
    lowRankOnly: true,
    maxRank: LARGEST_LORA_RANK,
    openRank: 32,
    recoversProducts: true,
  },
} as const satisfies Record<string, Preset>;

export type PresetName = keyof typeof PRESETS;

/** What encode does without a preset: the smallest archive for a size or an error. */
const RATE_DISTORTION: Preset = {
  summary: 'entropy-coded low-rank and dense parts at one rate–distortion slope',
  strategies: ['rate-distortion'],
  budgets: ['ratio', 'size', 'max-error', 'step'],
  defaultBudget: { kind: 'ratio', ratio: 0.06 },
  bits: 'auto',
  takesBits: false,
  lowRankOnly: false,
  maxRank: undefined,
  recoversProducts: true,
};

/** Options that only the paper's method has bring its preset with them. */
export function presetOf(
  options: Pick<EncodeOptions, 'preset' | 'budget' | 'allocation' | 'bits' | 'prior'>,
): Preset {
  if (options.preset !== undefined) return PRESETS[options.preset];
  const { budget, allocation, bits, prior } = options;
  const asksForRanks = budget?.kind === 'rank' || budget?.kind === 'energy';
  const isPaper = asksForRanks || bits !== undefined || prior !== undefined;
  const otherAllocation = allocation !== undefined && allocation !== 'rate-distortion';
  return isPaper || otherAllocation ? PRESETS['ere-paper'] : RATE_DISTORTION;
}

/** Strategies that weigh the error of each input channel. */
const WEIGHING_STRATEGIES: ReadonlySet<string> = new Set(['rate-distortion']);

/** Why importance weights do not go with a strategy, or undefined. */
export function importanceConflict(strategy: string): string | undefined {
  if (WEIGHING_STRATEGIES.has(strategy)) return undefined;
  return `importance needs rate-distortion allocation, which weighs errors; ${strategy} allocation does not`;
}

/** Why options do not go with their preset, or undefined. One sentence, for a TypeError or a usage error. */
export function presetConflict(
  options: Pick<EncodeOptions, 'preset' | 'budget' | 'allocation' | 'bits' | 'prior'>,
): string | undefined {
  const { preset: name, budget, allocation, bits, prior } = options;
  if (name === undefined) return undefined;
  const preset: Preset = PRESETS[name];
  if (budget !== undefined && !preset.budgets.includes(budget.kind)) {
    const expected =
      preset.budgets.length === 0
        ? 'no budget: its size follows from the model'
        : `a budget of kind ${preset.budgets.join(', ')}`;
    return `expected with preset ${name} ${expected}; got one of kind ${budget.kind}`;
  }
  if (allocation !== undefined && !preset.strategies.includes(allocation)) {
    return `expected with preset ${name} the allocation ${preset.strategies.join(', ')}; got ${allocation}`;
  }
  if (bits !== undefined && !preset.takesBits) {
    return `expected no bits with preset ${name}, which sets its own; got ${bits}`;
  }
  if (prior !== undefined && !preset.strategies.includes('layerwise')) {
    return `expected no prior with preset ${name}, which has no layer-wise allocation; got ${prior}`;
  }
  return undefined;
}

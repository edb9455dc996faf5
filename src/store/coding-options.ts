/** How a version's tensors are coded: as asked, else like its parent's, else losslessly. */
import type { Budget, EncodeOptions } from '../residual/api.js';
import type { CodingOptions } from './api.js';
import type { StoredVersion } from './manifest.js';

/** Encode's own, where options ask for a loss and do not say how much. */
const DEFAULT_BUDGET: Budget = { kind: 'ratio', ratio: 0.06 };

/** Options that decide between lossless and lossy, and how much is lost. */
const CHOICES = ['budget', 'preset', 'allocation', 'bits', 'effort', 'prior', 'lossless'] as const;

export function codingOptions(
  options: CodingOptions,
  parent: StoredVersion | undefined,
): Partial<EncodeOptions> {
  const { failAbove, force, gemm, device } = options;
  const chosen = CHOICES.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]]));
  return {
    ...(chosen.length > 0 ? Object.fromEntries(chosen) : inherited(parent)),
    ...(failAbove === undefined ? {} : { failAbove }),
    ...(force === undefined ? {} : { force }),
    ...(gemm === undefined ? {} : { gemm }),
    ...(device === undefined ? {} : { device }),
  };
}

/** Whether these options code every tensor bit for bit, and else what they ask for. */
export function expectedCoding(
  options: CodingOptions,
  parent: StoredVersion | undefined,
): { readonly lossless: boolean; readonly budget: Budget | undefined } {
  const { lossless, budget, preset } = codingOptions(options, parent);
  return {
    lossless: lossless === true,
    budget: budget ?? (preset === undefined ? DEFAULT_BUDGET : undefined),
  };
}

function inherited(parent: StoredVersion | undefined): Partial<EncodeOptions> {
  const step = parent?.manifest.encoding.step;
  return typeof step === 'number' ? { budget: { kind: 'step', step } } : { lossless: true };
}

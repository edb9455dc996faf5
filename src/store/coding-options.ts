/** How a version's tensors are coded: as asked, else like its parent's, else losslessly. */
import type { EncodeOptions } from '../residual/api.js';
import type { CodingOptions } from './api.js';
import type { StoredVersion } from './manifest.js';

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

/** Whether these options code every tensor bit for bit, and else the step, where one is known before. */
export function expectedCoding(
  options: CodingOptions,
  parent: StoredVersion | undefined,
): { readonly lossless: boolean; readonly step: number | undefined } {
  const { lossless, budget } = codingOptions(options, parent);
  return { lossless: lossless === true, step: budget?.kind === 'step' ? budget.step : undefined };
}

function inherited(parent: StoredVersion | undefined): Partial<EncodeOptions> {
  const step = parent?.manifest.encoding.step;
  return typeof step === 'number' ? { budget: { kind: 'step', step } } : { lossless: true };
}

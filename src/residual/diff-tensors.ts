/** Diff reports of single tensors, and their sums, from an analysed session. */
import { elementCount } from '../../formats/dtype.js';
import type { DiffReport, TensorDiff } from './diff-report.js';
import type { EncodeSession } from './encode-session.js';
import type { TensorPair } from './pair-tensors.js';
import { type FullSpectrum, spectrumSummary } from './spectrum-summary.js';

/** @param session analysed with `compare`; @param spectra by pair, aliases left out */
export function diffTensors(
  session: EncodeSession,
  pairs: readonly TensorPair[],
  spectra: ReadonlyMap<number, FullSpectrum>,
): TensorDiff[] {
  return pairs.map(({ base, fineTuned }, i): TensorDiff => {
    const spectrum = spectra.get(session.aliases[i]!);
    const count = elementCount(fineTuned.shape);
    const unchangedCount = unchangedCountOf(session, pairs, i);
    const norms = base === undefined ? undefined : residualNorms(session, i);
    return {
      name: fineTuned.name,
      case: session.analyses[i]!.case,
      dtype: fineTuned.dtype,
      shape: fineTuned.shape,
      elementCount: count,
      unchangedCount,
      unchangedShare: share(unchangedCount, count),
      fineTunedByteLength: fineTuned.byteLength,
      ...norms,
      ...(spectrum === undefined ? {} : { spectrum: spectrumSummary(spectrum) }),
    };
  });
}

type Totals = Pick<
  DiffReport,
  'elementCount' | 'unchangedCount' | 'unchangedShare' | 'changedTensorCount' | 'relativeResidual'
>;

export function totalsOf(session: EncodeSession, pairs: readonly TensorPair[]): Totals {
  let [elements, unchanged, changedTensorCount, squaredResidual, squaredBase] = [0, 0, 0, 0, 0];
  for (const [i, { base, fineTuned }] of pairs.entries()) {
    elements += elementCount(fineTuned.shape);
    unchanged += unchangedCountOf(session, pairs, i);
    const { case: tensorCase, comparison } = session.analyses[i]!;
    if (base !== undefined && tensorCase !== 'identical') changedTensorCount += 1;
    if (comparison === undefined || Number.isNaN(comparison.squaredResidual + comparison.squaredBase))
      continue;
    squaredResidual += comparison.squaredResidual;
    squaredBase += comparison.squaredBase;
  }
  return {
    elementCount: elements,
    unchangedCount: unchanged,
    unchangedShare: share(unchanged, elements),
    changedTensorCount,
    relativeResidual: squaredBase === 0 ? 0 : Math.sqrt(squaredResidual / squaredBase),
  };
}

function unchangedCountOf(session: EncodeSession, pairs: readonly TensorPair[], i: number): number {
  const { comparison } = session.analyses[i]!;
  return comparison?.equalCount ?? elementCount(pairs[i]!.fineTuned.shape);
}

/** Of a tensor with a base: both norms' fields, where they are numbers. */
function residualNorms(
  session: EncodeSession,
  i: number,
): Pick<TensorDiff, 'squaredResidual' | 'relativeResidual'> {
  const { comparison } = session.analyses[i]!;
  if (comparison === undefined) return { squaredResidual: 0, relativeResidual: 0 }; // identical
  const { squaredResidual, squaredBase } = comparison;
  if (Number.isNaN(squaredResidual)) return {};
  return squaredBase > 0
    ? { squaredResidual, relativeResidual: Math.sqrt(squaredResidual / squaredBase) }
    : { squaredResidual };
}

function share(count: number, total: number): number {
  return total === 0 ? 1 : count / total;
}

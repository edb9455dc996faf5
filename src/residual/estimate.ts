/** Archive sizes and errors at several budgets, from spectra alone: what encode would choose, without encoding. */

import { PRELUDE_BYTE_LENGTH } from '../../formats/ere/prelude.js';
import { type AllocateOptions, allocate } from '../allocation/allocate.js';
import { type AllocationTarget, totalByteLength, totalSquaredError } from '../allocation/allocation.js';
import type { AllocationTensor } from '../allocation/operating-points.js';
import type { Budget, SizeEstimate } from './api.js';
import type { ResolvedBudget } from './budget-search.js';
import { strategyOf } from './encode-options.js';
import type { EncodeSession, KnownSpectrum } from './encode-session.js';
import { fullSpectrum } from './spectrum-summary.js';

export interface EstimateInput {
  /** Each with what it comes to for this model. */
  readonly budgets: readonly { readonly budget: Budget; readonly resolved: ResolvedBudget }[];
  /** Weight-file headers and side files, as packed. */
  readonly blobByteLength: number;
  readonly fineTunedByteLength: number;
}

/** Deflated bytes of the index: of the whole, of an identical tensor, and of any other with its chunks. */
const INDEX_BYTES = { base: 200, identical: 80, other: 150 };

/**
 * Predicts every budget with the allocation that encode uses by default, on operating points over `spectra`;
 * those that are not complete are continued (extrapolateSpectrum), so that no budget needs further SVD work.
 * @param spectra of every residual, by pair
 */
export function estimateAtBudgets(
  session: EncodeSession,
  spectra: ReadonlyMap<number, KnownSpectrum>,
  input: EstimateInput,
): SizeEstimate[] {
  const known = [...spectra.values()];
  const tensors = known.map(
    (spectrum): AllocationTensor => ({ ...spectrum, singularValues: fullSpectrum(spectrum) }),
  );
  const fixed = session.exactByteLength + input.blobByteLength + indexByteLength(session);
  const { squaredResidual } = session;
  return input.budgets.map(({ budget, resolved }) => {
    const target = targetOf(resolved, fixed, squaredResidual);
    const options: AllocateOptions = { strategy: strategyOf({ budget }), bits: 'auto', prior: 0 };
    const { points } = allocate(tensors, target, options);
    const archiveByteLength = fixed + totalByteLength(points);
    const relativeError =
      squaredResidual === 0 ? 0 : Math.sqrt(Math.max(0, totalSquaredError(points)) / squaredResidual);
    return {
      budget,
      archiveByteLength,
      ratio: archiveByteLength / input.fineTunedByteLength,
      relativeError,
      reachable: resolved.kind !== 'size' || archiveByteLength <= resolved.byteLength,
      extrapolated: points.some(
        ({ choice }, i) => choice.kind === 'low-rank' && choice.rank > known[i]!.singularValues.length,
      ),
    };
  });
}

function targetOf(resolved: ResolvedBudget, fixed: number, squaredResidual: number): AllocationTarget {
  switch (resolved.kind) {
    case 'fixed':
      return { kind: 'fixed', value: resolved.value };
    case 'size':
      return { kind: 'size', byteLength: Math.max(0, resolved.byteLength - fixed) };
    case 'error':
      return { kind: 'error', squaredError: resolved.relativeError ** 2 * squaredResidual };
  }
}

function indexByteLength(session: EncodeSession): number {
  return session.analyses.reduce(
    (sum, analysis) => sum + (analysis.case === 'identical' ? INDEX_BYTES.identical : INDEX_BYTES.other),
    PRELUDE_BYTE_LENGTH + INDEX_BYTES.base,
  );
}

/** Archive sizes and errors at several budgets, from spectra alone: what encode would choose, without encoding. */

import { type AllocateOptions, allocate } from '../allocation/allocate.js';
import { type AllocationTarget, totalByteLength, totalSquaredError } from '../allocation/allocation.js';
import type { AllocationTensor } from '../allocation/operating-points.js';
import { abortError } from '../io/worker-pool.js';
import { type ModelledArchive, modelAtStep, modelledStep } from '../rate-distortion/model-step.js';
import type { Budget } from './api.js';
import { type ResolvedBudget, targetOf } from './budget-search.js';
import type { SizeEstimate } from './diff-report.js';
import { strategyOf } from './encode-options.js';
import type { EncodeSession } from './encode-session.js';
import { predictedIndexByteLength } from './predicted-index.js';
import type { FullSpectrum } from './spectrum-summary.js';

export interface EstimateInput {
  /** Each with what it comes to for this model. */
  readonly budgets: readonly { readonly budget: Budget; readonly resolved: ResolvedBudget }[];
  /** Weight-file headers and side files, as packed. */
  readonly blobByteLength: number;
  readonly fineTunedByteLength: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Predicts every budget with the allocation that encode uses by default, on operating points over `spectra`
 * and their continuation, so that no budget needs further SVD work.
 * @param session analysed; @param spectra of every residual
 * @throws EreError ERE_ABORTED between two budgets
 */
export async function estimateAtBudgets(
  session: EncodeSession,
  spectra: readonly FullSpectrum[],
  input: EstimateInput,
): Promise<SizeEstimate[]> {
  const tensors = spectra.map(
    (spectrum): AllocationTensor => ({ ...spectrum, singularValues: spectrum.fullSingularValues }),
  );
  const fixed = session.exactByteLength + input.blobByteLength + predictedIndexByteLength(session.analyses);
  const { squaredResidual } = session;
  const estimates: SizeEstimate[] = [];
  for (const { budget, resolved } of input.budgets) {
    // A turn of the event loop, so that signals get through: large models take seconds a budget.
    await new Promise((resolve) => setImmediate(resolve));
    if (input.signal?.aborted) throw abortError(input.signal);
    const target = targetOf(resolved, fixed, squaredResidual);
    const strategy = strategyOf({ budget });
    const { byteLength, squaredError, ranks } =
      strategy === 'rate-distortion'
        ? modelAtStep(tensors, modelledStep(tensors, target))
        : estimatePoints(tensors, target, { strategy, bits: 'auto', prior: 0 });
    const archiveByteLength = fixed + byteLength;
    estimates.push({
      budget,
      archiveByteLength,
      ratio: archiveByteLength / input.fineTunedByteLength,
      relativeError: squaredResidual === 0 ? 0 : Math.sqrt(squaredError / squaredResidual),
      reachable: resolved.kind !== 'size' || archiveByteLength <= resolved.byteLength,
      extrapolated: ranks.some((rank, i) => rank > spectra[i]!.singularValues.length),
    });
  }
  return estimates;
}

/** What a choice for every tensor comes to. */
type Estimate = ModelledArchive;

function estimatePoints(
  tensors: readonly AllocationTensor[],
  target: AllocationTarget,
  options: AllocateOptions,
): Estimate {
  const { points } = allocate(tensors, target, options);
  return {
    byteLength: totalByteLength(points),
    squaredError: Math.max(0, totalSquaredError(points)),
    ranks: points.map(({ choice }) => (choice.kind === 'low-rank' ? choice.rank : 0)),
  };
}

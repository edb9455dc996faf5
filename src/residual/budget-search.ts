/**
 * From what the user asked for to an allocation that holds with real bytes and measured errors:
 * allocate on predictions, encode, measure, correct the target, repeat.
 */

import { BudgetError } from '../../formats/errors.js';
import type { AllocationTarget } from '../allocation/allocation.js';

/** A budget after units are resolved: ratios as bytes of this model. */
export type ResolvedBudget =
  | { readonly kind: 'size'; readonly byteLength: number }
  | { readonly kind: 'error'; readonly relativeError: number }
  | { readonly kind: 'fixed'; readonly value: number };

/**
 * What the allocation is asked for, on predictions.
 * @param fixed bytes of the file that no allocation changes
 * @param squaredResidual Σ‖R‖²
 */
export function targetOf(budget: ResolvedBudget, fixed: number, squaredResidual: number): AllocationTarget {
  switch (budget.kind) {
    case 'fixed':
      return budget;
    case 'size':
      return { kind: 'size', byteLength: Math.max(0, budget.byteLength - fixed) };
    case 'error':
      return { kind: 'error', squaredError: budget.relativeError ** 2 * squaredResidual };
  }
}

/** One encode at one allocation, as measured. */
export interface Attempt<Archive> {
  readonly archive: Archive;
  /** Whole file. */
  readonly byteLength: number;
  /** What the allocation's points came to, of that. */
  readonly payloadByteLength: number;
  /** Σ‖W_ft − Ŵ‖² over the residuals. */
  readonly squaredError: number;
}

export interface BudgetSearchInput<Found extends Attempt<unknown>> {
  readonly budget: ResolvedBudget;
  /** Bytes of the file that no allocation changes, as estimated before the first encode. */
  readonly fixedByteLength: number;
  /** Σ‖R‖². */
  readonly squaredResidual: number;
  attempt(target: AllocationTarget): Promise<Found>;
}

/** Encodes at most this often; each repetition only re-encodes tensors whose point changed. */
const MAX_ATTEMPTS = 8;
/** Bytes kept free for the index, whose compressed length shifts with the digests in it; halved at every attempt. */
export const INDEX_SLACK = 48;
/** A file this close under the asked size is good. */
const SIZE_TOLERANCE = 0.005;
/** A measured error this close under the asked one is good. */
const ERROR_TOLERANCE = 0.005;

export async function searchBudget<Found extends Attempt<unknown>>(
  input: BudgetSearchInput<Found>,
): Promise<Found> {
  switch (input.budget.kind) {
    case 'fixed':
      return input.attempt({ kind: 'fixed', value: input.budget.value });
    case 'size':
      return searchSize(input, input.budget.byteLength);
    case 'error':
      return searchError(input, input.budget.relativeError);
  }
}

async function searchSize<Found extends Attempt<unknown>>(
  input: BudgetSearchInput<Found>,
  asked: number,
): Promise<Found> {
  let payload = asked - input.fixedByteLength;
  let best: Found | undefined;
  for (let i = 0; i < MAX_ATTEMPTS; i++) {
    const attempt = await input.attempt({ kind: 'size', byteLength: Math.max(0, payload) });
    const missing = asked - attempt.byteLength;
    if (missing >= 0 && (best === undefined || attempt.squaredError < best.squaredError)) best = attempt;
    if (missing >= 0 && missing <= asked * SIZE_TOLERANCE) break;
    if (missing < 0 && payload <= 0) break; // Already nothing but the fixed part.
    // What the points do not take is the same next time, but for the index.
    const next = asked - (attempt.byteLength - attempt.payloadByteLength) - (INDEX_SLACK >> i);
    if (next === payload) break;
    payload = next;
  }
  if (best !== undefined) return best;
  throw sizeError((await input.attempt({ kind: 'size', byteLength: 0 })).byteLength, asked);
}

/** Not even the smallest archive fits. */
export function sizeError(smallest: number, asked: number): BudgetError {
  return new BudgetError(
    `the smallest archive of this model has ${smallest} bytes (headers, index, side files and what is stored ` +
      `exactly), which is over the asked ${asked}; ask for more, or leave side files out`,
    asked,
    smallest,
  );
}

/** Not even the finest coding errs so little. @param advice what to do, without a full stop */
export function errorError(least: number, asked: number, advice: string): BudgetError {
  return new BudgetError(
    `the least relative error that is reached is ${least.toPrecision(3)}, over the asked ${asked}; ${advice}`,
    asked,
    least,
  );
}

async function searchError<Found extends Attempt<unknown>>(
  input: BudgetSearchInput<Found>,
  asked: number,
): Promise<Found> {
  const goal = asked ** 2 * input.squaredResidual;
  let target = goal;
  let best: Found | undefined;
  let least = Number.POSITIVE_INFINITY;
  let reached = 0;
  let missed = Number.POSITIVE_INFINITY;
  for (let i = 0; i < MAX_ATTEMPTS; i++) {
    const attempt = await input.attempt({ kind: 'error', squaredError: target });
    const met = attempt.squaredError <= goal;
    least = Math.min(least, attempt.squaredError);
    if (met && (best === undefined || attempt.byteLength < best.byteLength)) best = attempt;
    if (met && (attempt.squaredError >= goal * (1 - ERROR_TOLERANCE) ** 2 || target === 0)) break;
    if (met) reached = Math.max(reached, target);
    else missed = Math.min(missed, target);
    // Measured and predicted error are nearly proportional: rounding and quantiser shape shift both alike.
    // Where the points lie too far apart for that, the interval is halved.
    let next =
      attempt.squaredError > 0 ? target * (goal / attempt.squaredError) * (1 - ERROR_TOLERANCE / 2) : target;
    if (next <= reached || next >= missed) next = Math.sqrt(reached * missed);
    if (!Number.isFinite(next)) break;
    if (next === target) break;
    target = i === MAX_ATTEMPTS - 2 && best === undefined ? 0 : next;
  }
  if (best !== undefined) return best;
  throw errorError(
    Math.sqrt(least / input.squaredResidual),
    asked,
    'allow a larger one, give the factors more bits, or take the layer-wise allocation, which can code exactly',
  );
}

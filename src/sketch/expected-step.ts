/** The quantiser step at which a budget is expected to be met: what other references are then compared at. */
import type { Sketch, SketchedTensor } from '../../formats/sketch/sketch.js';
import { expectedBits } from './expected-bits.js';

/** Bits over those of the checkpoint's tensors, or ‖error‖ / ‖residual‖; both in (0, 1). */
export type ExpectedBudget = { readonly ratio: number } | { readonly relativeError: number };

/** Tensors, evenly spread, that the search looks at. */
const SEARCHED_TENSORS = 48;

/** Halvings of the octaves in question: the step is right to 2 %, samples are not. */
const HALVINGS = 11;

/** Octaves around the root mean square of the residual in which steps are looked for: 40 bits a weight to none. */
const OCTAVES = { low: -40, high: 12 } as const;

/**
 * The step of a uniform quantiser, one for all tensors as rate and distortion want it.
 * @returns undefined where the budget says nothing: no residual against the reference, or a ratio that covers all of it exactly
 * @throws RangeError for a budget that is not in (0, 1)
 */
export function expectedStep(
  fineTuned: Sketch,
  reference: Sketch,
  budget: ExpectedBudget,
): number | undefined {
  const wanted = 'ratio' in budget ? budget.ratio : budget.relativeError;
  if (!(wanted > 0 && wanted < 1)) throw new RangeError(`expected a budget in (0, 1), got ${wanted}`);
  const searched = { tensors: someOf(fineTuned.tensors) };
  const exact = expectedBits(searched, reference, { lossless: true });
  const elements = exact.bitsPerWeight === 0 ? 0 : exact.bits / exact.bitsPerWeight;
  const spread = Math.sqrt(exact.squaredResidual / elements);
  if (!(spread > 0)) return undefined;
  if ('ratio' in budget && exact.ratio <= budget.ratio) return undefined;
  /** Whether a step is finer than the budget asks for. */
  const isFiner = (octave: number): boolean => {
    const expected = expectedBits(searched, reference, { step: spread * 2 ** octave });
    return 'ratio' in budget
      ? expected.ratio > budget.ratio
      : expected.squaredError < budget.relativeError ** 2 * exact.squaredResidual;
  };
  let { low, high }: { low: number; high: number } = OCTAVES;
  for (let i = 0; i < HALVINGS; i++) {
    const middle = (low + high) / 2;
    if (isFiner(middle)) low = middle;
    else high = middle;
  }
  return spread * 2 ** high;
}

function someOf(tensors: ReadonlyMap<string, SketchedTensor>): ReadonlyMap<string, SketchedTensor> {
  const stride = Math.ceil(tensors.size / SEARCHED_TENSORS);
  return new Map(
    [...tensors].filter(([, { samples }]) => samples.length > 0).filter((_, i) => i % stride === 0),
  );
}

/**
 * What a version costs to decode, relative to decoding the same tensors from one archive against the base
 * (docs/spec/store.md §7): bytes to entropy-decode along the chain, a part for every element of every step, and a part
 * for reading, hashing and writing the result, which a chain does once.
 */

/** Of elements that entropy coding has nothing to say about, and of the work on each result, in coded bytes. */
const STEP_BYTES_PER_ELEMENT = 0.4;
const OUTPUT_BYTES_PER_ELEMENT = 0.08;

export interface ChainCost {
  readonly elementCount: number;
  /** Σ over tensors of elements times steps. */
  readonly steppedElementCount: number;
  /** Coded bytes of all steps. */
  readonly chainByteLength: number;
}

/** @param directByteLength coded bytes of one step from the base */
export function decodeCost(
  { elementCount, steppedElementCount, chainByteLength }: ChainCost,
  directByteLength: number,
): number {
  const output = OUTPUT_BYTES_PER_ELEMENT * elementCount;
  const chain = chainByteLength + STEP_BYTES_PER_ELEMENT * steppedElementCount + output;
  const direct = directByteLength + STEP_BYTES_PER_ELEMENT * elementCount + output;
  return direct === 0 ? 1 : chain / direct;
}

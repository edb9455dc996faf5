/**
 * Orthonormal vectors from integer codes (docs/spec/codecs.md §10). Vector k is coded in the coordinates that are
 * left when the vectors before it are reflected onto the first k axes, so it takes k codes fewer, none of which
 * repeats what orthogonality already says. Invariant: float64, every operation rounded once and in the written
 * order, so that every machine gets the same vectors.
 */

import type { DecodeKernels, Reflections } from '../kernels/kernels.js';

/** Largest dimension: sums of squared codes stay below 2^53. */
export const MAX_BASIS_DIMENSION = 1 << 23;

export class OrthonormalBasis {
  readonly dimension: number;
  /** Reflection k, whose w is 0 before its own index, takes vector k to axis k. */
  readonly #reflections: Reflections;

  /** @param dimension at most MAX_BASIS_DIMENSION */
  constructor(dimension: number, kernels: DecodeKernels) {
    this.dimension = dimension;
    this.#reflections = kernels.createReflections(dimension);
  }

  /** Vectors so far. */
  get rank(): number {
    return this.#reflections.count;
  }

  /** Turns a vector into the coordinates that the next one is coded in, those before `rank` being in the span so far. */
  reflect(x: Float64Array): void {
    this.#reflections.apply(x, false);
  }

  /**
   * The vector of the given codes, `dimension` of them; those before `rank` do not count. Undefined, and nothing
   * added, where the others are all 0.
   */
  add(codes: Int16Array): Float64Array | undefined {
    const { dimension, rank: first } = this;
    let sum = 0;
    for (let i = first; i < dimension; i++) sum += codes[i] * codes[i];
    if (sum === 0) return undefined;
    const norm = Math.sqrt(sum);
    const x = new Float64Array(dimension);
    for (let i = first; i < dimension; i++) x[i] = codes[i] / norm;
    const w = x.slice();
    const q = 1 + Math.abs(w[first]);
    w[first] += codes[first] < 0 ? -1 : 1;
    this.#reflections.apply(x, true);
    this.#reflections.add(w, q);
    return x;
  }
}

/**
 * Orthonormal vectors from integer codes (docs/spec/codecs.md §10). Vector k is coded in the coordinates that are
 * left when the vectors before it are reflected onto the first k axes, so it takes k codes fewer, none of which
 * repeats what orthogonality already says. Invariant: float64, every operation rounded once and in the written
 * order, so that every machine gets the same vectors.
 */

/** Largest dimension: sums of squared codes stay below 2^53. */
export const MAX_BASIS_DIMENSION = 1 << 23;

/** A Householder reflection x − w (wᵀx) / q, with ‖w‖² = 2q; w is 0 before its own index. */
interface Reflection {
  readonly w: Float64Array;
  readonly q: number;
}

export class OrthonormalBasis {
  readonly dimension: number;
  readonly #reflections: Reflection[] = [];

  /** @param dimension at most MAX_BASIS_DIMENSION */
  constructor(dimension: number) {
    this.dimension = dimension;
  }

  /** Vectors so far. */
  get rank(): number {
    return this.#reflections.length;
  }

  /** Turns a vector into the coordinates that the next one is coded in, those before `rank` being in the span so far. */
  reflect(x: Float64Array): void {
    for (const [k, reflection] of this.#reflections.entries()) applyReflection(reflection, k, x);
  }

  /**
   * The vector of the given codes, `dimension` of them; those before `rank` do not count. Undefined, and nothing
   * added, where the others are all 0.
   */
  add(codes: Int16Array): Float64Array | undefined {
    const { dimension } = this;
    const first = this.#reflections.length;
    let sum = 0;
    for (let i = first; i < dimension; i++) sum += codes[i] * codes[i];
    if (sum === 0) return undefined;
    const norm = Math.sqrt(sum);
    const x = new Float64Array(dimension);
    for (let i = first; i < dimension; i++) x[i] = codes[i] / norm;
    const w = x.slice();
    const q = 1 + Math.abs(w[first]);
    w[first] += codes[first] < 0 ? -1 : 1;
    for (let k = first - 1; k >= 0; k--) applyReflection(this.#reflections[k], k, x);
    this.#reflections.push({ w, q });
    return x;
  }
}

/** In four sums by index modulo 4, which processors can work on side by side. Entries of w before `first` are 0. */
function applyReflection({ w, q }: Reflection, first: number, x: Float64Array): void {
  const end = x.length;
  const last = end & ~3;
  let i = first & ~3;
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  for (; i < last; i += 4) {
    s0 += w[i] * x[i];
    s1 += w[i + 1] * x[i + 1];
    s2 += w[i + 2] * x[i + 2];
    s3 += w[i + 3] * x[i + 3];
  }
  if (i < end) s0 += w[i] * x[i];
  if (i + 1 < end) s1 += w[i + 1] * x[i + 1];
  if (i + 2 < end) s2 += w[i + 2] * x[i + 2];
  const factor = (s0 + s1 + (s2 + s3)) / q;
  for (let j = first; j < end; j++) x[j] -= factor * w[j];
}

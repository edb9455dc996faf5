/** Householder reflections, as the contract writes them. */
import type { Reflections } from '../kernels.js';

interface Reflection {
  readonly w: Float64Array;
  readonly q: number;
}

export function createReflections(): Reflections {
  const reflections: Reflection[] = [];
  return {
    get count() {
      return reflections.length;
    },
    add(w, q) {
      reflections.push({ w: w.slice(), q });
    },
    apply(x, isBackward) {
      const { length } = reflections;
      for (let i = 0; i < length; i++) {
        const k = isBackward ? length - 1 - i : i;
        reflect(reflections[k]!, k, x);
      }
    },
  };
}

/** In four sums by index modulo 4, which processors can work on side by side. Entries of w before `first` are 0. */
function reflect({ w, q }: Reflection, first: number, x: Float64Array): void {
  const end = x.length;
  const last = end & ~3;
  let i = first & ~3;
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  for (; i < last; i += 4) {
    s0 += w[i]! * x[i]!;
    s1 += w[i + 1]! * x[i + 1]!;
    s2 += w[i + 2]! * x[i + 2]!;
    s3 += w[i + 3]! * x[i + 3]!;
  }
  if (i < end) s0 += w[i]! * x[i]!;
  if (i + 1 < end) s1 += w[i + 1]! * x[i + 1]!;
  if (i + 2 < end) s2 += w[i + 2]! * x[i + 2]!;
  const factor = (s0 + s1 + (s2 + s3)) / q;
  for (let j = first; j < end; j++) x[j]! -= factor * w[j]!;
}

/**
 * A sketch of a checkpoint (docs/spec/sketch.md): names, dtypes and shapes of its tensors, and a few of their
 * elements. Which elements depends on the shape alone, so sketches of two checkpoints compare the same
 * weights, also where one was re-sharded, renamed or saved in another float type.
 */
import { type Dtype, elementCount, isFloatDtype } from '../dtype.js';
import type { Digest } from '../ere/archive-index.js';
import { matrixView } from '../matrix-view.js';

export interface SketchedTensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** SHA-256 of the tensor's bytes, where it is known. */
  readonly digest?: Digest;
  /** The elements that `sampledRuns` names, run by run; empty for a dtype that is not float. */
  readonly samples: Float32Array;
}

export interface Sketch {
  /** By name, in the order of the checkpoint. */
  readonly tensors: ReadonlyMap<string, SketchedTensor>;
}

/**
 * Elements lie in runs of neighbours: weights next to one another are as independent as any, but for rows that
 * a fine-tune leaves alone as a whole, and a run costs one read. 64 values tell related weights (correlation over
 * 0.5) from unrelated ones (0 ± 1/8) in a single tensor.
 */
const RUN_COUNT = 16;
const RUN_LENGTH = 4;

/** Most elements of one tensor in a sketch. */
export const MAX_SAMPLES = RUN_COUNT * RUN_LENGTH;

export interface SampledRuns {
  /** Index of the first element of each run, in row-major order of the tensor. A run may occur twice. */
  readonly starts: readonly number[];
  /** Elements of every run. */
  readonly length: number;
}

/**
 * Where a float tensor of this shape is sampled: all of up to MAX_SAMPLES elements, else runs at rows and columns
 * of its matrix view that are chosen independently. A row that is added to m rows moves a run only with
 * probability 1/(m + 1), so that a tensor and the same with some rows more share most samples.
 * @throws RangeError over 2^53 elements
 */
export function sampledRuns(shape: readonly number[]): SampledRuns {
  const count = elementCount(shape);
  if (count <= MAX_SAMPLES) return { starts: count === 0 ? [] : [0], length: count };
  const view = matrixView(shape);
  // Runs of a matrix that is narrower than a run go over the ends of rows.
  const isNarrow = view.columns < RUN_LENGTH;
  const rows = isNarrow ? 1 : view.rows;
  const columns = isNarrow ? count : view.columns;
  const starts = Array.from({ length: RUN_COUNT }, (_, run) => {
    const row = consistentIndex(2 * run, rows);
    const group = consistentIndex(2 * run + 1, Math.floor(columns / RUN_LENGTH));
    return row * columns + group * RUN_LENGTH;
  });
  return { starts, length: RUN_LENGTH };
}

/** Elements that a sketch has of a tensor. */
export function sampleCount({ dtype, shape }: Pick<SketchedTensor, 'dtype' | 'shape'>): number {
  return isFloatDtype(dtype) ? Math.min(elementCount(shape), MAX_SAMPLES) : 0;
}

/**
 * Jump consistent hash (Lamping and Veach 2014, arXiv 1406.2294) on a counter through MurmurHash3's finaliser:
 * an index in [0, count), evenly spread over seeds.
 */
function consistentIndex(seed: number, count: number): number {
  let state = Math.imul(seed + 1, 0x85ebca6b);
  let index = 0;
  let next = 0;
  while (next < count) {
    index = next;
    state = (state + 0x9e3779b9) | 0;
    next = Math.floor((index + 1) / ((mix(state) + 1) / 2 ** 32));
  }
  return index;
}

/** An unsigned 32-bit integer, each bit of which depends on every bit of `state`. */
function mix(state: number): number {
  let bits = state ^ (state >>> 16);
  bits = Math.imul(bits, 0x85ebca6b);
  bits ^= bits >>> 13;
  bits = Math.imul(bits, 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

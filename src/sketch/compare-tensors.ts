/** What the samples of two sketched tensors say of their relation. */
import { elementCount, type FloatDtype, isFloatDtype } from '../../formats/dtype.js';
import { isVectorShape } from '../../formats/matrix-view.js';
import { type SketchedTensor, sampledRuns } from '../../formats/sketch/sketch.js';
import { roundTo } from './float-format.js';

export interface TensorRelation {
  /** Elements of the fine-tune's tensor. */
  readonly elementCount: number;
  /** Means over the samples: of (w_ft − w_base)², w_ft², w_base² and w_ft · w_base. */
  readonly squaredResidual: number;
  readonly squaredFineTuned: number;
  readonly squaredBase: number;
  readonly product: number;
  /** Same shape, and all samples the same once the finer is rounded to the type of the coarser; with equal dtypes and known digests, the same bytes. */
  readonly isIdentical: boolean;
  /**
   * Whether it tells related models from unrelated ones: a matrix. Norms are near 1 and biases near 0 in any model.
   */
  readonly isTelling: boolean;
}

/** Values of the same elements in both. */
export interface CommonSamples {
  readonly fineTuned: Float32Array;
  readonly base: Float32Array;
}

/** Samples that both have: all of them in equal shapes, and most where one has some rows more. */
export function commonSamples(fineTuned: SketchedTensor, base: SketchedTensor): CommonSamples {
  if (fineTuned.shape.join() === base.shape.join()) {
    if (fineTuned.samples.length === base.samples.length)
      return { fineTuned: fineTuned.samples, base: base.samples };
    return { fineTuned: new Float32Array(0), base: new Float32Array(0) }; // One of them is not float.
  }
  const baseValues = samplesByElement(base);
  const pairs = [...samplesByElement(fineTuned)].flatMap(([element, value]) => {
    const baseValue = baseValues.get(element);
    return baseValue === undefined ? [] : [[value, baseValue] as const];
  });
  return {
    fineTuned: Float32Array.from(pairs, ([value]) => value),
    base: Float32Array.from(pairs, ([, value]) => value),
  };
}

function samplesByElement({ shape, samples }: SketchedTensor): Map<number, number> {
  const { starts, length } = sampledRuns(shape);
  const values = new Map<number, number>();
  for (const [i, value] of samples.entries()) {
    values.set(starts[Math.floor(i / length)]! + (i % length), value);
  }
  return values;
}

/** Undefined where nothing can be said: no common samples and no digests, or values that are not finite. */
export function compareTensors(fineTuned: SketchedTensor, base: SketchedTensor): TensorRelation | undefined {
  const isSameShape = fineTuned.shape.join() === base.shape.join();
  const isSameLayout = isSameShape && fineTuned.dtype === base.dtype;
  const hasDigests = fineTuned.digest !== undefined && base.digest !== undefined;
  const isSameBytes = isSameLayout && hasDigests && fineTuned.digest === base.digest;
  const count = elementCount(fineTuned.shape);
  const common = commonSamples(fineTuned, base);
  if (common.base.length === 0 && !isSameBytes) return undefined;
  const means = meansOf(common);
  if (!Number.isFinite(means.squaredFineTuned + means.squaredBase)) {
    return isSameBytes ? { elementCount: count, ...NOTHING, isIdentical: true, isTelling: false } : undefined;
  }
  const isSameSamples =
    isSameShape && isFloatDtype(fineTuned.dtype) && isFloatDtype(base.dtype)
      ? areSameRounded(common, fineTuned.dtype, base.dtype)
      : false;
  return {
    elementCount: count,
    ...means,
    isIdentical: isSameLayout && hasDigests ? isSameBytes : isSameSamples,
    isTelling: common.base.length > 0 && !isVectorShape(fineTuned.shape),
  };
}

type Means = Pick<TensorRelation, 'squaredResidual' | 'squaredFineTuned' | 'squaredBase' | 'product'>;

const NOTHING: Means = { squaredResidual: 0, squaredFineTuned: 0, squaredBase: 0, product: 0 };

function meansOf({ fineTuned, base }: CommonSamples): Means {
  const means = { ...NOTHING };
  const share = 1 / Math.max(1, base.length);
  base.forEach((baseValue, i) => {
    const value = fineTuned[i]!;
    means.squaredResidual += share * (value - baseValue) ** 2;
    means.squaredFineTuned += share * value ** 2;
    means.squaredBase += share * baseValue ** 2;
    means.product += share * value * baseValue;
  });
  return means;
}

function areSameRounded(common: CommonSamples, dtype: FloatDtype, baseDtype: FloatDtype): boolean {
  return (
    areEqual(roundTo(dtype, common.base), common.fineTuned) ||
    areEqual(roundTo(baseDtype, common.fineTuned), common.base)
  );
}

function areEqual(x: Float32Array, y: Float32Array): boolean {
  return x.every((value, i) => Object.is(value, y[i]) || value === y[i]);
}

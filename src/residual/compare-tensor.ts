/** What diff asks of one tensor pair beyond the encoder's analysis: equal elements, and norms of both sides. */
import { DTYPES, type FloatDtype, isFloatDtype } from '../../formats/dtype.js';
import type { ReadablePair } from './analyse-tensor.js';
import { countEqualElements } from './equal-elements.js';
import { BLOCK_ELEMENTS } from './runtime.js';

/** Over the rows that base and fine-tune share. */
export interface TensorComparison {
  /** Elements with the bits of the base's; 0 where the dtypes differ. */
  readonly equalCount: number;
  /** ‖W_ft − W_base‖²; NaN where a dtype has no float arithmetic or a value is not finite. */
  readonly squaredResidual: number;
  /** ‖W_base‖²; NaN likewise. */
  readonly squaredBase: number;
}

/** Reads the common rows of both tensors once. Without a base there is nothing in common: all 0. */
export async function compareTensor({
  pair,
  readFineTuned,
  readBase,
  runtime: { kernels },
}: ReadablePair): Promise<TensorComparison> {
  const { base, fineTuned, commonRows, columns } = pair;
  let [equalCount, squaredResidual, squaredBase] = [0, 0, 0];
  if (base === undefined || readBase === undefined) return { equalCount, squaredResidual, squaredBase };
  const isFloat = isFloatDtype(fineTuned.dtype) && isFloatDtype(base.dtype);
  const bits = DTYPES[fineTuned.dtype].bits;
  const baseBits = DTYPES[base.dtype].bits;
  const elements = commonRows * columns;
  for (let start = 0; start < elements; start += BLOCK_ELEMENTS) {
    const count = Math.min(BLOCK_ELEMENTS, elements - start);
    const [fineTunedBytes, baseBytes] = await Promise.all([
      readFineTuned((start * bits) / 8, (count * bits) / 8),
      readBase((start * baseBits) / 8, (count * baseBits) / 8),
    ]);
    if (fineTuned.dtype === base.dtype) equalCount += countEqualElements(fineTunedBytes, baseBytes, bits);
    if (!isFloat) continue;
    const values = new Float32Array(count);
    const baseDtype = base.dtype as FloatDtype;
    kernels.toFloat32(baseDtype, baseBytes, values);
    squaredBase += squaredNorm(values);
    kernels.subtract(fineTuned.dtype as FloatDtype, fineTunedBytes, baseDtype, baseBytes, values);
    squaredResidual += squaredNorm(values);
  }
  if (!isFloat) [squaredResidual, squaredBase] = [Number.NaN, Number.NaN];
  return { equalCount, squaredResidual, squaredBase };

  function squaredNorm(values: Float32Array): number {
    const { sumOfSquares, nonFiniteCount } = kernels.statistics(values);
    return nonFiniteCount > 0 ? Number.NaN : sumOfSquares;
  }
}

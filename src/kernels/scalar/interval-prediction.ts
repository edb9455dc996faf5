/** The prediction of codec "interval" in the forms that its model reads. */
import { type FloatDtype, isFloatDtype } from '../../../formats/dtype.js';
import { elementLayout, type IntervalModel, type IntervalPrediction } from '../interval-model.js';
import { toFloat32 } from './elementwise.js';

export interface PredictionForms {
  /** Elements of the tensor's dtype. */
  readonly elements: Uint8Array;
  /** Float32 patterns of the prediction; empty for F64 and integers. */
  readonly wide: Uint32Array;
  /** Float32 patterns of `elements`; empty like `wide`. */
  readonly narrowed: Uint32Array;
}

const NO_PATTERNS = new Uint32Array(0);

export function preparePrediction(
  model: IntervalModel,
  prediction: IntervalPrediction | undefined,
  count: number,
): PredictionForms {
  const { isFloat, byteLength } = elementLayout(model.dtype);
  const elements = prediction?.elements ?? new Uint8Array(count * byteLength);
  if (!isFloat || byteLength === 8) return { elements, wide: NO_PATTERNS, narrowed: NO_PATTERNS };
  const dtype: FloatDtype = isFloatDtype(model.dtype) ? model.dtype : 'F32';
  const narrowed = new Uint32Array(count);
  toFloat32(dtype, elements, new Float32Array(narrowed.buffer));
  const values = prediction?.values;
  const wide =
    values === undefined ? narrowed.slice() : new Uint32Array(values.buffer, values.byteOffset, count);
  return model.drop === 0 ? { elements, wide, narrowed } : dropped(wide, narrowed, model.drop);
}

/** Rounds the patterns to nearest even at `drop` bits, modulo 2^32. */
function dropped(wide: Uint32Array, narrowed: Uint32Array, drop: number): PredictionForms {
  const elements = new Uint8Array(narrowed.byteLength);
  const view = new DataView(elements.buffer);
  for (const [i, pattern] of narrowed.entries()) {
    const half = 2 ** (drop - 1) - 1 + ((pattern >>> drop) & 1);
    narrowed[i] = ((pattern + half) >>> drop) << drop;
    view.setUint32(4 * i, narrowed[i], true);
  }
  return { elements, wide, narrowed };
}

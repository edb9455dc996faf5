/** The prediction of codec "interval" in the forms that its model reads. */
import { type FloatDtype, isFloatDtype } from '../../../formats/dtype.js';
import { elementLayout, type IntervalModel, type Prediction } from '../interval-model.js';
import { fromFloat32, toFloat32 } from './elementwise.js';

export interface PredictionForms {
  /** Elements of the tensor's dtype. */
  readonly elements: Uint8Array;
  /** Float32 patterns of the prediction; empty for F64 and integers. */
  readonly wide: Uint32Array;
  /** Float32 patterns of `elements`; empty like `wide`. */
  readonly narrowed: Uint32Array;
}

export function preparePrediction(
  model: IntervalModel,
  prediction: Prediction,
  count: number,
): PredictionForms {
  const { isFloat, byteLength } = elementLayout(model.dtype);
  const dtype: FloatDtype = model.dtype === 'C64' ? 'F32' : isFloatDtype(model.dtype) ? model.dtype : 'F32';
  if (prediction instanceof Float32Array && !isFloat) {
    throw new TypeError(`prediction: expected elements of ${model.dtype}, got float32 values`);
  }
  let elements: Uint8Array;
  if (prediction instanceof Float32Array) {
    elements = new Uint8Array(count * byteLength);
    fromFloat32(dtype, prediction, elements);
  } else {
    elements = prediction ?? new Uint8Array(count * byteLength);
  }
  if (!isFloat || byteLength === 8) {
    return { elements, wide: new Uint32Array(0), narrowed: new Uint32Array(0) };
  }
  const narrowed = new Uint32Array(count);
  toFloat32(dtype, elements, new Float32Array(narrowed.buffer));
  const wide =
    prediction instanceof Float32Array
      ? new Uint32Array(prediction.buffer, prediction.byteOffset, count)
      : narrowed.slice();
  if (model.drop > 0) {
    elements = new Uint8Array(count * byteLength);
    const view = new DataView(elements.buffer);
    for (let i = 0; i < count; i++) {
      narrowed[i] = dropBits(narrowed[i], model.drop);
      view.setUint32(4 * i, narrowed[i], true);
    }
  }
  return { elements, wide, narrowed };
}

/** Rounds a pattern to nearest even at `drop` bits, modulo 2^32. */
function dropBits(pattern: number, drop: number): number {
  const half = 2 ** (drop - 1) - 1 + ((pattern >>> drop) & 1);
  return (((pattern + half) >>> drop) << drop) >>> 0;
}

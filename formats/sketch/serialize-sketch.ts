/** A sketch as bytes (docs/spec/sketch.md). */
import { crc32 } from '../crc32.js';
import { deflateRaw } from '../deflate.js';
import { LIMITS } from '../limits.js';
import { type Sketch, type SketchedTensor, sampleCount } from './sketch.js';
import { HEAD_BYTE_LENGTH, SKETCH_ENCODINGS, SKETCH_MAGIC, toPlanes } from './sketch-file.js';

/**
 * Equal sketches give equal bytes on one runtime, as deflate does.
 * @throws RangeError where a tensor has another number of samples than its dtype and shape say
 */
export async function serializeSketch(sketch: Sketch): Promise<Uint8Array> {
  const tensors = [...sketch.tensors];
  for (const [name, tensor] of tensors) assertSamples(name, tensor);
  const json = new TextEncoder().encode(
    JSON.stringify({
      tensors: tensors.map(([name, { dtype, shape, digest }]) => ({
        name,
        dtype,
        shape,
        ...(digest === undefined ? {} : { digest }),
      })),
    }),
  );
  const samples = joinSamples(tensors.map(([, tensor]) => tensor.samples));
  const body = new Uint8Array(json.byteLength + 4 * samples.length);
  body.set(json);
  body.set(toPlanes(samples), json.byteLength);
  const deflated = await deflateRaw(body);
  // What deflates further than a reader takes, a model of zeros, is stored.
  const isSmaller = deflated.byteLength < body.byteLength;
  const isDeflated = isSmaller && body.byteLength <= LIMITS.sketchDeflateRatio * deflated.byteLength;
  const stored = isDeflated ? deflated : body;
  const bytes = new Uint8Array(HEAD_BYTE_LENGTH + stored.byteLength);
  const view = new DataView(bytes.buffer);
  bytes.set(SKETCH_MAGIC);
  view.setUint32(8, SKETCH_ENCODINGS.indexOf(isDeflated ? 'deflate-raw' : 'stored'), true);
  view.setUint32(12, json.byteLength, true);
  view.setUint32(16, samples.length, true);
  view.setUint32(20, stored.byteLength, true);
  view.setUint32(24, crc32(stored), true);
  bytes.set(stored, HEAD_BYTE_LENGTH);
  return bytes;
}

function joinSamples(parts: readonly Float32Array[]): Float32Array {
  const joined = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let filled = 0;
  for (const part of parts) {
    joined.set(part, filled);
    filled += part.length;
  }
  return joined;
}

function assertSamples(name: string, tensor: SketchedTensor): void {
  const count = sampleCount(tensor);
  if (tensor.samples.length === count) return;
  throw new RangeError(
    `tensor ${JSON.stringify(name)}: expected ${count} samples, got ${tensor.samples.length}`,
  );
}

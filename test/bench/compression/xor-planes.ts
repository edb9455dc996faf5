/**
 * A stand-in for tools that store the XOR of two checkpoints: XOR with the base, bytes of equal weight
 * together, deflate at its highest level. Those tools use zstd, which takes a few percent less; Node 20
 * has none.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';

/** @param elementByteLength Bytes of one element; each of them goes into a plane of its own. */
export function xorPlanes(base: Uint8Array, fineTuned: Uint8Array, elementByteLength: number): Uint8Array {
  const count = fineTuned.length / elementByteLength;
  const planes = new Uint8Array(fineTuned.length);
  for (let i = 0; i < fineTuned.length; i++) {
    planes[(i % elementByteLength) * count + Math.floor(i / elementByteLength)] = base[i]! ^ fineTuned[i]!;
  }
  return planes;
}

/** The inverse of xorPlanes. */
export function undoXorPlanes(base: Uint8Array, planes: Uint8Array, elementByteLength: number): Uint8Array {
  const count = planes.length / elementByteLength;
  return base.map(
    (byte, i) => byte ^ planes[(i % elementByteLength) * count + Math.floor(i / elementByteLength)]!,
  );
}

export interface TensorBytes {
  readonly base: Uint8Array;
  readonly fineTuned: Uint8Array;
  readonly elementByteLength: number;
}

export interface XorResult {
  /** Compressed bytes of each tensor, in order. */
  readonly byteLengths: readonly number[];
  readonly encodeMs: number;
  readonly decodeMs: number;
}

/** Codes every tensor, decodes it again and compares. */
export function measureXorPlanes(tensors: readonly TensorBytes[]): XorResult {
  const started = performance.now();
  const coded = tensors.map(({ base, fineTuned, elementByteLength }) =>
    deflateRawSync(xorPlanes(base, fineTuned, elementByteLength), { level: 9 }),
  );
  const between = performance.now();
  tensors.forEach(({ base, fineTuned, elementByteLength }, i) => {
    const decoded = undoXorPlanes(base, inflateRawSync(coded[i]!), elementByteLength);
    if (Buffer.compare(decoded, fineTuned) !== 0)
      throw new Error('expected the XOR of two files to undo itself');
  });
  const ended = performance.now();
  return {
    byteLengths: coded.map((bytes) => bytes.byteLength),
    encodeMs: between - started,
    decodeMs: ended - between,
  };
}

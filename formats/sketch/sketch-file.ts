/** What serialize-sketch.ts and parse-sketch.ts agree on (docs/spec/sketch.md). */

/** Sketch version that this build reads and writes; its ASCII digit is byte 4 of the magic. */
export const SKETCH_VERSION = 1;

/** `\x89ERS1\r\n\x1a`, built like the archive's. */
export const SKETCH_MAGIC = Uint8Array.of(0x89, 0x45, 0x52, 0x53, 0x31, 0x0d, 0x0a, 0x1a);

/** Offset of the version inside the magic. */
export const VERSION_OFFSET = 4;

/** Magic, encoding, lengths of JSON and body, number of samples, checksum of the body as it is stored. */
export const HEAD_BYTE_LENGTH = 28;

/** Encodings of the body by their number. */
export const SKETCH_ENCODINGS = ['stored', 'deflate-raw'] as const;

/** Byte k of every value in plane k, the least significant first: the lower two of 16-bit floats deflate to nothing. */
export function toPlanes(values: Float32Array): Uint8Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const planes = new Uint8Array(4 * words.length);
  for (let i = 0; i < words.length; i++) {
    for (let plane = 0; plane < 4; plane++) planes[plane * words.length + i] = words[i]! >>> (8 * plane);
  }
  return planes;
}

/** The inverse of toPlanes. */
export function fromPlanes(planes: Uint8Array): Float32Array {
  const count = planes.byteLength / 4;
  const words = new Uint32Array(count);
  for (let i = 0; i < planes.byteLength; i++) words[i % count]! |= planes[i]! << (8 * Math.floor(i / count));
  return new Float32Array(words.buffer);
}

/** Node's own inflater as `openArchive` takes one: no streams to load, and no turn of the event loop for 16 kB. */
import { inflateRawSync } from 'node:zlib';

/** zlib refuses smaller buffers. */
const LEAST_CHUNK_BYTE_LENGTH = 64;

/** The bytes, or undefined for malformed data, another length, or bytes behind the end of the stream. */
export function inflateAtOnce(stored: Uint8Array, byteLength: number): Uint8Array | undefined {
  try {
    // With `info`, which the types do not know of, also how much of the input was taken.
    const { buffer, engine } = inflateRawSync(stored, {
      info: true,
      chunkSize: Math.max(LEAST_CHUNK_BYTE_LENGTH, byteLength),
      maxOutputLength: Math.max(1, byteLength),
    }) as unknown as { readonly buffer: Buffer; readonly engine: { readonly bytesWritten: number } };
    const isWhole = buffer.byteLength === byteLength && engine.bytesWritten === stored.byteLength;
    return isWhole ? new Uint8Array(buffer.buffer, buffer.byteOffset, byteLength) : undefined;
  } catch {
    return undefined;
  }
}

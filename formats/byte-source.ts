/** Random access to immutable bytes: a file, a buffer, an HTTP resource. */
export interface ByteSource {
  /** Name for error messages: a path or a URL. */
  readonly name: string;
  readonly byteLength: number;
  /**
   * Reads exactly `length` bytes at `offset`. The caller must not write to the result.
   * @param room memory of `length` bytes: a source that copies may read into it and return it
   * @throws RangeError when the range is not inside the source.
   */
  read(offset: number, length: number, room?: Uint8Array): Promise<Uint8Array>;
}

/** A ByteSource over bytes in memory; `read` returns views, not copies. */
export function bytesSource(name: string, bytes: Uint8Array): ByteSource {
  return {
    name,
    byteLength: bytes.byteLength,
    async read(offset, length) {
      assertRange(name, bytes.byteLength, offset, length);
      return bytes.subarray(offset, offset + length);
    },
  };
}

/** @throws RangeError when [offset, offset + length) is not inside [0, byteLength). */
export function assertRange(name: string, byteLength: number, offset: number, length: number): void {
  const valid = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!valid || offset + length > byteLength) {
    throw new RangeError(`${name}: expected a range inside ${byteLength} bytes, got ${offset}+${length}`);
  }
}

/** Bytes that are read at a time where a whole source passes through. */
const PIECE_BYTE_LENGTH = 4 << 20;

/** The first `byteLength` bytes that `read` gives, piece by piece, in order; each is the caller's until the next one. */
export async function* readPieces(
  read: (offset: number, length: number) => Promise<Uint8Array>,
  byteLength: number,
): AsyncGenerator<Uint8Array, void, void> {
  for (let offset = 0; offset < byteLength; offset += PIECE_BYTE_LENGTH) {
    yield await read(offset, Math.min(PIECE_BYTE_LENGTH, byteLength - offset));
  }
}

/**
 * A ByteSource in front of a distant one: small reads take whole blocks, which are kept for the next; reads of a
 * block's length and more go through as they are. So that the index, the many small tensors and the chunks of a small
 * archive cost few requests, and a large tensor costs its own bytes.
 */
import { assertRange, type ByteSource } from '../../formats/byte-source.js';

/** Small beside the bytes that arrive while a request is on its way. */
const BLOCK_BYTE_LENGTH = 64 << 10;

/** Blocks that are kept, those used last: 16 MiB, so that the archive of a small model is fetched once. */
const BLOCK_COUNT = 256;

/** Reads a range that lies inside the source. */
export type ReadRange = (offset: number, byteLength: number) => Promise<Uint8Array>;

/** @param head its first bytes, where they are known */
export function blockSource(
  name: string,
  byteLength: number,
  read: ReadRange,
  head?: Uint8Array,
): ByteSource {
  /** Oldest first. */
  const blocks = new Map<number, Promise<Uint8Array>>();

  const block = (number: number): Promise<Uint8Array> => {
    const start = number * BLOCK_BYTE_LENGTH;
    const length = Math.min(BLOCK_BYTE_LENGTH, byteLength - start);
    let bytes = blocks.get(number);
    blocks.delete(number);
    if (bytes === undefined) {
      const known = head?.subarray(start, start + length);
      bytes = known?.byteLength === length ? Promise.resolve(known) : read(start, length);
      // What failed is asked for again.
      bytes.catch(() => blocks.delete(number));
      for (const oldest of blocks.keys()) {
        if (blocks.size < BLOCK_COUNT) break;
        blocks.delete(oldest);
      }
    }
    blocks.set(number, bytes);
    return bytes;
  };

  return {
    name,
    byteLength,
    async read(offset, length) {
      assertRange(name, byteLength, offset, length);
      if (length === 0) return new Uint8Array(0);
      const first = Math.floor(offset / BLOCK_BYTE_LENGTH);
      const last = Math.floor((offset + length - 1) / BLOCK_BYTE_LENGTH);
      if (length >= BLOCK_BYTE_LENGTH && first < last) return read(offset, length);
      const start = offset - first * BLOCK_BYTE_LENGTH;
      if (first === last) return (await block(first)).subarray(start, start + length);
      const [left, right] = await Promise.all([block(first), block(last)]);
      const bytes = new Uint8Array(length);
      bytes.set(left.subarray(start));
      bytes.set(right.subarray(0, length - (left.byteLength - start)), left.byteLength - start);
      return bytes;
    },
  };
}

/** What the pure parts of encode and decode need from their surroundings. */
import type { Digest } from '../../formats/ere/archive-index.js';
import type { Kernels } from '../kernels/kernels.js';

/** An incremental SHA-256. */
export interface Hasher {
  update(bytes: Uint8Array): void;
  digest(): Digest;
}

export interface Runtime {
  readonly kernels: Kernels;
  createHasher(): Hasher;
}

/**
 * Reads bytes of the base tensor of one pair; offsets relative to the tensor.
 * @param room memory of that length that the result may be read into
 */
export type ReadTensor = (byteOffset: number, byteLength: number, room?: Uint8Array) => Promise<Uint8Array>;

/** Elements that a row block holds at most: 4 MB of float32, so that a thread works in a few ten MB. */
export const BLOCK_ELEMENTS = 1 << 20;

/** Rows in a block of a matrix with so many columns. */
export function blockRows(columns: number, blockElements = BLOCK_ELEMENTS): number {
  return Math.max(1, Math.floor(blockElements / Math.max(1, columns)));
}

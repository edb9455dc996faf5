/**
 * Memory for what is sent: large pieces while there are few downloads, small ones beyond, so that any number of
 * connections takes a bounded part of memory. Given back, it is used again.
 */

/** A write of this length takes a fraction of a millisecond, and costs as little per byte as larger ones. */
export const CHUNK_BYTE_LENGTH = 512 << 10;

/** Where many are sent to at once. */
const SMALL_CHUNK_BYTE_LENGTH = 64 << 10;

export class SendBuffers {
  readonly #maxLarge: number;
  readonly #free: Buffer[] = [];
  #largeCount = 0;

  /** @param byteLength of all large pieces together, at most */
  constructor(byteLength: number) {
    this.#maxLarge = Math.floor(byteLength / CHUNK_BYTE_LENGTH);
  }

  take(): Buffer {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#largeCount >= this.#maxLarge) return Buffer.allocUnsafeSlow(SMALL_CHUNK_BYTE_LENGTH);
    this.#largeCount++;
    return Buffer.allocUnsafeSlow(CHUNK_BYTE_LENGTH);
  }

  /** What `take` gave, when nothing reads into or writes from it any more. */
  giveBack(buffer: Buffer): void {
    if (buffer.byteLength === CHUNK_BYTE_LENGTH) this.#free.push(buffer);
  }
}

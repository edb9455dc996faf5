/** Memory for chunks that is used again: garbage of this kind piles up by tens of MB before it is collected. */
import type { Archive } from '../../formats/ere/open-archive.js';

/** Bytes that are kept free. */
const MAX_FREE_BYTE_LENGTH = 4 << 20;

/** Sizes are rounded up to multiples, so that a room fits the next chunk as well. */
const STEP_BYTE_LENGTH = 64 << 10;

export class ChunkRooms {
  readonly #archive: Archive;
  /** Memory that was made here. A source may give other: views of what it keeps, which must not be written to. */
  readonly #own = new WeakSet<ArrayBufferLike>();
  readonly #free: Uint8Array[] = [];
  #freeByteLength = 0;

  constructor(archive: Archive) {
    this.#archive = archive;
  }

  readonly read = (chunk: number): Promise<Uint8Array> => {
    const byteLength = this.#archive.chunkOffset(chunk + 1) - this.#archive.chunkOffset(chunk);
    // What lies behind the cut of a file is not allocated; reading says so.
    return this.#archive.readChunk(chunk, this.#archive.hasChunk(chunk) ? this.#take(byteLength) : undefined);
  };

  readonly release = (bytes: Uint8Array): void => {
    const { byteLength } = bytes.buffer;
    if (!this.#own.has(bytes.buffer)) return;
    if (this.#freeByteLength + byteLength > MAX_FREE_BYTE_LENGTH) return;
    this.#freeByteLength += byteLength;
    this.#free.push(new Uint8Array(bytes.buffer));
  };

  #take(byteLength: number): Uint8Array {
    const found = this.#free.findIndex((room) => room.byteLength >= byteLength);
    if (found === -1) {
      const made = new Uint8Array(Math.ceil(byteLength / STEP_BYTE_LENGTH) * STEP_BYTE_LENGTH);
      this.#own.add(made.buffer);
      return made;
    }
    const room = this.#free.splice(found, 1)[0]!;
    this.#freeByteLength -= room.byteLength;
    return room;
  }
}

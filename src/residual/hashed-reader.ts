/** Digests that fall out of reading a tensor for something else. */
import type { Digest } from '../../formats/ere/archive-index.js';
import { PIECE_BYTE_LENGTH } from '../codecs/codec.js';
import type { Hasher, ReadTensor } from './runtime.js';

/** Reads in ascending order, and hashes every byte: those that nobody asks for as well. */
export class HashedReader {
  readonly #read: ReadTensor;
  readonly #hash: Hasher;
  /** Everything before it is hashed. */
  #position = 0;

  constructor(read: ReadTensor, hash: Hasher) {
    this.#read = read;
    this.#hash = hash;
  }

  readonly read: ReadTensor = async (byteOffset, byteLength, room) => {
    await this.#skipTo(byteOffset);
    const bytes = await this.#read(byteOffset, byteLength, room);
    this.#hash.update(bytes);
    this.#position += byteLength;
    return bytes;
  };

  async finish(byteLength: number): Promise<Digest> {
    await this.#skipTo(byteLength);
    return this.#hash.digest();
  }

  async #skipTo(end: number): Promise<void> {
    while (this.#position < end) {
      const length = Math.min(PIECE_BYTE_LENGTH, end - this.#position);
      this.#hash.update(await this.#read(this.#position, length));
      this.#position += length;
    }
  }
}

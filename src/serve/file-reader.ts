/**
 * A range of a file, read chunk by chunk: pieces that are at hand, and parts as they are rebuilt. Parts that come next
 * are asked for ahead, so that threads are busy while a client is sent the one before.
 */
import type { Want } from '../io/file-cache.js';
import type { FilePiece, RebuiltPart, ServedFile, ServedVersion } from './catalog.js';
import type { ByteRange } from './range.js';
import type { Rebuilder } from './rebuilder.js';
import { CHUNK_BYTE_LENGTH, type SendBuffers } from './send-buffers.js';

/** A part of the range, and the piece that it is of. */
interface Step {
  readonly piece: FilePiece;
  /** In the piece. */
  readonly start: number;
  readonly end: number;
}

export class FileReader {
  readonly #rebuilder: Rebuilder;
  readonly #version: ServedVersion;
  readonly #steps: readonly Step[];
  readonly #wants = new Map<number, Want>();
  readonly #memory: SendBuffers;
  readonly #buffers: Buffer[] = [];
  #step = 0;
  /** In the step. */
  #position = 0;
  #count = 0;
  /** Whether something was given: from then on an error cuts off what was begun. */
  #hasBegun = false;
  #isClosed = false;
  #reading: Promise<unknown> | undefined;

  /** @throws LimitError where a part is larger than the cache: better before the first byte than amid the file */
  constructor(
    rebuilder: Rebuilder,
    version: ServedVersion,
    { pieces }: ServedFile,
    { start, end }: ByteRange,
    memory: SendBuffers,
  ) {
    this.#rebuilder = rebuilder;
    this.#memory = memory;
    this.#version = version;
    this.#steps = pieces.flatMap((piece): Step[] => {
      const from = Math.max(start, piece.byteOffset);
      const to = Math.min(end, piece.byteOffset + piece.byteLength);
      return from < to ? [{ piece, start: from - piece.byteOffset, end: to - piece.byteOffset }] : [];
    });
    for (const { piece } of this.#steps) {
      if (!(piece.content instanceof Uint8Array)) rebuilder.assertFits(piece.content);
    }
  }

  /**
   * The next bytes, valid until the call after the next one; undefined at the end.
   * @throws as rebuilding does; LimitError, CacheBusyError
   */
  async next(): Promise<Uint8Array | undefined> {
    const reading = this.#next();
    this.#reading = reading.catch(() => {});
    return reading;
  }

  /** Gives up what is waited for: a read that waits may fail then. */
  cancel(): void {
    this.#isClosed = true;
    for (const want of this.#wants.values()) want.release();
    this.#wants.clear();
  }

  /** Settles when nothing is read any more. What `next` gave must not be used any more: others get its memory. */
  async close(): Promise<void> {
    this.cancel();
    await this.#reading;
    for (const buffer of this.#buffers.splice(0)) this.#memory.giveBack(buffer);
  }

  async #next(): Promise<Uint8Array | undefined> {
    const step = this.#steps[this.#step];
    if (step === undefined || this.#isClosed) return undefined;
    const { piece, start, end } = step;
    const { content } = piece;
    const from = start + this.#position;
    let bytes: Uint8Array;
    if (content instanceof Uint8Array) {
      bytes = content.subarray(from, Math.min(from + CHUNK_BYTE_LENGTH, end));
    } else {
      this.#wantAhead();
      bytes = this.#room(end - from);
      await this.#wants.get(this.#step)!.read(from, bytes);
    }
    this.#hasBegun = true;
    this.#position += bytes.byteLength;
    if (from + bytes.byteLength === end) {
      this.#wants.get(this.#step)?.release();
      this.#wants.delete(this.#step);
      this.#step++;
      this.#position = 0;
    }
    return bytes;
  }

  /** Asks for the part of this step, and for as many behind it as there are threads. */
  #wantAhead(): void {
    let count = 0;
    for (let i = this.#step; i < this.#steps.length && count <= this.#rebuilder.threads; i++) {
      const { content } = this.#steps[i]!.piece;
      if (content instanceof Uint8Array) continue;
      count++;
      if (this.#wants.has(i)) continue;
      try {
        const urgency = i > this.#step ? 'ahead' : this.#hasBegun ? 'next' : 'first';
        this.#wants.set(i, this.#rebuilder.want(this.#version, content satisfies RebuiltPart, urgency));
      } catch (error) {
        // That there is no room ahead is told when its turn comes.
        if (i === this.#step) throw error;
        return;
      }
    }
  }

  /** One of two buffers in turn, as far as it is needed. */
  #room(byteLength: number): Uint8Array {
    const slot = this.#count++ % 2;
    this.#buffers[slot] ??= this.#memory.take();
    return this.#buffers[slot].subarray(0, byteLength);
  }
}

/**
 * A range of a file, read chunk by chunk: pieces that are at hand, and parts as they are rebuilt. Parts that come next
 * are asked for ahead, so that threads are busy while a client is sent the one before.
 */
import type { Want } from '../io/file-cache.js';
import type { FilePiece, RebuiltPart, ServedFile, ServedVersion } from './catalog.js';
import type { ByteRange } from './range.js';
import type { Rebuilder } from './rebuilder.js';

/** Sent at a time: a write of this length takes a fraction of a millisecond, and costs as little per byte as larger ones. */
export const CHUNK_BYTE_LENGTH = 512 << 10;

/** Buffers that are kept for the next response. */
const MAX_FREE_BUFFERS = 64;
const freeBuffers: Buffer[] = [];

function takeBuffer(byteLength: number): Buffer {
  if (byteLength < CHUNK_BYTE_LENGTH) return Buffer.allocUnsafeSlow(byteLength);
  return freeBuffers.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTE_LENGTH);
}

function giveBack(buffer: Buffer): void {
  if (buffer.byteLength === CHUNK_BYTE_LENGTH && freeBuffers.length < MAX_FREE_BUFFERS)
    freeBuffers.push(buffer);
}

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
  readonly #buffers: Buffer[] = [];
  #step = 0;
  /** In the step. */
  #position = 0;
  #count = 0;
  #isClosed = false;
  #reading: Promise<unknown> | undefined;

  /** @throws LimitError where a part is larger than the cache: better before the first byte than amid the file */
  constructor(
    rebuilder: Rebuilder,
    version: ServedVersion,
    { pieces }: ServedFile,
    { start, end }: ByteRange,
  ) {
    this.#rebuilder = rebuilder;
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
    for (const buffer of this.#buffers.splice(0)) giveBack(buffer);
  }

  async #next(): Promise<Uint8Array | undefined> {
    const step = this.#steps[this.#step];
    if (step === undefined || this.#isClosed) return undefined;
    const { piece, start, end } = step;
    const { content } = piece;
    const from = start + this.#position;
    const length = Math.min(CHUNK_BYTE_LENGTH, end - from);
    let bytes: Uint8Array;
    if (content instanceof Uint8Array) {
      bytes = content.subarray(from, from + length);
    } else {
      this.#wantAhead();
      bytes = this.#room(length);
      await this.#wants.get(this.#step)!.read(from, bytes);
    }
    this.#position += length;
    if (from + length === end) {
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
        this.#wants.set(i, this.#rebuilder.want(this.#version, content satisfies RebuiltPart));
      } catch (error) {
        // That there is no room ahead is told when its turn comes.
        if (i === this.#step) throw error;
        return;
      }
    }
  }

  /** One of two buffers in turn. */
  #room(byteLength: number): Uint8Array {
    const slot = this.#count++ % 2;
    let buffer = this.#buffers[slot];
    if (buffer === undefined || buffer.byteLength < byteLength) {
      if (buffer !== undefined) giveBack(buffer);
      buffer = takeBuffer(byteLength);
      this.#buffers[slot] = buffer;
    }
    return buffer.subarray(0, byteLength);
  }
}

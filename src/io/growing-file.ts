/**
 * A file that is read while it is written, from its first byte to its last. Readers wait for what has not arrived. It is
 * read through one descriptor, in other threads too, as its name may change when it is whole.
 */
import { read as readFrom } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { ByteSource } from '../../formats/byte-source.js';
import { IoError } from '../../formats/errors.js';
import { type FileSource, handleSource } from './file-source.js';
import { withIoErrors } from './io-error.js';

/** A file that is open in some thread of this process, which keeps it open while others read. Structured-cloneable. */
export interface SharedFile {
  /** For messages. */
  readonly name: string;
  /** When it is whole. */
  readonly byteLength: number;
  readonly descriptor: number;
}

/** A FileSource over the descriptor, which stays open when it is closed. */
export function sharedFileSource({ name, byteLength, descriptor }: SharedFile): FileSource {
  const read = promisify(readFrom);
  return handleSource(name, byteLength, {
    read: (buffer, offset, length, position) => read(descriptor, buffer, offset, length, position),
    close: async () => {},
  });
}

interface Waiter {
  readonly end: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class GrowingFile {
  /** When it is whole. */
  readonly byteLength: number;
  /** Whether it was begun, once that or its end is known. */
  readonly begun: Promise<boolean>;
  /** Resolves when the writer says that all of it is there and right, and rejects with what it ended with else. */
  readonly whole: Promise<void>;
  #tellBegun!: (isBegun: boolean) => void;
  #tellWhole!: (whole: Promise<void>) => void;
  #handle: FileHandle | undefined;
  #path = '';
  #position = 0;
  #waiting: Waiter[] = [];
  /** The least that somebody waits for. */
  #nextEnd = Number.POSITIVE_INFINITY;
  #ended: { readonly error: unknown } | undefined;

  constructor(byteLength: number) {
    this.byteLength = byteLength;
    this.begun = new Promise((resolve) => {
      this.#tellBegun = resolve;
    });
    this.whole = new Promise((resolve) => {
      this.#tellWhole = resolve;
    });
    // Also where nobody waits for it.
    this.whole.catch(() => {});
  }

  /**
   * For the writer: the file is there, with its first `position` bytes.
   * @throws IoError where it cannot be opened
   */
  async begin(path: string, position: number): Promise<void> {
    this.#handle = await withIoErrors('open', path, () => open(path, 'r'));
    this.#path = path;
    this.wrote(position);
    this.#tellBegun(true);
  }

  /** For the writer: the first `position` bytes are in the file. */
  wrote(position: number): void {
    this.#position = position;
    if (position < this.#nextEnd) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#nextEnd = Number.POSITIVE_INFINITY;
    for (const waiter of waiting) {
      if (waiter.end <= position) waiter.resolve();
      else this.#wait(waiter);
    }
  }

  /** For the writer: nothing more comes. @param error where it is not whole; who waits for more gets it */
  end(error?: unknown): void {
    this.#tellBegun(false);
    this.#tellWhole(error === undefined ? Promise.resolve() : Promise.reject(error));
    this.#ended = { error: error ?? new IoError(`${this.#path}: ended before all of it was there`) };
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended.error);
  }

  /** Resolves once the first `end` bytes are in the file. @throws what the writer ended with */
  arrived(end: number): Promise<void> {
    if (end <= this.#position) return Promise.resolve();
    if (this.#ended !== undefined) return Promise.reject(this.#ended.error);
    return new Promise((resolve, reject) => this.#wait({ end, resolve, reject }));
  }

  #wait(waiter: Waiter): void {
    this.#waiting.push(waiter);
    this.#nextEnd = Math.min(this.#nextEnd, waiter.end);
  }

  /** For threads that read what has arrived. Once begun, until it is closed. */
  shared(): SharedFile {
    return { name: this.#path, byteLength: this.byteLength, descriptor: this.#handle!.fd };
  }

  /** A source whose reads wait. Once begun, until it is closed. */
  source(): ByteSource {
    const { name, byteLength, read } = sharedFileSource(this.shared());
    return {
      name,
      byteLength,
      read: async (offset, length, room) => {
        await this.arrived(Math.min(offset + length, byteLength));
        return read(offset, length, room);
      },
    };
  }

  async close(): Promise<void> {
    await this.#handle?.close();
  }
}

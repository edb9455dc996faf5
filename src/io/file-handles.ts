/** Handles of files that are read again and again, at most so many open at a time: what was used last stays open. */
import { type FileHandle, open } from 'node:fs/promises';
import { IoError } from '../../formats/errors.js';
import { withIoErrors } from './io-error.js';

interface OpenHandle {
  readonly handle: Promise<FileHandle>;
  /** Reads that run: with one it stays open. */
  readers: number;
}

export class FileHandles {
  readonly #most: number;
  /** By path, in the order of their last use. */
  readonly #open = new Map<string, OpenHandle>();

  constructor(most: number) {
    this.#most = most;
  }

  /** @param room filled to its end. @throws NotFoundError, IoError; also where the file ends before that */
  async read(path: string, byteOffset: number, room: Uint8Array): Promise<void> {
    const used = this.#use(path);
    used.readers++;
    try {
      const handle = await used.handle;
      for (let done = 0; done < room.byteLength; ) {
        const { bytesRead } = await withIoErrors('read', path, () =>
          handle.read(room, done, room.byteLength - done, byteOffset + done),
        );
        if (bytesRead === 0) throw new IoError(`${path}: ends at byte ${byteOffset + done}`);
        done += bytesRead;
      }
    } finally {
      used.readers--;
    }
  }

  /** Closes the file, if it is open; reads that run may fail. What goes wrong with that is nobody's business. */
  async close(path: string): Promise<void> {
    const used = this.#open.get(path);
    this.#open.delete(path);
    await used?.handle.then((handle) => handle.close()).catch(() => {});
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((path) => this.close(path)));
  }

  #use(path: string): OpenHandle {
    const used = this.#open.get(path) ?? {
      handle: withIoErrors('open', path, () => open(path, 'r')),
      readers: 0,
    };
    used.handle.catch(() => {}); // Whoever reads is told.
    this.#open.delete(path);
    this.#open.set(path, used);
    if (this.#open.size > this.#most) this.#closeIdle(path);
    return used;
  }

  /** @param kept about to be read */
  #closeIdle(kept: string): void {
    for (const [path, { readers }] of this.#open) {
      if (readers > 0 || path === kept) continue;
      void this.close(path);
      return;
    }
  }
}

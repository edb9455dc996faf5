/** A ByteSource over a file on disk: positional reads, so that any number may run at once. */
import { open, stat } from 'node:fs/promises';
import { assertRange, type ByteSource } from '../../formats/byte-source.js';
import { IoError } from '../../formats/errors.js';
import { withIoErrors } from './io-error.js';
import { promptHandle } from './prompt-handle.js';

export interface FileSource extends ByteSource {
  /** Closes the file; reads that run still may fail. Closing twice is allowed. */
  close(): Promise<void>;
}

/** What a FileSource needs of node:fs' FileHandle. */
export interface ReadableHandle {
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  close(): Promise<void>;
}

/** read(2) moves at most 0x7ffff000 bytes, and libuv takes an int; a power of two below both. */
const MAX_READ_BYTE_LENGTH = 2 ** 30;

export interface OpenFileOptions {
  /** Read in the calling thread, as prompt-handle.ts says; default false. */
  readonly isPrompt?: boolean;
}

/**
 * Opens a file for reading.
 * @throws NotFoundError when there is none
 * @throws IoError when it cannot be opened, or is not a regular file
 */
export async function openFileSource(path: string, options: OpenFileOptions = {}): Promise<FileSource> {
  return withIoErrors('open', path, async () => {
    // Before open(2), which would wait for a writer on a named pipe.
    if (!(await stat(path)).isFile()) throw new IoError(`${path}: expected a regular file`);
    const handle = await open(path, 'r');
    try {
      const { size } = await handle.stat();
      return handleSource(path, size, options.isPrompt === true ? promptHandle(handle) : handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
  });
}

/** A FileSource over an open handle, which it owns from now on. */
export function handleSource(name: string, byteLength: number, handle: ReadableHandle): FileSource {
  let closing: Promise<void> | undefined;
  return {
    name,
    byteLength,
    async read(offset, length, room) {
      assertRange(name, byteLength, offset, length);
      if (closing !== undefined) throw new IoError(`${name}: cannot read: the file is closed`);
      const bytes = room?.byteLength === length ? room : unzeroedBytes(length);
      let done = 0;
      while (done < length) {
        const wanted = Math.min(length - done, MAX_READ_BYTE_LENGTH);
        const { bytesRead } = await withIoErrors('read', name, () =>
          handle.read(bytes, done, wanted, offset + done),
        );
        if (bytesRead === 0) {
          throw new IoError(
            `${name}: ends at byte ${offset + done}, had ${byteLength} bytes when it was opened`,
          );
        }
        done += bytesRead;
      }
      return bytes;
    },
    close() {
      closing ??= withIoErrors('close', name, () => handle.close());
      return closing;
    },
  };
}

/** Reads a whole file of at most `maxByteLength` bytes into memory. */
export async function readSmallFile(path: string, maxByteLength: number): Promise<Uint8Array> {
  const source = await openFileSource(path);
  try {
    if (source.byteLength > maxByteLength) {
      throw new IoError(`${path}: expected at most ${maxByteLength} bytes, found ${source.byteLength}`);
    }
    return await source.read(0, source.byteLength);
  } finally {
    await source.close();
  }
}

/** Memory that every byte of is written before it is seen: saves a pass over gigabytes. Never from Buffer's pool. */
function unzeroedBytes(length: number): Uint8Array<ArrayBuffer> {
  const buffer = Buffer.allocUnsafeSlow(length);
  return new Uint8Array(buffer.buffer, buffer.byteOffset, length);
}

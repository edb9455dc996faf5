/** Writing to an open file: positional, short writes finished, system errors as IoError with the path. */
import { open } from 'node:fs/promises';
import type { OpenFileOptions } from './file-source.js';
import { withIoErrors } from './io-error.js';
import { type PromptHandle, promptHandle } from './prompt-handle.js';

export interface OutputFile {
  /** Where the bytes go; for worker threads that open the file themselves. */
  readonly path: string;
  /** Bytes that `write` has appended so far. */
  readonly position: number;
  /** Appends at `position`. One `write` at a time. */
  write(bytes: Uint8Array): Promise<void>;
  /** Writes at an offset, without moving `position`; any number may run at once on ranges that do not overlap. */
  writeAt(offset: number, bytes: Uint8Array): Promise<void>;
  /** Sets the length, so that the file is complete in size before its parts arrive; new bytes are zero. */
  truncate(byteLength: number): Promise<void>;
  /** Waits until the disk has what was written; the size and times of the file may follow later. */
  flush(): Promise<void>;
}

/** What an OutputFile needs of node:fs' FileHandle. */
export type WritableHandle = Pick<PromptHandle, 'write' | 'truncate' | 'datasync'>;

/** write(2) moves at most 0x7ffff000 bytes, and libuv takes an int; a power of two below both. */
const MAX_WRITE_BYTE_LENGTH = 2 ** 30;

/**
 * An OutputFile over an open handle; closing it stays with the caller.
 * @param shownPath path for error messages: what the user asked for, not the temporary file.
 */
export function handleOutput(handle: WritableHandle, path: string, shownPath = path): OutputFile {
  let position = 0;
  async function writeAt(offset: number, bytes: Uint8Array): Promise<void> {
    let done = 0;
    while (done < bytes.byteLength) {
      const wanted = Math.min(bytes.byteLength - done, MAX_WRITE_BYTE_LENGTH);
      const { bytesWritten } = await withIoErrors('write', shownPath, () =>
        handle.write(bytes, done, wanted, offset + done),
      );
      done += bytesWritten;
    }
  }
  return {
    path,
    get position() {
      return position;
    },
    async write(bytes) {
      await writeAt(position, bytes);
      position += bytes.byteLength;
    },
    writeAt,
    truncate: (byteLength) => withIoErrors('write', shownPath, () => handle.truncate(byteLength)),
    flush: () => withIoErrors('write', shownPath, () => handle.datasync()),
  };
}

/** An output file of its own handle. */
export interface OpenOutputFile extends OutputFile {
  close(): Promise<void>;
}

/** Opens a file that is there already for writing at offsets, as worker threads do with a file that another made. */
export async function openOutputFile(path: string, options: OpenFileOptions = {}): Promise<OpenOutputFile> {
  const handle = await withIoErrors('open', path, () => open(path, 'r+'));
  return Object.assign(handleOutput(options.isPrompt === true ? promptHandle(handle) : handle, path), {
    close: () => withIoErrors('write', path, () => handle.close()),
  });
}

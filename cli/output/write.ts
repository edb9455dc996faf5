/** Writing to the process's streams so that the caller learns when it is done. */
import { IoError } from '../../formats/errors.js';
import type { OutputStream } from '../context.js';

// The reader of a pipe went away, or the stream was closed for that reason by an earlier write.
const READER_GONE = new Set(['EPIPE', 'ERR_STREAM_DESTROYED']);

/**
 * Writes text and waits until the stream has taken it. A reader that went away is no error.
 * @throws IoError for any other failure, such as a full disk behind a redirection.
 */
export async function writeText(stream: OutputStream, text: string): Promise<void> {
  if (text === '') return;
  await new Promise<void>((resolve, reject) => {
    stream.write(text, (error) => {
      if (
        error === null ||
        error === undefined ||
        READER_GONE.has((error as NodeJS.ErrnoException).code ?? '')
      ) {
        resolve();
      } else {
        reject(new IoError(`could not write the output: ${error.message}`, { cause: error }));
      }
    });
  });
}

/** A value as one JSON document that ends in a line break. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

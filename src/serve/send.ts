/** Sending answers: as fast as the client takes them, and no further. */
import type { ServerResponse } from 'node:http';
import type { FileAnswer, TextAnswer } from './answer.js';
import { FileReader } from './file-reader.js';
import type { Rebuilder } from './rebuilder.js';

/** @returns bytes of the body */
export async function sendText(
  response: ServerResponse,
  { status, headers, body }: TextAnswer,
  method: string,
): Promise<number> {
  const bytes = Buffer.from(body);
  const length = status === 304 ? {} : { 'content-length': bytes.byteLength };
  response.writeHead(status, { ...headers, ...length });
  const hasBody = method !== 'HEAD' && status !== 304;
  await new Promise<void>((resolve) => {
    response.once('close', resolve);
    response.end(hasBody ? bytes : undefined, resolve);
  });
  return hasBody ? bytes.byteLength : 0;
}

export interface SendFileOptions {
  readonly method: string;
  readonly rebuilder: Rebuilder;
  /** A client that takes nothing for so long is given up. */
  readonly stallMs: number;
  readonly onSent: (byteLength: number) => void;
}

/**
 * Sends a range of a file. Nothing is sent before its first bytes are there, so that what goes wrong until then is an
 * error of its own status.
 * @throws as rebuilding does
 */
export async function sendFile(
  response: ServerResponse,
  { status, headers, version, file, range }: FileAnswer,
  { method, rebuilder, stallMs, onSent }: SendFileOptions,
): Promise<void> {
  if (method === 'HEAD') {
    response.writeHead(status, headers);
    response.end();
    return;
  }
  const reader = new FileReader(rebuilder, version, file, range);
  const onClose = (): void => reader.cancel();
  response.once('close', onClose);
  let writing: Promise<void> | undefined;
  try {
    let chunk = await reader.next();
    if (response.destroyed) return;
    response.writeHead(status, headers);
    while (chunk !== undefined) {
      await writing;
      writing = write(response, chunk, stallMs);
      writing.catch(() => {}); // It is awaited when the next chunk is there.
      onSent(chunk.byteLength);
      chunk = await reader.next();
    }
    await writing;
    response.end();
  } catch (error) {
    // A client that has gone away is no failure.
    if (!response.destroyed || error instanceof StalledError) throw error;
  } finally {
    response.off('close', onClose);
    await writing?.catch(() => {}); // The memory of a chunk is not free before it is written.
    await reader.close();
  }
}

class StalledError extends Error {
  override readonly name = 'StalledError';
}

/** Settles when the bytes are with the system, and their memory is free. */
function write(response: ServerResponse, bytes: Uint8Array, stallMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let stalled: StalledError | undefined;
    const timer = setTimeout(() => {
      stalled = new StalledError(`the client took less than ${bytes.byteLength} bytes in ${stallMs} ms`);
      response.destroy();
    }, stallMs);
    response.write(bytes, (error) => {
      clearTimeout(timer);
      if (error || stalled !== undefined) reject(stalled ?? error);
      else resolve();
    });
  });
}

/** Sending answers: as fast as the client takes them, and no further. */
import type { ServerResponse } from 'node:http';
import type { FileAnswer, TextAnswer } from './answer.js';
import { FileReader } from './file-reader.js';
import type { Rebuilder } from './rebuilder.js';
import type { SendBuffers } from './send-buffers.js';

/**
 * @param stallMs a client that has not taken all of it after so long is given up
 * @returns bytes of the body. @throws StalledError
 */
export async function sendText(
  response: ServerResponse,
  { status, headers, body }: TextAnswer,
  { method, stallMs }: { readonly method: string; readonly stallMs: number },
): Promise<number> {
  const bytes = Buffer.from(body);
  const length = status === 304 ? {} : { 'content-length': bytes.byteLength };
  if (response.destroyed) return 0;
  response.writeHead(status, { ...headers, ...length });
  const hasBody = method !== 'HEAD' && status !== 304;
  await unlessGone(response, () =>
    whileTaken(response, stallMs, (done) => response.end(hasBody ? bytes : undefined, done)),
  );
  return hasBody ? bytes.byteLength : 0;
}

export interface SendFileOptions {
  readonly method: string;
  readonly rebuilder: Rebuilder;
  readonly memory: SendBuffers;
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
  { method, rebuilder, memory, stallMs, onSent }: SendFileOptions,
): Promise<void> {
  if (method === 'HEAD') {
    response.writeHead(status, headers);
    await unlessGone(response, () => end(response, stallMs));
    return;
  }
  const reader = new FileReader(rebuilder, version, file, range, memory);
  const onClose = (): void => reader.cancel();
  response.once('close', onClose);
  let writing: Promise<void> | undefined;
  const send = async (): Promise<void> => {
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
    await end(response, stallMs);
  };
  try {
    await unlessGone(response, send);
  } finally {
    response.off('close', onClose);
    await writing?.catch(() => {}); // The memory of a chunk is not free before it is written.
    await reader.close();
  }
}

/** A client that does not read. */
export class StalledError extends Error {
  override readonly name = 'StalledError';
}

/** A client that has gone away. */
class GoneError extends Error {
  override readonly name = 'GoneError';
}

/** That a client has gone away is no failure, and neither is what was given up for that. */
async function unlessGone(response: ServerResponse, send: () => Promise<void>): Promise<void> {
  try {
    await send();
  } catch (error) {
    if (error instanceof GoneError || (response.destroyed && !(error instanceof StalledError))) return;
    throw error;
  }
}

function end(response: ServerResponse, stallMs: number): Promise<void> {
  return whileTaken(response, stallMs, (done) => response.end(done));
}

/** Settles when the bytes are with the system, or the connection has ended: their memory is free then. */
function write(response: ServerResponse, bytes: Uint8Array, stallMs: number): Promise<void> {
  return whileTaken(response, stallMs, (done) => response.write(bytes, done));
}

/**
 * Does what calls back when the client has taken it. Node calls nobody back about what is written to a connection that
 * has ended, and may end before the response knows: hence the event.
 * @throws StalledError, GoneError
 */
function whileTaken(
  response: ServerResponse,
  stallMs: number,
  start: (done: (error?: Error | null) => void) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let stalled: StalledError | undefined;
    const settle = (cause?: Error | null): void => {
      clearTimeout(timer);
      response.off('close', onClose);
      if (stalled !== undefined) reject(stalled);
      else if (cause) reject(new GoneError('the connection has ended', { cause }));
      else resolve();
    };
    const onClose = (): void => settle(new Error('closed'));
    const timer = setTimeout(() => {
      stalled = new StalledError(`the client did not take what it was sent in ${stallMs} ms`);
      response.destroy();
    }, stallMs);
    response.once('close', onClose);
    if (response.destroyed) onClose();
    else start(settle);
  });
}

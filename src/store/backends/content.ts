/** What backends do alike with contents: take them piece by piece, hold them to limits, compare them. */
import { LimitError } from '../../../formats/errors.js';
import { abortable, throwIfAborted } from '../../io/abort.js';
import type { Content } from '../backend.js';

/** What `read` allows without being asked: manifests and indexes of large stores, not objects. */
export const DEFAULT_MAX_BYTE_LENGTH = 64 << 20;

/** The pieces of a content. An abort ends it at once, also while the content's own next piece is awaited. */
export async function* contentPieces(
  content: Content,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, void> {
  throwIfAborted(signal);
  if (content instanceof Uint8Array) {
    yield content;
    return;
  }
  const iterator = content[Symbol.asyncIterator]();
  let isDone = false;
  try {
    while (true) {
      const next = await abortable(iterator.next(), signal).catch((error: unknown) => {
        isDone = signal?.aborted !== true; // An iterator that threw is done.
        throw error;
      });
      isDone = next.done === true;
      throwIfAborted(signal);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    if (!isDone) {
      const returned = iterator.return?.();
      // A generator that still waits for its next piece returns after it: nothing to wait for.
      if (signal?.aborted === true) returned?.catch(() => {});
      else await returned;
    }
  }
}

/** @throws LimitError when a value is longer than its reader wants it */
export function assertReadable(shown: string, byteLength: number, maxByteLength: number): void {
  if (byteLength <= maxByteLength) return;
  throw new LimitError(
    `${shown}: expected at most ${maxByteLength} bytes, found ${byteLength}`,
    maxByteLength,
    byteLength,
  );
}

/** Equal bytes, or both undefined. */
export function equalContents(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.byteLength === b.byteLength && a.every((byte, index) => byte === b[index]);
}

/** All pieces of a content in one new array. */
export async function joinPieces(content: Content, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of contentPieces(content, signal)) {
    pieces.push(piece.slice());
  }
  return pieces.length === 1 ? pieces[0] : new Uint8Array(Buffer.concat(pieces));
}

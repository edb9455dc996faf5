/**
 * Raw deflate (RFC 1951) over the web's compression streams, bounded for untrusted input: inflating takes
 * exactly the declared length, keeps no more than it, and fails with a FormatError on anything else.
 */
import { FormatError, LimitError } from './errors.js';
import { LIMITS } from './limits.js';

/**
 * Input is handed over in slices: browsers inflate a whole slice before they look at what was taken, so a slice
 * of a bomb costs at most LIMITS.deflateRatio times its length, about 8 MB.
 */
const SLICE_BYTE_LENGTH = 8 * 1024;

/** Where the bytes come from, for messages: 'archive.ere' and 'index'. */
export interface DeflateSubject {
  readonly format: string;
  readonly file?: string | undefined;
  readonly part: string;
}

/**
 * Inflates the whole of `stored` in one step to exactly `byteLength` bytes; undefined where it fails in any way, and
 * the streams say how. A runtime may have one that is faster than the streams: Node's takes a tenth of the time.
 */
export type InflateAtOnce = (stored: Uint8Array, byteLength: number) => Uint8Array | undefined;

/** Compresses at the platform's default level; equal input gives equal bytes on one machine and runtime. */
export async function deflateRaw(bytes: Uint8Array): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let byteLength = 0;
  await pump(new CompressionStream('deflate-raw'), bytes, (part) => {
    parts.push(part);
    byteLength += part.byteLength;
    return true;
  });
  return concatenate(parts, byteLength);
}

/**
 * Inflates `stored` to exactly `byteLength` bytes. The stream must end with the last stored byte.
 * @throws FormatError on malformed data or any other length; LimitError where deflate could never
 * expand the stored bytes to `byteLength` (LIMITS.deflateRatio), before anything is allocated.
 */
export async function inflateRaw(
  stored: Uint8Array,
  byteLength: number,
  subject: DeflateSubject,
  atOnce?: InflateAtOnce,
): Promise<Uint8Array> {
  assertInflatedByteLength(stored.byteLength, byteLength, subject);
  const inflated = atOnce?.(stored, byteLength);
  if (inflated !== undefined) return inflated;
  const output = new Uint8Array(byteLength);
  let filled = 0;
  let overlong = false;
  const problem = await attempt(stored, (part) => {
    overlong = part.byteLength > byteLength - filled;
    if (overlong) return false;
    output.set(part, filled);
    filled += part.byteLength;
    return true;
  });
  const hasTrailingBytes = codeOf(problem) === TRAILING_BYTES_CODE;
  if (problem !== undefined && !hasTrailingBytes) {
    throw malformed(subject, `malformed deflate data after ${filled} of ${byteLength} bytes`, problem);
  }
  if (overlong) throw malformed(subject, `expected ${byteLength} bytes after inflating, found more`);
  if (filled !== byteLength)
    throw malformed(subject, `expected ${byteLength} bytes after inflating, found ${filled}`);
  if (hasTrailingBytes || (await ignoresTrailingBytes(stored))) {
    throw malformed(
      subject,
      'expected the deflate data to end with the last stored byte, found bytes behind its end',
    );
  }
  return output;
}

/**
 * The bounds a declared inflated length must keep, checked before anything is allocated.
 * @throws LimitError over LIMITS.deflateRatio bytes per stored byte.
 */
export function assertInflatedByteLength(
  storedByteLength: number,
  byteLength: number,
  subject: DeflateSubject,
): void {
  const limit = storedByteLength * LIMITS.deflateRatio;
  if (byteLength > limit) {
    throw new LimitError(
      `${prefix(subject)}: ${storedByteLength} deflated bytes cannot hold ${byteLength} bytes; deflate reaches at most ${LIMITS.deflateRatio}:1 (${limit})`,
      limit,
      byteLength,
    );
  }
}

function malformed(subject: DeflateSubject, message: string, cause?: unknown): FormatError {
  return new FormatError(subject.format, `${subject.part}: ${message}`, { file: subject.file, cause });
}

function prefix(subject: DeflateSubject): string {
  return subject.file === undefined ? subject.part : `${subject.file}: ${subject.part}`;
}

/** Inflates into `take`; the stream's error, or undefined when it ended well or `take` stopped it. */
async function attempt(stored: Uint8Array, take: (part: Uint8Array) => boolean): Promise<unknown> {
  // Some runtimes end an empty input without an error, though the shortest deflate stream has two bytes.
  if (stored.byteLength === 0) return new TypeError('no deflate data');
  try {
    await pump(new DecompressionStream('deflate-raw'), stored, take);
    return undefined;
  } catch (error) {
    return error;
  }
}

let trailingBytesRefused: Promise<boolean> | undefined;

/** What Node 24 says of bytes behind the final block; pages say it without a code, as any malformed data. */
const TRAILING_BYTES_CODE = 'ERR_TRAILING_JUNK_AFTER_STREAM_END';

function codeOf(problem: unknown): unknown {
  return problem instanceof Error && 'code' in problem ? problem.code : undefined;
}

/**
 * Whether data that inflated well has bytes behind its end that the platform passed over: Node 20 and 22 do, where
 * the Compression Standard refuses. There a second pass without the last byte tells: it fails if that byte counted.
 */
async function ignoresTrailingBytes(stored: Uint8Array): Promise<boolean> {
  return !(await refusesTrailingBytes()) && (await attempt(stored.subarray(0, -1), () => true)) === undefined;
}

/** Whether the platform's inflater refuses bytes behind the final block. */
function refusesTrailingBytes(): Promise<boolean> {
  const emptyStreamAndOneByte = Uint8Array.of(0x03, 0x00, 0x00);
  trailingBytesRefused ??= attempt(emptyStreamAndOneByte, () => true).then(
    (problem) => problem !== undefined,
  );
  return trailingBytesRefused;
}

/**
 * Sends `bytes` through a transform, its output to `take` piece by piece until `take` returns false.
 * Only the readable end is awaited: a writer may stay pending forever once the inflater has seen its end.
 */
async function pump(
  transform: {
    readonly readable: ReadableStream<Uint8Array>;
    readonly writable: WritableStream<BufferSource>;
  },
  bytes: Uint8Array,
  take: (part: Uint8Array) => boolean,
): Promise<void> {
  const writer = transform.writable.getWriter();
  writer.closed.catch(ignore);
  feed(writer, bytes).catch(ignore);
  const reader = transform.readable.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    if (!take(value)) {
      reader.cancel().catch(ignore);
      return;
    }
  }
}

async function feed(writer: WritableStreamDefaultWriter<BufferSource>, bytes: Uint8Array): Promise<void> {
  for (let start = 0; start < bytes.byteLength; start += SLICE_BYTE_LENGTH) {
    await writer.write(bytes.subarray(start, start + SLICE_BYTE_LENGTH) as Uint8Array<ArrayBuffer>);
  }
  await writer.close();
}

/** The readable end reports the same error; a second, unhandled rejection would end the process. */
function ignore(): void {}

function concatenate(parts: readonly Uint8Array[], byteLength: number): Uint8Array {
  const whole = new Uint8Array(byteLength);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.byteLength;
  }
  return whole;
}

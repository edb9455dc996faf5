/** Requests for one value over HTTP (RFC 9110): whole, in parts, or only its properties. */
import { IoError, LimitError, NotFoundError } from '../../../formats/errors.js';
import { throwIfAborted } from '../../io/abort.js';
import { parseRetryAfter, RetryableError, type RetryOptions, withRetries } from '../../io/retries.js';

export interface HttpAccess extends RetryOptions {
  readonly fetch: typeof fetch;
  readonly headers: Readonly<Record<string, string>>;
}

export interface HttpValue {
  /** In messages, without credentials. */
  readonly shown: string;
  readonly url: URL;
}

/** What a server tells of a value, to know it again. */
export interface HttpProperties {
  readonly byteLength: number;
  /** As the server wrote it: strong or weak, or none. */
  readonly etag: string | null;
  readonly lastModified: string | null;
}

/** Server errors that pass. */
const RETRYABLE = [408, 425, 429, 500, 502, 503, 504];

/**
 * Sends a request and takes its answer, again if either is cut off or the server is busy.
 * @param take gets answers below 400, 412 and 416 included
 * @throws NotFoundError for 404 and 410; IoError for other answers, and when no attempt was answered
 */
async function request<T>(
  access: HttpAccess,
  value: HttpValue,
  init: { readonly method: string; readonly headers?: Record<string, string> },
  signal: AbortSignal | undefined,
  take: (response: Response) => Promise<T>,
): Promise<T> {
  return withRetries(access, signal, async () => {
    let response: Response | undefined;
    try {
      response = await access.fetch(value.url, {
        method: init.method,
        // A length and a range are of the bytes themselves.
        headers: { ...access.headers, 'accept-encoding': 'identity', ...init.headers },
        ...(signal !== undefined && { signal }),
      });
      const { status } = response;
      if (status === 404 || status === 410) {
        throw new NotFoundError(`${value.shown}: there is no such value (HTTP ${status})`);
      }
      if (RETRYABLE.includes(status)) {
        throw new RetryableError(
          statusError(value, response),
          parseRetryAfter(response.headers.get('retry-after')),
        );
      }
      if (status >= 400 && status !== 412 && status !== 416 && status !== 405 && status !== 501) {
        throw statusError(value, response);
      }
      return await take(response);
    } catch (error) {
      throwIfAborted(signal);
      // What fetch throws, for a connection that fails, and what its body does when the connection ends early.
      if (error instanceof TypeError || (error as Error).name === 'AbortError') {
        throw new RetryableError(
          new IoError(`${value.shown}: cannot read: ${networkReason(error)}`, { cause: error }),
        );
      }
      throw error;
    } finally {
      if (response?.bodyUsed === false) await response.body?.cancel().catch(() => {});
    }
  });
}

/** @throws as `request` */
export async function headValue(
  access: HttpAccess,
  value: HttpValue,
  signal: AbortSignal | undefined,
): Promise<HttpProperties> {
  const properties = await request(access, value, { method: 'HEAD' }, signal, async (response) => {
    const { status } = response;
    return status === 405 || status === 501 ? undefined : propertiesOf(response, contentLength(response));
  });
  if (properties !== undefined && Number.isSafeInteger(properties.byteLength)) return properties;
  // Servers without HEAD, or that tell no length by it, tell it by the range of a byte.
  const init = { method: 'GET', headers: { range: 'bytes=0-0' } };
  return request(access, value, init, signal, async (response) => {
    const total = response.status === 200 ? contentLength(response) : rangeOf(response)?.total;
    if (total === undefined || Number.isNaN(total)) {
      throw new IoError(`${value.shown}: cannot read: the server does not tell its length`);
    }
    return propertiesOf(response, total);
  });
}

/** @throws LimitError before more than `maxByteLength` bytes are read; as `request` */
export async function readWhole(
  access: HttpAccess,
  value: HttpValue,
  maxByteLength: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  return request(access, value, { method: 'GET' }, signal, async (response) => {
    if (response.status !== 200) throw statusError(value, response);
    const announced = contentLength(response);
    const tooLong = (actual: number) =>
      new LimitError(
        `${value.shown}: expected at most ${maxByteLength} bytes, found ${actual}`,
        maxByteLength,
        actual,
      );
    if (announced > maxByteLength) throw tooLong(announced);
    const pieces: Uint8Array[] = [];
    let byteLength = 0;
    for await (const piece of bodyOf(response)) {
      pieces.push(piece);
      byteLength += piece.byteLength;
      if (byteLength > maxByteLength) throw tooLong(byteLength);
    }
    if (!Number.isNaN(announced) && byteLength !== announced) throw cutOff(value);
    return new Uint8Array(Buffer.concat(pieces));
  });
}

/**
 * A part of a value that is still the one that `expected` is of.
 * @throws IoError when it has changed; as `request`
 */
export async function readRange(
  access: HttpAccess,
  value: HttpValue,
  expected: HttpProperties,
  offset: number,
  room: Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  const last = offset + room.byteLength - 1;
  // Only a strong one may stand there; others are compared below.
  const ifRange = expected.etag?.startsWith('"') === true ? { 'if-range': expected.etag } : undefined;
  const init = { method: 'GET', headers: { range: `bytes=${offset}-${last}`, ...ifRange } };
  await request(access, value, init, signal, async (response) => {
    const range = rangeOf(response);
    const isPart = response.status === 206;
    if (response.status === 412 || response.status === 416) throw changed(value);
    if (!isPart && response.status !== 200) throw statusError(value, response);
    const total = isPart ? range?.total : contentLength(response);
    const found = propertiesOf(response, total ?? Number.NaN);
    if (!isSame(expected, found)) throw changed(value);
    if (isPart && (range?.first !== offset || range.last !== last)) {
      throw new IoError(
        `${value.shown}: asked for bytes ${offset}-${last}, got ${response.headers.get('content-range')}`,
      );
    }
    // A server that knows no ranges sends all of it.
    await fillFrom(response, isPart ? 0 : offset, room, value);
  });
}

async function fillFrom(response: Response, skip: number, room: Uint8Array, value: HttpValue): Promise<void> {
  let position = -skip;
  for await (const piece of bodyOf(response)) {
    const from = Math.max(0, -position);
    const part = piece.subarray(from, Math.max(from, room.byteLength - position));
    if (part.byteLength > 0) room.set(part, position + from);
    position += piece.byteLength;
    if (position >= room.byteLength) return;
  }
  throw cutOff(value);
}

async function* bodyOf(response: Response): AsyncGenerator<Uint8Array, void, void> {
  if (response.body === null) return;
  yield* response.body as unknown as AsyncIterable<Uint8Array>;
}

function isSame(expected: HttpProperties, found: HttpProperties): boolean {
  // A server that sends everything in chunks tells no length again.
  if (!Number.isNaN(found.byteLength) && found.byteLength !== expected.byteLength) return false;
  if (expected.etag !== null && found.etag !== null) return expected.etag === found.etag;
  return expected.lastModified === found.lastModified;
}

function propertiesOf(response: Response, byteLength: number): HttpProperties {
  const { headers } = response;
  return { byteLength, etag: headers.get('etag'), lastModified: headers.get('last-modified') };
}

/** NaN where the server does not tell. */
function contentLength(response: Response): number {
  const text = response.headers.get('content-length');
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
}

/** Content-Range: `bytes first-last/total`, or `bytes * /total` for one outside of the value. */
function rangeOf(response: Response): { first?: number; last?: number; total: number } | undefined {
  const match = /^bytes (?:(\d{1,15})-(\d{1,15})|\*)\/(\d{1,15})$/.exec(
    response.headers.get('content-range') ?? '',
  );
  if (match === null) return undefined;
  const total = Number(match[3]);
  return match[1] === undefined ? { total } : { first: Number(match[1]), last: Number(match[2]), total };
}

function statusError(value: HttpValue, response: Response): IoError {
  const text = `${response.status} ${response.statusText}`.trim();
  return new IoError(`${value.shown}: cannot read: the server answered HTTP ${text}`);
}

function changed(value: HttpValue): IoError {
  return new IoError(`${value.shown}: cannot read: it was changed since it was opened`);
}

function cutOff(value: HttpValue): RetryableError {
  return new RetryableError(new IoError(`${value.shown}: cannot read: the answer ended early`));
}

/** undici tells "fetch failed" and why in its cause. */
function networkReason(error: unknown): string {
  const { cause } = error as { cause?: unknown };
  const { code, message } = (cause ?? error) as { code?: string; message?: string };
  return [message, code !== undefined && !message?.includes(code) ? `(${code})` : '']
    .filter(Boolean)
    .join(' ');
}

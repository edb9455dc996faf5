/**
 * A file over HTTP as a ByteSource, by range requests (RFC 9110 §14). Invariant: all bytes are of one version of the
 * file; an answer that is of another, or is not what was asked for, is an error and never bytes.
 */
import { type ByteSource, bytesSource } from '../../formats/byte-source.js';
import { EreError, IoError, LimitError, NotFoundError } from '../../formats/errors.js';
import { blockSource } from './block-source.js';

export interface HttpSourceOptions {
  /** Default: globalThis.fetch. */
  readonly fetch?: typeof fetch;
  /** Sent with every request, as for authorization. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Ends requests. */
  readonly signal?: AbortSignal;
  /**
   * Most bytes that are fetched whole and kept in memory where the server refuses ranges; default 1 GiB. A file over
   * it is a LimitError.
   */
  readonly maxWholeByteLength?: number;
}

/** The first request: as much as opening an archive reads first (formats/ere/open-archive.ts). */
const HEAD_BYTE_LENGTH = 64 << 10;
const DEFAULT_MAX_WHOLE_BYTE_LENGTH = 1 << 30;

/**
 * Opens a file by one request, which tells its length and brings its first bytes. From a server that knows no ranges
 * all of it is fetched, and kept in memory.
 * @param url absolute, or relative to the page
 * @throws NotFoundError for 404 and 410; LimitError as `maxWholeByteLength`; IoError for any other answer, a body of
 *   another length, a file that changes, and no answer; EreError 'ERE_ABORTED'. Reads throw the same.
 */
export async function httpSource(url: string | URL, options: HttpSourceOptions = {}): Promise<ByteSource> {
  const file = new HttpFile(url, options);
  const response = await file.request(0, HEAD_BYTE_LENGTH);
  if (response.status === 416 && file.range(response)?.total === 0) {
    await response.body?.cancel();
    return bytesSource(file.name, new Uint8Array(0));
  }
  if (response.status === 200) {
    const max = options.maxWholeByteLength ?? DEFAULT_MAX_WHOLE_BYTE_LENGTH;
    return bytesSource(file.name, await file.readWhole(response, max));
  }
  const { total } = await file.assertRange(response, 0, HEAD_BYTE_LENGTH);
  const head = await file.readBody(response, Math.min(HEAD_BYTE_LENGTH, total));
  const etag = response.headers.get('etag');
  const read = async (offset: number, byteLength: number): Promise<Uint8Array> => {
    const answer = await file.request(offset, byteLength);
    if (answer.status === 416) throw await file.fail(answer, 'it has changed since it was opened');
    await file.assertRange(answer, offset, byteLength, { total, etag });
    return file.readBody(answer, byteLength);
  };
  return blockSource(file.name, total, read, head);
}

interface ContentRange {
  readonly first: number;
  readonly last: number;
  readonly total: number;
}

class HttpFile {
  /** The URL without query and credentials, which may be secret. */
  readonly name: string;
  readonly #url: string | URL;
  readonly #options: HttpSourceOptions;

  constructor(url: string | URL, options: HttpSourceOptions) {
    this.#url = url;
    this.#options = options;
    this.name = String(url)
      .replace(/[?#].*$/s, '')
      .replace(/^([a-z]+:\/\/)[^/@]*@/i, '$1');
  }

  /** An answer of 200, 206 or 416; its body is the caller's to read or to cancel. */
  async request(offset: number, byteLength: number): Promise<Response> {
    const { fetch = globalThis.fetch, headers, signal } = this.#options;
    const range = `bytes=${offset}-${offset + byteLength - 1}`;
    const init = { headers: { ...headers, range }, ...(signal === undefined ? {} : { signal }) };
    const response = await this.#guard(() => fetch(this.#url, init));
    const { status } = response;
    if (status === 200 || status === 206 || status === 416) return response;
    if (status === 404 || status === 410) {
      await response.body?.cancel().catch(() => {});
      throw new NotFoundError(`${this.name}: there is no such file (HTTP ${status})`);
    }
    throw await this.fail(response, `the server answered HTTP ${`${status} ${response.statusText}`.trim()}`);
  }

  /** What a Content-Range says; undefined where there is none, or one of another form. `bytes * /n` has no first. */
  range(response: Response): ContentRange | undefined {
    const text = response.headers.get('content-range') ?? '';
    const match = /^bytes (?:(\d{1,15})-(\d{1,15})|\*)\/(\d{1,15})$/.exec(text);
    if (match === null) return undefined;
    const [, first = '-1', last = '-1', total] = match;
    return { first: Number(first), last: Number(last), total: Number(total) };
  }

  /** @param expected what the file was when it was opened */
  async assertRange(
    response: Response,
    offset: number,
    byteLength: number,
    expected?: { readonly total: number; readonly etag: string | null },
  ): Promise<ContentRange> {
    const etag = response.headers.get('etag');
    const isOther = etag !== null && typeof expected?.etag === 'string' && etag !== expected.etag;
    if (response.status !== 206 && !isOther)
      throw await this.fail(response, 'the server stopped answering range requests: it sent all of it');
    const text = response.headers.get('content-range');
    if (text === null && !isOther) {
      throw await this.fail(
        response,
        'the answer to a range request has no Content-Range; a server of another origin has to allow it with Access-Control-Expose-Headers: Content-Range, ETag',
      );
    }
    const range = this.range(response);
    const isResized = range !== undefined && expected !== undefined && range.total !== expected.total;
    if (isOther || isResized) {
      const [wanted, found] = isOther
        ? [`ETag ${expected?.etag}`, `ETag ${etag}`]
        : [`${expected?.total} bytes`, `${range?.total} bytes`];
      throw await this.fail(
        response,
        `it has changed since it was opened: expected ${wanted}, found ${found}; open it again`,
      );
    }
    const last = Math.min(offset + byteLength, range?.total ?? 0) - 1;
    if (range === undefined || range.first !== offset || range.last !== last)
      throw await this.fail(response, `asked for bytes ${offset}-${offset + byteLength - 1}, got ${text}`);
    return range;
  }

  /** The body of an answer of `byteLength` bytes. */
  async readBody(response: Response, byteLength: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(byteLength);
    let end = 0;
    await this.#guard(async () => {
      for await (const piece of pieces(response)) {
        if (end + piece.byteLength > byteLength)
          throw this.#error(`expected ${byteLength} bytes, found more than that in the answer`);
        bytes.set(piece, end);
        end += piece.byteLength;
      }
    });
    if (end < byteLength)
      throw this.#error(`the answer ended early: expected ${byteLength} bytes, found ${end}`);
    return bytes;
  }

  /** The body of an answer with all of the file. */
  async readWhole(response: Response, maxByteLength: number): Promise<Uint8Array> {
    const { headers } = response;
    // The length is of the bytes as they were sent; a page does not see it of another origin's compressed ones.
    const announced = headers.has('content-encoding') ? null : headers.get('content-length');
    const tooLong = (actual: number) =>
      new LimitError(
        `${this.name}: the server does not answer range requests, and ${actual} bytes or more are over ${maxByteLength} to keep in memory`,
        maxByteLength,
        actual,
      );
    if (Number(announced) > maxByteLength) {
      await response.body?.cancel().catch(() => {});
      throw tooLong(Number(announced));
    }
    const parts: Uint8Array[] = [];
    let byteLength = 0;
    await this.#guard(async () => {
      for await (const piece of pieces(response)) {
        byteLength += piece.byteLength;
        if (byteLength > maxByteLength) throw tooLong(byteLength);
        parts.push(piece);
      }
    });
    if (announced !== null && Number(announced) !== byteLength)
      throw this.#error(`the answer ended early: expected ${announced} bytes, found ${byteLength}`);
    return new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer());
  }

  /** Drops an answer. */
  async fail(response: Response, reason: string): Promise<IoError> {
    await response.body?.cancel().catch(() => {});
    return this.#error(reason);
  }

  #error(reason: string, cause?: unknown): IoError {
    return new IoError(`${this.name}: cannot read: ${reason}`, cause === undefined ? {} : { cause });
  }

  /** What fetch and bodies throw, as errors of ours. */
  async #guard<T>(action: () => Promise<T>): Promise<T> {
    const { signal } = this.#options;
    try {
      if (signal?.aborted !== true) return await action();
    } catch (error) {
      if (error instanceof EreError) throw error;
      if (signal?.aborted !== true) throw this.#error(reasonOf(error), error);
    }
    throw new EreError('ERE_ABORTED', 'aborted', { cause: signal?.reason });
  }
}

/** The body, piece by piece; one that is left early is cancelled. Not every browser iterates streams. */
async function* pieces({ body }: Response): AsyncGenerator<Uint8Array, void, void> {
  if (body === null) return;
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** Browsers say "Failed to fetch" and no more, Node why in the cause. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message} (${cause.message})` : message;
}

/**
 * Requests to the Hub and to the storage it redirects to: again after what passes (a dropped connection, 429, 5xx) with
 * growing pauses or as long as Retry-After asks for; the token goes to the Hub's own origin only, and into no message.
 */
import { HubError } from '../../formats/errors.js';
import { throwIfAborted } from '../io/abort.js';
import { parseRetryAfter, RetryableError, withRetries } from '../io/retries.js';
import type { HubSettings } from './settings.js';

export interface HubAccess extends HubSettings {
  readonly signal: AbortSignal | undefined;
}

export interface HubRequest extends RequestInit {
  readonly url: string;
  /** What it is about, for messages. */
  readonly shown: string;
  /** Whether a second request does no harm where the answer to the first was lost; default true. */
  readonly isRepeatable?: boolean;
}

/** Server errors that pass. */
const RETRYABLE = [408, 425, 429, 500, 502, 503, 504];
/** Of an error's answer only this much is read. */
const MAX_ERROR_BYTE_LENGTH = 4096;

/**
 * Sends a request and takes its answer; `take` runs again with every attempt.
 * @param take gets answers below 400
 * @throws HubError for other answers, for offline mode, and when no attempt was answered; ERE_ABORTED
 */
export async function hubRequest<T>(
  access: HubAccess,
  request: HubRequest,
  take: (response: Response) => Promise<T>,
): Promise<T> {
  const { url, shown, isRepeatable = true, ...init } = request;
  if (access.isOffline) {
    throw new HubError(`${shown}: is not in the local cache, and HF_HUB_OFFLINE forbids to ask the Hub`);
  }
  const { signal } = access;
  const headers = new Headers(init.headers);
  if (isOwnOrigin(access, url) && access.token !== undefined) {
    headers.set('authorization', `Bearer ${access.token}`);
  } else {
    headers.delete('authorization');
  }
  return withRetries(access.retries, signal, async () => {
    let response: Response | undefined;
    try {
      response = await access.fetch(url, { ...init, headers, ...(signal !== undefined && { signal }) });
      if (response.status >= 400) throw await answerError(access, shown, response, isRepeatable);
      return await take(response);
    } catch (error) {
      throwIfAborted(signal);
      throw isNetworkError(error) ? networkError(access, shown, error, isRepeatable) : error;
    } finally {
      if (response?.bodyUsed === false) await response.body?.cancel().catch(() => {});
    }
  });
}

/** `text` without the token, for what comes from outside and is shown. */
export function withoutToken({ token }: Pick<HubSettings, 'token'>, text: string): string {
  return token === undefined ? text : text.replaceAll(token, '***');
}

/** Whether a URL is the Hub's own, and not of the storage behind it. */
export function isOwnOrigin({ hubUrl }: Pick<HubSettings, 'hubUrl'>, url: string): boolean {
  return new URL(url).origin === new URL(hubUrl).origin;
}

/** An answer that ended before it was complete. */
export function cutOff(shown: string): RetryableError {
  return new RetryableError(new HubError(`${shown}: the answer ended early`, { retryable: true }));
}

/** What fetch throws for a connection that fails, and what its body does when the connection ends early. */
function isNetworkError(error: unknown): boolean {
  return error instanceof TypeError || (error as Error).name === 'AbortError';
}

function networkError(access: HubAccess, shown: string, error: unknown, isRepeatable: boolean): Error {
  const { cause } = error as { cause?: unknown };
  const { code, message } = (cause ?? error) as { code?: string; message?: string };
  const reason = message || code || 'the connection failed';
  const final = new HubError(withoutToken(access, `${shown}: cannot reach the Hub: ${reason}`), {
    retryable: true,
    // The stack of what fetch throws holds no headers, its message may hold the URL.
    cause: new Error(withoutToken(access, reason)),
  });
  return isRepeatable ? new RetryableError(final) : final;
}

async function answerError(
  access: HubAccess,
  shown: string,
  response: Response,
  isRepeatable: boolean,
): Promise<Error> {
  const { status } = response;
  const said = await answerText(response).catch(() => '');
  const text = withoutToken(
    access,
    `${shown}: the Hub answered HTTP ${status}${said === '' ? '' : `: ${said}`}`,
  );
  const retryable = RETRYABLE.includes(status);
  const final = new HubError(`${text}${hint(access, status)}`, { statusCode: status, retryable });
  // 429 is refused before anything is done.
  return retryable && (isRepeatable || status === 429)
    ? new RetryableError(final, parseRetryAfter(response.headers.get('retry-after')))
    : final;
}

/** The Hub's own words: the field `error` of its JSON, or the header it sends along. */
async function answerText(response: Response): Promise<string> {
  const header = response.headers.get('x-error-message');
  if (header !== null) return header;
  const pieces: Uint8Array[] = [];
  let byteLength = 0;
  for await (const piece of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    pieces.push(piece);
    byteLength += piece.byteLength;
    if (byteLength >= MAX_ERROR_BYTE_LENGTH) break;
  }
  const text = new TextDecoder().decode(Buffer.concat(pieces).subarray(0, MAX_ERROR_BYTE_LENGTH));
  try {
    const { error, message } = JSON.parse(text);
    return String(error ?? message ?? '');
  } catch {
    return /^\s*</.test(text) ? '' : text.trim().slice(0, 200);
  }
}

function hint({ token }: HubAccess, status: number): string {
  if (status === 401 && token === undefined)
    return '; it may be private: log in with `hf auth login`, or give a token by HF_TOKEN or --token';
  if (status === 401) return '; the token is expired or not valid: log in again with `hf auth login`';
  if (status === 403)
    return '; the token has no right to do this: it needs write access to push, or a licence is to be accepted';
  return '';
}

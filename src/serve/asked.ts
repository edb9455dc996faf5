/** A request, taken apart: nothing of its address is interpreted by a file system, and nothing is normalised. */
import type { IncomingHttpHeaders } from 'node:http';
import { Problem } from './problem.js';

export interface Asked {
  readonly method: string;
  /** Between slashes, decoded; without empty ones at the end. */
  readonly segments: readonly string[];
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** `http://host:port` as the client sees it. */
  readonly origin: string;
  /** Path and query as they were sent. */
  readonly url: string;
  /** The body, of so many bytes at most. @throws Problem 413 */
  readBody(maxByteLength: number): Promise<Buffer>;
}

/** Longer addresses than any client builds. */
const MAX_URL_LENGTH = 4096;

/** @throws Problem 400, 414 */
export function segmentsOf(url: string): { readonly segments: string[]; readonly query: URLSearchParams } {
  if (url.length > MAX_URL_LENGTH) throw new Problem(414, `the address is over ${MAX_URL_LENGTH} characters`);
  const mark = url.indexOf('?');
  const path = mark === -1 ? url : url.slice(0, mark);
  if (!path.startsWith('/')) throw new Problem(400, 'expected a path');
  let segments: string[];
  try {
    segments = path.slice(1).split('/').map(decodeURIComponent);
  } catch (cause) {
    throw new Problem(400, 'the address is not valid percent-encoded UTF-8', { cause });
  }
  while (segments.at(-1) === '') segments.pop();
  return { segments, query: new URLSearchParams(mark === -1 ? '' : url.slice(mark)) };
}

/** As clients see the server: from the Host header, and https where a proxy says so. */
export function originOf(headers: IncomingHttpHeaders, fallback: string): string {
  const host = headers.host ?? fallback;
  const safeHost = /^[\w.:[\]-]{1,255}$/.test(host) ? host : fallback;
  // Of several proxies the first is the one that the client sees.
  const [protocol = ''] = `${headers['x-forwarded-proto'] ?? ''}`.split(',');
  const isSecure = protocol.trim().toLowerCase() === 'https';
  return `${isSecure ? 'https' : 'http'}://${safeHost}`;
}

/** From a request to its answer: access, route, answer, and what is logged and counted of it. */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isEreError } from '../../formats/errors.js';
import { CacheBusyError } from '../io/file-cache.js';
import { type Answer, json, type TextAnswer, text } from './answer.js';
import { answerPage, problemPage } from './answer-page.js';
import type { LogRecord } from './api.js';
import { type Asked, originOf, segmentsOf } from './asked.js';
import type { Catalog } from './catalog.js';
import { findModel } from './find-model.js';
import { answerApi } from './hub-api.js';
import type { ServerMetrics } from './metrics.js';
import { Problem } from './problem.js';
import type { Rebuilder } from './rebuilder.js';
import { answerFile } from './resolve.js';
import { StalledError, sendFile, sendText } from './send.js';
import type { SendBuffers } from './send-buffers.js';
import { turnOf } from './turn.js';

export interface HandlerParts {
  readonly catalog: Catalog;
  readonly rebuilder: Rebuilder;
  readonly memory: SendBuffers;
  readonly metrics: ServerMetrics;
  /** Throws for requests that may not read. */
  readonly checkAccess: (headers: IncomingMessage['headers']) => void;
  readonly isPrivate: boolean;
  readonly stallMs: number;
  readonly onLog: (record: LogRecord) => void;
  /** Shown where a request has no Host. */
  readonly fallbackHost: () => string;
}

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** Words behind a model's name in addresses that are not the API's. */
const WORDS: ReadonlySet<string> = new Set(['resolve', 'raw', 'tree', 'commits']);

/** What requests are counted by: never anything that a client chooses. */
type Route = 'health' | 'metrics' | 'api' | 'file' | 'page' | 'none';

/** Never rejects: what goes wrong is answered, or ends the connection, and is logged. */
export function createRequestHandler(parts: HandlerParts): RequestHandler {
  return async (request, response) => {
    if (!(await turnOf(request, response))) return;
    const started = performance.now();
    const id = randomBytes(8).toString('hex');
    // A connection that has ended is not there any more when its request is logged.
    const client = request.socket.remoteAddress;
    const { method = 'GET', url = '/' } = request;
    response.setHeader('x-request-id', id);
    response.setHeader('x-content-type-options', 'nosniff');
    const exchange: Exchange = { route: 'none', byteLength: 0, error: undefined };
    try {
      await respond(parts, request, response, exchange);
    } catch (error) {
      // One that left while it was asking is told nothing.
      if (!isGone(request, error)) exchange.error = error;
      await answerProblem(request, response, exchange, { id, stallMs: parts.stallMs });
    }
    const durationMs = performance.now() - started;
    const { route, byteLength, error } = exchange;
    const status = response.statusCode;
    parts.metrics.answered({ method: knownMethod(method), route, status, durationMs, byteLength });
    log(parts, {
      time: new Date().toISOString(),
      level: levelOf(error),
      event: 'request',
      id,
      client,
      method,
      path: url.slice(0, 1000),
      status,
      byteLength,
      durationMs: Math.round(durationMs),
      isComplete: response.writableFinished,
      ...(error === undefined ? {} : { error: messageOf(error) }),
    });
  };
}

/** A log that fails fails nobody's request. */
function log({ onLog }: HandlerParts, record: LogRecord): void {
  try {
    onLog(record);
  } catch {
    // There is nobody to tell.
  }
}

function isGone(request: IncomingMessage, error: unknown): boolean {
  return request.destroyed && (error as NodeJS.ErrnoException | undefined)?.code === 'ECONNRESET';
}

/** What is known of a request when it is over. */
interface Exchange {
  route: Route;
  byteLength: number;
  error: unknown;
}

async function respond(
  parts: HandlerParts,
  request: IncomingMessage,
  response: ServerResponse,
  exchange: Exchange,
): Promise<void> {
  const asked = askedOf(request, parts.fallbackHost());
  exchange.route = routeOf(asked);
  if (exchange.route !== 'health') parts.checkAccess(request.headers);
  const isReading = asked.method === 'GET' || asked.method === 'HEAD';
  const isQuestion = asked.method === 'POST' && asked.segments.includes('paths-info');
  if (!isReading && !isQuestion) {
    throw new Problem(405, 'this server is read-only', { headers: { allow: 'GET, HEAD' } });
  }
  const answer = await answerOf(parts, asked, exchange.route);
  const { rebuilder, memory, stallMs } = parts;
  const { method } = asked;
  if (answer.kind === 'text') exchange.byteLength = await sendText(response, answer, { method, stallMs });
  else {
    await sendFile(response, answer, {
      method,
      rebuilder,
      memory,
      stallMs,
      onSent: (byteLength) => {
        exchange.byteLength += byteLength;
      },
    });
  }
}

async function answerOf(parts: HandlerParts, asked: Asked, route: Route): Promise<Answer> {
  const { catalog, metrics, isPrivate } = parts;
  const { segments } = asked;
  if (route === 'health') return text('ok\n', 'text/plain; charset=utf-8');
  if (route === 'metrics') return text(await metrics.text(), metrics.contentType);
  if (route === 'api') return answerApi(asked, segments.slice(1), { catalog, isPrivate });
  if (segments.length === 0) return answerPage(asked, catalog, undefined, []);
  const { model, rest } = await findModel(catalog, segments, WORDS);
  if (rest[0] === 'resolve' || rest[0] === 'raw') return answerFile(asked, catalog, model, rest);
  return answerPage(asked, catalog, model, rest);
}

function routeOf({ segments }: Asked): Route {
  const [first] = segments;
  if (segments.length === 1 && first === 'healthz') return 'health';
  if (segments.length === 1 && first === 'metrics') return 'metrics';
  if (first === 'api') return 'api';
  return segments.includes('resolve') || segments.includes('raw') ? 'file' : 'page';
}

function askedOf(request: IncomingMessage, fallbackHost: string): Asked {
  const { method = 'GET', url = '/', headers } = request;
  return {
    ...segmentsOf(url),
    method,
    headers,
    url,
    origin: originOf(headers, fallbackHost),
    readBody: (maxByteLength) => readBody(request, maxByteLength),
  };
}

async function readBody(request: IncomingMessage, maxByteLength: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let byteLength = 0;
  // The connection stays, for the answer: whoever still sends gets to read it.
  for await (const piece of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    byteLength += piece.byteLength;
    if (byteLength > maxByteLength)
      throw new Problem(413, `expected a body of at most ${maxByteLength} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

async function answerProblem(
  request: IncomingMessage,
  response: ServerResponse,
  exchange: Exchange,
  { id, stallMs }: { readonly id: string; readonly stallMs: number },
): Promise<void> {
  // Part of an answer is out: a client must not take it for all.
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const problem = problemOf(exchange.error, id);
  const wantsPage =
    (exchange.route === 'page' || exchange.route === 'none') &&
    `${request.headers.accept ?? ''}`.includes('text/html');
  const answer = wantsPage ? problemPage(problem) : problemJson(problem);
  for (const name of response.getHeaderNames()) {
    if (name !== 'x-request-id' && name !== 'x-content-type-options') response.removeHeader(name);
  }
  const { method = 'GET' } = request;
  exchange.byteLength = await sendText(response, answer, { method, stallMs }).catch(() => 0);
}

function problemJson({ status, message, code, headers }: Problem): TextAnswer {
  return json({ error: message }, status, {
    ...headers,
    'x-error-message': headerText(message),
    ...(code === undefined ? {} : { 'x-error-code': code }),
  });
}

/** What clients are told: nothing of paths on this machine. */
function problemOf(error: unknown, id: string): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof CacheBusyError) {
    // Of the statuses that say so, the one that huggingface_hub asks again after.
    return new Problem(429, 'too much is being rebuilt right now; ask again in a moment', {
      headers: { 'retry-after': '5' },
      cause: error,
    });
  }
  const reason = isEreError(error, 'ERE_NOT_FOUND')
    ? 'something that it is rebuilt from is not at hand'
    : isEreError(error, 'ERE_INTEGRITY', 'ERE_CHECKPOINT_MISMATCH', 'ERE_FORMAT', 'ERE_CODEC')
      ? 'what it is rebuilt from is damaged or was replaced'
      : isEreError(error, 'ERE_LIMIT')
        ? 'it takes more room or memory than this server was given'
        : 'it could not be made';
  return new Problem(500, `${reason}; the server's log says more at request ${id}`, { cause: error });
}

/** What whoever runs the server should look at, also where it came after the beginning of an answer. */
function levelOf(error: unknown): LogRecord['level'] {
  if (error === undefined || (error instanceof Problem && error.status < 500)) return 'info';
  return error instanceof StalledError ? 'warning' : 'error';
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const isExpected = [Problem, CacheBusyError, StalledError].some((kind) => error instanceof kind);
  const unexpected = !isExpected && !isEreError(error);
  return unexpected ? (error.stack ?? error.message) : error.message;
}

function headerText(message: string): string {
  return message.replace(/[^\x20-\x7e]/g, '?').slice(0, 500);
}

/** A label with a bounded number of values. */
function knownMethod(method: string): string {
  return /^(?:GET|HEAD|POST|PUT|DELETE|OPTIONS)$/.test(method) ? method : 'other';
}

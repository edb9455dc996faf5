/**
 * A double of the Hugging Face Hub over HTTP: its read, write and LFS protocol as @huggingface/hub and huggingface_hub
 * speak it. It checks what the real one checks (authorisation, sizes, SHA-256, the commit's NDJSON, the parent), keeps
 * LFS objects on a second origin that takes no token, and fails as told.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { handleApi } from './hub-double-api.js';
import { handleStorage } from './hub-double-lfs.js';
import { addCommit, type DoubleFile, type DoubleRepo, newRepo, sha256 } from './hub-repos.js';

export const TOKEN = 'hf_TestTokenThatMustNeverBeShown';

/** What a request that matches meets instead of its answer, or what happens to that. */
export interface HubFault {
  /** Matched against the line of the request, as `requests` has it. */
  readonly on: RegExp;
  /**
   * A status with headers; the connection ends before the request is handled ('drop'), after that but before the answer
   * ('lose'), or in the middle of the answer ('cut'); a body with one wrong bit ('corrupt'), or half of it as if that
   * were all ('short').
   */
  readonly fault:
    | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string }
    | 'drop'
    | 'lose'
    | 'cut'
    | 'corrupt'
    | 'short';
  /** How many requests; default 1. */
  readonly times?: number;
}

/** How storage sends what was asked for. */
export interface HubPace {
  readonly pieceByteLength: number;
  /** Waited for before a piece of a body is sent. */
  before(piece: {
    readonly line: string;
    readonly offset: number;
    readonly byteLength: number;
  }): Promise<void>;
}

export interface HubState {
  readonly url: string;
  readonly storageUrl: string;
  readonly repos: Map<string, DoubleRepo>;
  /** LFS objects by SHA-256. */
  readonly objects: Map<string, Uint8Array>;
  /** Parts of multipart uploads: by object, then by part number. */
  readonly parts: Map<string, Map<number, { readonly etag: string; readonly bytes: Uint8Array }>>;
  /** Tokens and what they may do. */
  readonly tokens: Map<string, 'read' | 'write' | 'expired'>;
  /** LFS objects longer than this are uploaded in parts of it. */
  partByteLength: number;
  /** Entries of a page of a tree. */
  pageSize: number;
  /** Whether storage answers a range with it, and not with everything. */
  ranges: boolean;
  /** Whether files of git are behind a relative redirect, as the Hub has it since 2025. */
  redirects: boolean;
  /** Default: at once. */
  pace: HubPace | undefined;
}

export interface HubDouble extends HubState {
  /** "METHOD /path RANGE" of every request, storage's with "storage" before the path. */
  readonly requests: string[];
  readonly faults: HubFault[];
  /** How many requests met a fault. */
  readonly faultCount: () => number;
  /** What broke the protocol: a token for storage, a malformed payload, … */
  readonly violations: string[];
  /** Makes or extends a repository without a request; .safetensors and .ere files become LFS objects. */
  addFiles(repo: string, files: Readonly<Record<string, Uint8Array | string>>, isPrivate?: boolean): string;
  /** The bytes of a file. */
  fileOf(repo: string, path: string, branch?: string): Uint8Array | undefined;
  close(): Promise<void>;
}

/** What a handler answers. */
export interface Answer {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body?: Uint8Array | string;
}

export interface Asked {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage['headers'];
  readonly body: Uint8Array;
  /** Notes what no client of the real Hub would do. */
  violate(what: string): void;
}

export async function startHubDouble(): Promise<HubDouble> {
  const requests: string[] = [];
  const faults: HubFault[] = [];
  const violations: string[] = [];
  const used = new Map<HubFault, number>();

  const takeFault = (line: string): HubFault['fault'] | undefined => {
    const found = faults.find(({ on, times = 1 }, i) => on.test(line) && (used.get(faults[i]!) ?? 0) < times);
    if (found !== undefined) used.set(found, (used.get(found) ?? 0) + 1);
    return found?.fault;
  };

  const listener =
    (prefix: string, handle: (asked: Asked) => Answer) =>
    async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const url = new URL(request.url!, 'http://double');
      const line = [request.method, `${prefix}${request.url}`, request.headers.range]
        .filter(Boolean)
        .join(' ');
      requests.push(line);
      const fault = takeFault(line);
      if (fault === 'drop') return void request.socket.destroy();
      const pieces: Buffer[] = [];
      for await (const piece of request) pieces.push(piece);
      if (typeof fault === 'object')
        return void response.writeHead(fault.status, fault.headers).end(fault.body ?? 'sorry');
      const violate = (what: string) => violations.push(`${line}: ${what}`);
      const asked = {
        method: request.method!,
        url,
        headers: request.headers,
        body: new Uint8Array(Buffer.concat(pieces)),
        violate,
      };
      const answer = handle(asked);
      if (fault === 'lose') return void request.socket.destroy();
      const { pace } = state;
      const isPaced = pace !== undefined && prefix === 'storage' && request.method === 'GET';
      if (isPaced && fault === undefined) await sendPaced(response, answer, line, pace);
      else send(request, response, answer, fault);
    };

  const hub = createServer((request, response) => {
    listener('', (asked) => handleApi(state, asked))(request, response).catch(() => response.destroy());
  });
  const storage = createServer((request, response) => {
    listener('storage', (asked) => handleStorage(state, asked))(request, response).catch(() =>
      response.destroy(),
    );
  });
  const listen = (server: typeof hub) =>
    new Promise<string>((resolve) =>
      server.listen(0, '127.0.0.1', () =>
        resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
      ),
    );
  const state: HubState = {
    url: await listen(hub),
    storageUrl: await listen(storage),
    repos: new Map(),
    objects: new Map(),
    parts: new Map(),
    tokens: new Map([[TOKEN, 'write']]),
    partByteLength: 1 << 30,
    pageSize: 1000,
    ranges: true,
    redirects: false,
    pace: undefined,
  };

  const close = (server: typeof hub) =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return Object.assign(state, {
    requests,
    faults,
    violations,
    faultCount: () => [...used.values()].reduce((sum, count) => sum + count, 0),
    addFiles(name: string, files: Readonly<Record<string, Uint8Array | string>>, isPrivate = false) {
      const repo = state.repos.get(name) ?? newRepo(name, isPrivate);
      state.repos.set(name, repo);
      const changes = new Map<string, DoubleFile>();
      for (const [path, content] of Object.entries(files)) {
        const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
        const lfs = /\.(?:safetensors|ere|onnx)$/.test(path) ? sha256(bytes) : undefined;
        if (lfs !== undefined) state.objects.set(lfs, bytes);
        changes.set(path, { bytes, lfs });
      }
      return addCommit(repo, 'main', `commit ${repo.commits.size}`, changes).id;
    },
    fileOf(name: string, path: string, branch = 'main') {
      const repo = state.repos.get(name);
      return repo?.commits.get(repo.branches.get(branch) ?? '')?.files.get(path)?.bytes;
    },
    close: async () => {
      await Promise.all([close(hub), close(storage)]);
    },
  });
}

async function sendPaced(
  response: ServerResponse,
  { status, headers = {}, body = '' }: Answer,
  line: string,
  { pieceByteLength, before }: HubPace,
): Promise<void> {
  const bytes = Buffer.from(body);
  response.writeHead(status, { 'content-length': String(bytes.length), ...headers });
  for (let offset = 0; offset < bytes.length; offset += pieceByteLength) {
    const piece = bytes.subarray(offset, offset + pieceByteLength);
    await before({ line, offset, byteLength: piece.length });
    if (response.destroyed) return;
    await new Promise((resolve) => response.write(piece, resolve));
  }
  response.end();
}

/** Sends an answer, or what a fault makes of it. Ranges are the handlers' own. */
function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers = {}, body = '' }: Answer,
  fault: HubFault['fault'] | undefined,
): void {
  let bytes = typeof body === 'string' ? Buffer.from(body) : Buffer.from(body);
  const cutAt = Math.floor(bytes.length / 2);
  if (fault === 'short') bytes = bytes.subarray(0, cutAt);
  if (fault === 'corrupt' && bytes.length > 0) bytes[cutAt]! ^= 1;
  response.writeHead(status, { 'content-length': String(bytes.length), ...headers });
  if (request.method === 'HEAD') return void response.end();
  if (fault !== 'cut') return void response.end(bytes);
  response.write(bytes.subarray(0, cutAt), () => request.socket.destroy());
}

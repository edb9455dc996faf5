/** A web server over a folder, as any serves files: ranges, ETags, HEAD; and what goes wrong with one. */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';

export interface StaticServer {
  readonly url: string;
  /** "METHOD /path RANGE" of every request. */
  readonly requests: string[];
  /** What the next requests meet instead of the file, one each. */
  readonly faults: Fault[];
  /** How it serves; may be changed at any time. */
  readonly manner: Manner;
  close(): Promise<void>;
}

/** A status, with headers; or the connection ends, before the answer or in the middle of it. */
export type Fault = { readonly status: number; readonly headers?: Record<string, string> } | 'drop' | 'cut';

export interface Manner {
  ranges: boolean;
  head: boolean;
  etags: 'strong' | 'weak' | 'none';
  /** In chunks, without a length. */
  chunked: boolean;
  /** Expected authorization header. */
  authorization?: string;
}

/** Modules need theirs; anything else is bytes. */
const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};

export async function serveFolder(folder: string): Promise<StaticServer> {
  const requests: string[] = [];
  const faults: Fault[] = [];
  const manner: Manner = { ranges: true, head: true, etags: 'strong', chunked: false };

  /** Files as they were read last, by path. */
  const files = new Map<
    string,
    { readonly version: string; readonly bytes: Buffer; readonly etag: string }
  >();
  const read = async (path: string, version: string) => {
    const known = files.get(path);
    if (known?.version === version) return known;
    const bytes = await readFile(path);
    const file = { version, bytes, etag: `"${createHash('md5').update(bytes).digest('hex')}"` };
    files.set(path, file);
    return file;
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url!, 'http://localhost');
    requests.push([request.method, request.url, request.headers.range].filter(Boolean).join(' '));
    const fault = faults.shift();
    if (fault === 'drop') return void request.socket.destroy();
    if (typeof fault === 'object') return void response.writeHead(fault.status, fault.headers).end('sorry');
    if (manner.authorization !== undefined && request.headers.authorization !== manner.authorization) {
      return void response.writeHead(401).end();
    }
    if (request.method === 'HEAD' && !manner.head) return void response.writeHead(405).end();
    const path = join(folder, ...pathname.split('/').map(decodeURIComponent));
    const info = await stat(path, { bigint: true }).catch(() => undefined);
    if (info?.isFile() !== true) return void response.writeHead(404).end();
    const { bytes, etag } = await read(path, `${info.mtimeNs} ${info.ino} ${info.size}`);
    response.setHeader('content-type', CONTENT_TYPES[extname(path)] ?? 'application/octet-stream');
    response.setHeader('last-modified', info.mtime.toUTCString());
    if (manner.etags !== 'none') response.setHeader('etag', manner.etags === 'weak' ? `W/${etag}` : etag);
    const ifRange = request.headers['if-range'];
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    let body = bytes;
    if (manner.ranges && range !== null && (ifRange === undefined || ifRange === etag)) {
      const [first, last] = [Number(range[1]), Math.min(Number(range[2]), bytes.length - 1)];
      if (first >= bytes.length) {
        return void response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
      }
      response.statusCode = 206;
      response.setHeader('content-range', `bytes ${first}-${last}/${bytes.length}`);
      body = bytes.subarray(first, last + 1);
    }
    if (!manner.chunked) response.setHeader('content-length', body.length);
    if (request.method === 'HEAD') return void response.end();
    if (fault !== 'cut') return void response.end(body);
    response.write(body.subarray(0, body.length / 2), () => request.socket.destroy());
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    faults,
    manner,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

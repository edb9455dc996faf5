/**
 * A local S3 server: s3rver, which checks signatures (of requests for objects) and keeps objects as files. It lacks two things of S3, which a
 * layer before it adds: requests take effect one after the other (it writes objects in place), and writes heed
 * If-None-Match and If-Match.
 */
import crypto from 'node:crypto';
import { mkdtemp, rm, utimes } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { S3Connection } from '../../src/store/backends/s3.js';

/** What is used of s3rver, which has no types, and of the Koa application that it is. */
interface S3rver {
  readonly middleware: Middleware[];
  readonly store: { getMetadata(bucket: string, key: string): Promise<{ readonly etag: string }> };
  run(): Promise<{ readonly port: number }>;
  close(): Promise<void>;
  allowMismatchedSignatures: boolean;
  readonly httpServer: { closeAllConnections(): void };
}

interface Context {
  readonly method: string;
  readonly path: string;
  readonly query: Record<string, string | undefined>;
  readonly headers: Record<string, string | undefined>;
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  status: number;
  body: unknown;
  type: string;
}

type Middleware = (context: Context, next: () => Promise<void>) => Promise<void>;

export interface S3Server {
  /** A new, empty bucket. */
  createBucket(): Promise<S3Connection>;
  /** "METHOD /path?query" of every request. */
  readonly requests: string[];
  /** Asked about every request: a status instead of its answer, or an answer that is lost after it took effect. */
  fault: (request: string) => number | 'lost' | undefined;
  /** Which requests' conditions are heeded; fewer on other servers. */
  heeds: { put: boolean; delete: boolean };
  /** Makes an object two days old. */
  age(connection: S3Connection, key: string): Promise<void>;
  close(): Promise<void>;
}

export async function startS3Server(): Promise<S3Server> {
  replaceDes();
  const directory = await mkdtemp(join(tmpdir(), 'ere-s3-'));
  const s3rver: string = '@20minutes/s3rver';
  const { default: Server } = await import(s3rver);
  const server: S3rver = new Server({ address: '127.0.0.1', port: 0, silent: true, directory });
  const state: S3Server = {
    requests: [],
    fault: () => undefined,
    heeds: { put: true, delete: true },
    async age({ bucket, prefix }, key) {
      const time = Date.now() / 1000 - 2 * 24 * 60 * 60;
      await utimes(join(directory, bucket, prefix, `${key}._S3rver_object`), time, time);
    },
    async createBucket() {
      const bucket = `bucket-${Math.random().toString(36).slice(2)}`;
      const store = server.store as unknown as { putBucket(name: string): Promise<void> };
      await store.putBucket(bucket);
      // The one account that s3rver knows.
      const credentials = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' };
      return { bucket, prefix: 'models/store', endpoint, region: 'us-east-1', credentials, attempts: 3 };
    },
    async close() {
      server.httpServer.closeAllConnections();
      await server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };

  let before: Promise<unknown> = Promise.resolve();
  server.middleware.unshift(async (context, next) => {
    const request = `${context.method} ${context.req.url}`;
    state.requests.push(request);
    const fault = state.fault(request);
    if (typeof fault === 'number') return refuse(context, fault, 'Fault');
    const turn = before;
    // Until the answer is sent: its bytes come from the file.
    before = new Promise((resolve) => context.res.once('close', resolve));
    await turn;
    const isHeeded = { PUT: state.heeds.put, DELETE: state.heeds.delete }[context.method] === true;
    if (isHeeded && !(await isConditionMet(server, context))) {
      return refuse(context, 412, 'PreconditionFailed');
    }
    // Of "/bucket/" it takes the signature without the slash.
    server.allowMismatchedSignatures = context.path.endsWith('/');
    await next();
    if (fault === 'lost') context.req.socket.destroy();
  });
  const endpoint = `http://127.0.0.1:${(await server.run()).port}`;
  return state;
}

/** s3rver enciphers where a page ends by DES, which OpenSSL 3 has no more. */
function replaceDes(): void {
  for (const name of ['createCipheriv', 'createDecipheriv'] as const) {
    const original = crypto[name] as (algorithm: string, key: Buffer, iv: Buffer) => unknown;
    const replaced = (algorithm: string, key: Buffer, iv: Buffer): unknown =>
      algorithm === 'des'
        ? original('aes-128-cbc', Buffer.concat([key, key]), Buffer.concat([iv, iv]))
        : original(algorithm, key, iv);
    Object.assign(crypto, { [name]: replaced });
  }
}

async function isConditionMet(server: S3rver, { path, headers }: Context): Promise<boolean> {
  const [, bucket, ...segments] = path.split('/').map(decodeURIComponent);
  const etag = await server.store.getMetadata(bucket, segments.join('/')).then(
    (metadata) => metadata.etag,
    () => undefined,
  );
  if (headers['if-none-match'] === '*') return etag === undefined;
  return headers['if-match'] === undefined || headers['if-match'] === etag;
}

function refuse(context: Context, status: number, code: string): void {
  context.req.resume();
  context.status = status;
  context.type = 'application/xml';
  context.body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`;
}

/** An HTTP client that sends what it is told, as it is told: paths are not normalised, and nothing is followed or retried. */
import { type Agent, type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http';
import { connect, type Socket } from 'node:net';

export interface AskOptions {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string | Uint8Array;
  /** Default: a connection of its own. */
  readonly agent?: Agent;
}

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** @param path as it stands in the request line. @throws where the connection ends before the answer does */
export function ask(url: string, path: string, options: AskOptions = {}): Promise<Answered> {
  const { method = 'GET', headers = {}, body, agent } = options;
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const target = {
      host: hostname.replace(/^\[|\]$/g, ''),
      port,
      path,
      method,
      headers,
      agent: agent ?? false,
    };
    const sent = request(target, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('error', reject);
      response.on('end', () => {
        const { statusCode = 0, headers: found } = response;
        resolve({ status: statusCode, headers: found, body: Buffer.concat(pieces) });
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** The JSON of an answer that is to be 200. */
export async function askJson<T>(url: string, path: string, options?: AskOptions): Promise<T> {
  const { status, body } = await ask(url, path, options);
  if (status !== 200) throw new Error(`${path}: ${status} ${body}`);
  return JSON.parse(body.toString()) as T;
}

/** Bytes of a request on a connection of its own, and everything that comes back until the server ends it. */
export async function askRaw(url: string, text: string): Promise<string> {
  const socket = await openSocket(url);
  let answer = '';
  socket.setEncoding('latin1').on('data', (piece) => {
    answer += piece;
  });
  const ended = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  socket.on('error', () => {});
  socket.write(text);
  await ended;
  return answer;
}

/** A connection on which nothing is read until the test does. */
export async function openSocket(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  socket.on('error', () => {});
  return socket;
}

/** Text of a GET request. */
export function requestText(path: string, headers: Readonly<Record<string, string>> = {}): string {
  const lines = Object.entries({ host: 'localhost', ...headers }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  return `GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

/** serve: an HTTP server that makes a store, or a folder of archives, look like the Hub to those who download from it. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { IoError } from '../../formats/errors.js';
import type { ServeOptions, Serving } from './api.js';
import { openHubHandler } from './open-handler.js';

const DEFAULT_HOST = '127.0.0.1';
const DEFAULT_PORT = 8080;
/** Each may hold a megabyte of what it is sent. */
const DEFAULT_MAX_CONNECTIONS = 1000;
const DEFAULT_SHUTDOWN_MS = 10_000;

/** Clients that are slow to ask: a request is a few hundred bytes. */
const TIMEOUTS = {
  headersTimeout: 15_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 10_000,
  connectionsCheckingInterval: 5_000,
  maxHeaderSize: 16 << 10,
} as const;

/** Time for a client to read why it is cut off. */
const LINGER_MS = 1000;

/** What is no request, by Node's codes. */
const CLIENT_ERRORS: ReadonlyMap<string, string> = new Map([
  ['ERR_HTTP_REQUEST_TIMEOUT', '408 Request Timeout'],
  ['HPE_HEADER_OVERFLOW', '431 Request Header Fields Too Large'],
]);

/** @throws as openHubHandler; IoError where the port is taken or not allowed */
export async function serve(options: ServeOptions): Promise<Serving> {
  const { host = DEFAULT_HOST, port = DEFAULT_PORT, maxConnections = DEFAULT_MAX_CONNECTIONS } = options;
  if (!Number.isSafeInteger(port) || port < 0 || port > 65_535)
    throw new RangeError(`expected a port from 0 to 65535, got ${port}`);
  if (!Number.isSafeInteger(maxConnections) || maxConnections < 1)
    throw new RangeError(`expected maxConnections to be at least 1, got ${maxConnections}`);
  let connectionCount = 0;
  let isClosing = false;
  const handler = await openHubHandler(options, {
    connectionCount: () => connectionCount,
    address: () => addressOf(server),
  });
  const running = new Set<Promise<void>>();
  const server = createServer(TIMEOUTS, (request, response) => {
    // Whoever keeps a connection is told to end it; those whose answer had begun before cannot be told.
    if (isClosing) response.setHeader('connection', 'close');
    response.once('close', () => {
      if (isClosing) server.closeIdleConnections();
    });
    const answering = handler.handle(request, response).finally(() => running.delete(answering));
    running.add(answering);
  });
  server.maxConnections = maxConnections;
  server.on('connection', (socket) => {
    connectionCount++;
    socket.once('close', () => connectionCount--);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const status = CLIENT_ERRORS.get(error.code ?? '') ?? '400 Bad Request';
    if (!socket.writable) return socket.destroy();
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`);
    // A client that does not end its side would keep the connection for ever.
    return setTimeout(() => socket.destroy(), LINGER_MS).unref();
  });
  try {
    await listen(server, host, port);
    const closeServer = async (): Promise<void> => {
      isClosing = true;
      await drain(server, options.shutdownMs ?? DEFAULT_SHUTDOWN_MS);
      // Requests whose clients are gone may wait for what is being rebuilt, which closing gives up.
      await Promise.all([handler.close(), ...running]);
    };
    let closing: Promise<void> | undefined;
    return {
      url: `http://${addressOf(server)}`,
      port: (server.address() as AddressInfo).port,
      modelCount: (await handler.catalog.models()).length,
      close: () => {
        closing ??= closeServer();
        return closing;
      },
    };
  } catch (error) {
    server.close();
    await handler.close();
    throw error;
  }
}

function addressOf(server: Server): string {
  const { address, port, family } = server.address() as AddressInfo;
  return `${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (cause: NodeJS.ErrnoException): void => {
      const why = cause.code === 'EADDRINUSE' ? 'another process has the port' : cause.message;
      reject(new IoError(`cannot listen on ${host}, port ${port}: ${why}`, { cause }));
    };
    server.once('error', onError);
    server.listen(port, host, () => {
      server.off('error', onError);
      resolve();
    });
  });
}

/** No new connection, the end of those that wait, and time for the others. */
async function drain(server: Server, shutdownMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), shutdownMs);
  await closed;
  clearTimeout(timer);
}

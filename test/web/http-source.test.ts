/** Files over HTTP: what is asked for, and what goes wrong with servers. */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { httpSource } from '../../src/web/http-source.js';
import { type StaticServer, serveFolder } from '../helpers/static-server.js';
import { withTempFolder, writeTree } from '../helpers/temp-folder.js';
import { randomBytes } from '../kernels/samples.js';

const FILE = randomBytes(500_000, 1);
const HEAD = 64 << 10;

let server: StaticServer;
let done: () => void;
let folderUse: Promise<void>;
let folder: string;
beforeAll(async () => {
  const ended = new Promise<void>((resolve) => {
    done = resolve;
  });
  await new Promise<void>((ready) => {
    folderUse = withTempFolder(async (path) => {
      folder = path;
      await writeTree(path, { 'a.bin': FILE, 'empty.bin': '', 'small.bin': FILE.subarray(0, 10) });
      server = await serveFolder(path);
      ready();
      await ended;
    });
  });
});
afterAll(async () => {
  await server.close();
  done();
  await folderUse;
});
beforeEach(() => {
  server.requests.length = 0;
  server.faults.length = 0;
  Object.assign(server.manner, { ranges: true, etags: 'strong', chunked: false });
});

const open = (path = 'a.bin', options = {}) => httpSource(`${server.url}/${path}`, options);

describe('ranges', () => {
  test('opening is one request, whose bytes are not asked for again', async () => {
    const source = await open();
    expect(source.byteLength).toBe(FILE.byteLength);
    expect(await source.read(100, 1000)).toEqual(FILE.subarray(100, 1100));
    expect(server.requests).toEqual([`GET /a.bin bytes=0-${HEAD - 1}`]);
  });

  test('small reads share blocks, also over their border, and large ones are asked for as they are', async () => {
    const source = await open();
    for (const [offset, length] of [
      [HEAD + 5, 10],
      [2 * HEAD - 3, 6],
      [2 * HEAD + 9, 20],
      [HEAD, HEAD],
      [HEAD + 1, 3 * HEAD],
      [FILE.byteLength - 7, 7],
      [FILE.byteLength, 0],
    ] as const) {
      expect(await source.read(offset, length)).toEqual(FILE.subarray(offset, offset + length));
    }
    const ranges = server.requests.map((request) => request.split('=')[1]);
    expect(ranges).toEqual([
      `0-${HEAD - 1}`,
      `${HEAD}-${2 * HEAD - 1}`,
      `${2 * HEAD}-${3 * HEAD - 1}`,
      `${HEAD + 1}-${4 * HEAD}`,
      `${7 * HEAD}-${FILE.byteLength - 1}`,
    ]);
    await expect(source.read(FILE.byteLength - 1, 2)).rejects.toThrow(RangeError);
  });

  test('an empty file and one of a few bytes', async () => {
    expect((await open('empty.bin')).byteLength).toBe(0);
    const small = await open('small.bin');
    expect(await small.read(0, 10)).toEqual(FILE.subarray(0, 10));
    expect(server.requests.length).toBe(2);
  });

  test('headers are sent, and a query and a password are not shown', async () => {
    Object.assign(server.manner, { authorization: 'Bearer t' });
    try {
      const source = await open('a.bin?signature=s', { headers: { authorization: 'Bearer t' } });
      expect(source.name).toBe(`${server.url}/a.bin`);
      await expect(open('a.bin?signature=s')).rejects.toThrow(
        /\/a\.bin: cannot read: the server answered HTTP 401/,
      );
    } finally {
      delete server.manner.authorization;
    }
  });
});

describe('a server without ranges', () => {
  test('sends all of it once, with a length and without', async () => {
    for (const chunked of [false, true]) {
      Object.assign(server.manner, { ranges: false, chunked });
      server.requests.length = 0;
      const source = await open();
      expect(await source.read(200_000, 1000)).toEqual(FILE.subarray(200_000, 201_000));
      expect(server.requests.length).toBe(1);
    }
  });

  test('is refused where the file is over the limit', async () => {
    for (const chunked of [false, true]) {
      Object.assign(server.manner, { ranges: false, chunked });
      await expect(open('a.bin', { maxWholeByteLength: 1000 })).rejects.toMatchObject({ code: 'ERE_LIMIT' });
    }
  });
});

describe('faults', () => {
  const read = async () => (await open()).read(HEAD, 10);

  test('no such file, and a server that fails', async () => {
    await expect(open('b.bin')).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
    server.faults.push({ status: 500 });
    await expect(open()).rejects.toThrow(/a\.bin: cannot read: the server answered HTTP 500/);
  });

  test('a connection that ends before the answer, and in the middle of it', async () => {
    for (const fault of ['drop', 'cut'] as const) {
      server.faults.push(fault);
      await expect(open()).rejects.toMatchObject({ code: 'ERE_IO', cause: expect.any(Error) });
    }
  });

  test('a read that failed is asked for again', async () => {
    const source = await open();
    server.faults.push('drop');
    await expect(source.read(HEAD, 10)).rejects.toMatchObject({ code: 'ERE_IO' });
    expect(await source.read(HEAD, 10)).toEqual(FILE.subarray(HEAD, HEAD + 10));
  });

  test('a file that changes is never two halves', async () => {
    const source = await open();
    const other = FILE.map((byte) => byte ^ 1);
    await writeTree(folder, { 'a.bin': other });
    await expect(source.read(HEAD, 10)).rejects.toThrow(/it has changed since it was opened: expected ETag/);
    server.manner.ranges = false; // As to a browser's If-Range.
    await expect(source.read(HEAD, 10)).rejects.toThrow(/it has changed since it was opened: expected ETag/);
    server.manner.ranges = true;
    await writeTree(folder, { 'a.bin': other.subarray(0, 300_000) });
    server.manner.etags = 'none';
    await expect(source.read(HEAD, 10)).rejects.toThrow(/expected 500000 bytes, found 300000/);
    await expect(source.read(400_000, 10)).rejects.toThrow(/it has changed since it was opened/);
    await writeTree(folder, { 'a.bin': FILE });
    expect(await source.read(HEAD, 10)).toEqual(FILE.subarray(HEAD, HEAD + 10));
  });

  test('a server that stops answering ranges', async () => {
    const source = await open();
    server.manner.ranges = false;
    await expect(source.read(HEAD, 10)).rejects.toThrow(/stopped answering range requests/);
  });

  test.each<[string, RequestListener, RegExp]>([
    [
      'another range than was asked for',
      (_, response) => response.writeHead(206, { 'content-range': 'bytes 1-65536/500000' }).end('x'),
      /asked for bytes 0-65535, got bytes 1-65536\/500000/,
    ],
    [
      'a range of no known length',
      (_, response) => response.writeHead(206, { 'content-range': 'bytes 0-65535/*' }).end('x'),
      /asked for bytes 0-65535, got bytes 0-65535\/\*/,
    ],
    [
      'no Content-Range, as of another origin',
      (_, response) => response.writeHead(206).end('x'),
      /Access-Control-Expose-Headers/,
    ],
    [
      'fewer bytes than it says',
      (_, response) => response.writeHead(206, { 'content-range': 'bytes 0-65535/500000' }).end('x'),
      /ended early: expected 65536 bytes, found 1/,
    ],
    [
      'more bytes than it says',
      (_, response) => response.writeHead(206, { 'content-range': 'bytes 0-9/10' }).end('more than that'),
      /expected 10 bytes, found more/,
    ],
  ])('an answer with %s', async (_, listener, message) => {
    const liar = createServer(listener);
    await new Promise<void>((resolve) => liar.listen(0, '127.0.0.1', resolve));
    try {
      const url = `http://127.0.0.1:${(liar.address() as AddressInfo).port}/a.bin`;
      await expect(httpSource(url)).rejects.toThrow(message);
    } finally {
      liar.close();
      liar.closeAllConnections();
    }
  });

  test('a fetch of your own is used, and what it throws is told', async () => {
    const options = { fetch: () => Promise.reject(new TypeError('Failed to fetch')) };
    await expect(httpSource('https://example.org/a.ere', options)).rejects.toThrow(
      'https://example.org/a.ere: cannot read: Failed to fetch',
    );
  });

  test('an abort is one', async () => {
    await expect(open('a.bin', { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ERE_ABORTED',
    });
    const controller = new AbortController();
    const source = await open('a.bin', { signal: controller.signal });
    controller.abort();
    await expect(source.read(HEAD, 10)).rejects.toMatchObject({ code: 'ERE_ABORTED' });
    expect(await read()).toEqual(FILE.subarray(HEAD, HEAD + 10));
  });
});

/** What plain HTTP promises beside the suite: changes noticed, faults outlived, nothing secret shown. */
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StoreBackend } from '../../../src/store/backend.js';
import { openFolderBackend } from '../../../src/store/backends/file-system.js';
import { type HttpBackendOptions, openHttpBackend } from '../../../src/store/backends/http.js';
import { inventoryText, writeInventory } from '../../../src/store/backends/inventory.js';
import { collect } from '../../conformance/backend-fixture.js';
import { describeBackend } from '../../conformance/backend-suite.js';
import { countingBytes } from '../../helpers/safetensors-bytes.js';
import { type Manner, type StaticServer, serveFolder } from '../../helpers/static-server.js';

const QUICK = { pauseMs: 1, attempts: 4 };
const bytes = (text: string) => new TextEncoder().encode(text);

const MANNERS: Record<string, Partial<Manner>> = {
  http: {},
  'http without ranges': { ranges: false },
  'http without HEAD, with weak ETags, in chunks': { head: false, etags: 'weak', chunked: true },
};
for (const [name, manner] of Object.entries(MANNERS)) {
  const create = async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ere-test-'));
    const server = await serveFolder(folder);
    Object.assign(server.manner, manner);
    const filler = await openFolderBackend(folder);
    return {
      backend: openHttpBackend(`${server.url}/`, QUICK),
      filler,
      publish: () => writeInventory(filler),
      async remove() {
        await server.close();
        await rm(folder, { recursive: true, force: true });
      },
    };
  };
  describeBackend(name, create, { isReadOnly: true, manyCount: 100 });
}

let folder: string;
let server: StaticServer;
let filler: StoreBackend;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ere-test-'));
  server = await serveFolder(folder);
  filler = await openFolderBackend(join(folder, 'models'), { create: true });
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});
const open = (options: HttpBackendOptions = {}) =>
  openHttpBackend(`${server.url}/models`, { ...QUICK, ...options });

describe('requests over HTTP', () => {
  it('are one for a whole value, and one for each part of an open one', async () => {
    await filler.write('a%2f/b=', countingBytes(1000));
    const backend = open();
    await backend.read('a%2f/b=');
    const value = await backend.open('a%2f/b=');
    await value.read(10, 20);
    await value.read(10, 0);
    const path = '/models/a%252f/b%3D';
    expect(server.requests).toEqual([`GET ${path}`, `HEAD ${path}`, `GET ${path} bytes=10-29`]);
  });

  it('go through the given fetch, with the given headers', async () => {
    await filler.write('a', bytes('x'));
    const seen: string[] = [];
    const spying: typeof fetch = (url, init) => {
      seen.push(new Headers(init?.headers).get('x-mine') ?? '');
      return fetch(url, init);
    };
    await open({ fetch: spying, headers: { 'x-mine': 'yes' } }).read('a');
    expect(seen).toEqual(['yes']);
  });

  it('authorize by the user of the URL and carry its query; neither is in a message', async () => {
    await filler.write('a', bytes('x'));
    server.manner.authorization = `Basic ${Buffer.from('me:pass:word').toString('base64')}`;
    const url = `${server.url.replace('//', '//me:pass%3Aword@')}/models?token=secret`;
    const backend = openHttpBackend(url, QUICK);
    expect(await backend.read('a')).toEqual(bytes('x'));
    expect(server.requests).toEqual(['GET /models/a?token=secret']);
    expect(backend.location).toBe(`${server.url}/models`);
    const missing = await backend.read('b').catch((error) => error);
    expect(missing.message).toBe(`${server.url}/models/b: there is no such value (HTTP 404)`);
    server.manner.authorization = 'Basic other';
    const refused = await backend.read('a').catch((error) => error);
    expect(refused.message).toBe(
      `${server.url}/models/a: cannot read: the server answered HTTP 401 Unauthorized`,
    );
    await server.close();
    const dead = await backend.read('a').catch((error) => error);
    expect(dead).toMatchObject({
      code: 'ERE_IO',
      message: expect.stringMatching(/cannot read: .*ECONNREFUSED/),
    });
    expect(`${dead.stack}${dead.cause.stack}`).not.toMatch(/secret|pass/);
  });

  it('need an http: or https: URL', () => {
    for (const url of ['ftp://x/y', 'x', 'file:///x']) expect(() => openHttpBackend(url)).toThrow(RangeError);
  });
});

describe('a value that changes under an open one', () => {
  for (const etags of ['strong', 'weak'] as const) {
    it(`is noticed by its ${etags} ETag, at equal lengths`, async () => {
      server.manner.etags = etags;
      await filler.write('a', bytes('before'));
      const value = await open().open('a');
      await filler.write('a', bytes('after!'));
      await expect(value.read(0, 3)).rejects.toThrow(
        `${server.url}/models/a: cannot read: it was changed since`,
      );
    });
  }

  it('is noticed by its length or its time, where there are no ETags', async () => {
    server.manner.etags = 'none';
    await filler.write('a', bytes('before'));
    const value = await open().open('a');
    await utimes(join(folder, 'models', 'a'), 1, 1);
    await expect(value.read(2, 4)).rejects.toThrow('was changed since it was opened');
    for (const after of ['longer than it was', 'x', '']) {
      await filler.write('a', bytes(after));
      await expect(value.read(2, 4)).rejects.toThrow('was changed since it was opened');
    }
  });
});

describe('faults of the network and the server', () => {
  it('that pass are outlived: busy answers, dropped connections, answers that end early', async () => {
    await filler.write('a', countingBytes(200_000));
    const value = await open().open('a');
    for (const faults of [
      ['drop', 'cut', 'drop'],
      [429, 503, 500],
      [502, 'cut', 504],
    ] as const) {
      for (const read of [() => open().read('a'), () => value.read(0, 200_000)]) {
        server.faults.push(...faults.map((fault) => (typeof fault === 'number' ? { status: fault } : fault)));
        // Vitest compares 200,000 numbers one by one, and takes its time.
        expect(Buffer.compare(await read(), countingBytes(200_000))).toBe(0);
      }
    }
  });

  it('that stay are one error, after as many attempts as allowed', async () => {
    await filler.write('a', bytes('x'));
    server.faults.push(...Array.from({ length: 4 }, () => ({ status: 503 })));
    await expect(open().read('a')).rejects.toMatchObject({
      code: 'ERE_IO',
      message: `${server.url}/models/a: cannot read: the server answered HTTP 503 Service Unavailable`,
    });
    expect(server.requests.length).toBe(4);
    server.faults.push('cut', 'cut', 'cut', 'cut');
    await expect(open().read('a')).rejects.toMatchObject({ code: 'ERE_IO' });
  });

  it('that cannot pass are not asked for again', async () => {
    server.faults.push({ status: 403 });
    await expect(open().read('a')).rejects.toThrow('HTTP 403');
    expect(server.requests.length).toBe(1);
  });

  it('are waited for as long as the server asks, which an abort ends', async () => {
    await filler.write('a', bytes('x'));
    server.faults.push({ status: 429, headers: { 'retry-after': '1' } });
    const start = performance.now();
    await open().read('a');
    expect(performance.now() - start).toBeGreaterThan(950);
    server.faults.push({ status: 429, headers: { 'retry-after': '50' } });
    const controller = new AbortController();
    const reading = open().read('a', { signal: controller.signal });
    setTimeout(() => controller.abort(), 30);
    await expect(reading).rejects.toMatchObject({ code: 'ERE_ABORTED' });
  });

  it('an abort ends a request that is under way', async () => {
    const never: typeof fetch = (_, init) =>
      new Promise((_, reject) => {
        init?.signal?.addEventListener('abort', () => reject(init.signal!.reason));
      });
    const reading = open({ fetch: never }).read('a', { signal: AbortSignal.timeout(20) });
    await expect(reading).rejects.toMatchObject({ code: 'ERE_ABORTED' });
  });
});

describe('the inventory', () => {
  it('is a line for each value, sorted, without itself', async () => {
    await filler.write('b/c', bytes('123'));
    await filler.write('a', bytes(''));
    await writeInventory(filler);
    const text = await inventoryText(filler);
    expect(text).toMatch(/^a\t0\t\d{13}\nb\/c\t3\t\d{13}\n$/);
    expect(await filler.read('inventory')).toEqual(bytes(text));
  });

  it('that is not there makes a listing unsupported', async () => {
    const message = `${server.url}/models: cannot list: it has no inventory; write one with inventory where the store is kept`;
    await expect(collect(open().list(''))).rejects.toMatchObject({ code: 'ERE_UNSUPPORTED', message });
  });

  it('that is malformed is a FormatError that names the line', async () => {
    const good = 'a\t1\t2\n';
    for (const bad of [
      '../x\t1\t2\n',
      'b\t1\n',
      'b\t-1\t2\n',
      'b\t1\t2\t3\n',
      good,
      '\n',
      'b\t99999999999999999\t1\n',
      'B\t1\t1\n',
    ]) {
      await writeFile(join(folder, 'models', 'inventory'), good + bad);
      await expect(collect(open().list('')), bad).rejects.toMatchObject({
        code: 'ERE_FORMAT',
        message: expect.stringMatching(/models\/inventory: line 2: expected a key/),
      });
    }
    await writeFile(join(folder, 'models', 'inventory'), 'a\t1\t2');
    await expect(collect(open().list(''))).rejects.toThrow('ends within a line');
  });
});

/** The beginning and the end of a server: ports, folders, and downloads that run when it is closed. */
import { once } from 'node:events';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { Agent, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { IoError, NotFoundError } from '../../formats/errors.js';
import { processTag } from '../../src/io/process-identity.js';
import { openHubHandler, serve } from '../../src/serve/index.js';
import { ask, openSocket, requestText } from '../helpers/raw-http.js';
import { resolvePath, sharedModels, until, withServe } from '../helpers/serve-setting.js';
import { listTree, withTempFolder } from '../helpers/temp-folder.js';

const models = sharedModels();
const WEIGHTS = resolvePath('chat', 'main', 'model.safetensors');
const weights = () => models.now.chat[2]!.files.get('model.safetensors')!;

describe('close', () => {
  test('lets a download finish, and ends with it: connections that are kept do not hold it up', async () => {
    await withServe({ store: models.now.storePath, shutdownMs: 20_000 }, async ({ url, serving, metric }) => {
      const agent = new Agent({ keepAlive: true });
      try {
        const download = ask(url, WEIGHTS, { agent });
        await until('it has begun', async () => (await metric('ere_cache_misses_total')) > 0);
        const started = performance.now();
        const [{ body }] = await Promise.all([download, serving.close()]);
        expect(body.equals(weights())).toBe(true);
        expect(performance.now() - started).toBeLessThan(8000);
      } finally {
        agent.destroy();
      }
    });
  });

  test('takes no connection any more', async () => {
    await withServe({ store: models.now.storePath }, async ({ ask: asked, serving }) => {
      await serving.close();
      await expect(asked('/healthz')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
      await serving.close();
    });
  });

  test('cuts what is not finished after shutdownMs, and removes its folder of the cache', async () => {
    await withServe(
      { store: models.now.storePath, shutdownMs: 100 },
      async ({ url, serving, cacheFolder }) => {
        const socket = await openSocket(url);
        // A request that is never sent whole.
        socket.write(requestText(WEIGHTS).slice(0, -2));
        const other = await openSocket(url);
        other.write(requestText(WEIGHTS));
        await once(other, 'data');
        other.pause();
        const started = performance.now();
        await serving.close();
        expect(performance.now() - started).toBeLessThan(5000);
        expect(await listTree(cacheFolder)).toEqual([]);
        socket.destroy();
        other.destroy();
      },
    );
  });

  test('while tensors wait to be rebuilt: they are given up, and whoever waits is cut off', async () => {
    await withServe(
      { store: models.now.storePath, shutdownMs: 1, threads: 1 },
      async ({ ask: asked, serving, metric }) => {
        const versions = ['v1.0', 'release/v2', 'main'];
        const downloads = versions.map((revision) =>
          asked(resolvePath('chat', revision, 'model.safetensors')).then(
            () => 'whole',
            () => 'cut',
          ),
        );
        while ((await metric('ere_cache_misses_total')) === 0);
        await serving.close();
        for (const outcome of await Promise.all(downloads)) expect(['whole', 'cut']).toContain(outcome);
      },
    );
  });
});

describe('serve', () => {
  test('a port that is taken is a clear error, and nothing stays', async () => {
    const other = createServer();
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    try {
      await withTempFolder(async (cacheFolder) => {
        const error = await serve({ store: models.now.storePath, port, cacheFolder }).catch(
          (thrown) => thrown,
        );
        expect(error).toBeInstanceOf(IoError);
        expect(error.message).toBe(`cannot listen on 127.0.0.1, port ${port}: another process has the port`);
        expect(await listTree(cacheFolder)).toEqual([]);
      });
    } finally {
      other.close();
    }
  });

  test('an address of no interface of this machine is a clear error', async () => {
    await withTempFolder(async (cacheFolder) => {
      const options = { store: models.now.storePath, cacheFolder, host: '192.0.2.1', port: 0 };
      await expect(serve(options)).rejects.toThrow(/cannot listen on 192\.0\.2\.1/);
    });
  });

  test('without a store or folder it is NotFoundError, and no cache is made', async () => {
    await withTempFolder(async (folder) => {
      const cacheFolder = join(folder, 'cache');
      const common = { cacheFolder, port: 0 };
      await expect(serve({ ...common, store: join(folder, 'none') })).rejects.toBeInstanceOf(NotFoundError);
      await expect(serve({ ...common, archives: join(folder, 'none') })).rejects.toBeInstanceOf(
        NotFoundError,
      );
      expect(await listTree(folder)).toEqual([]);
    });
  });

  test('options that make no sense are said so', async () => {
    const store = models.now.storePath;
    const bad: [object, RegExp][] = [
      [{}, /a store or a folder of archives/],
      [{ store, archives: 'x' }, /and one of them/],
      [{ store, bases: ['a', 'b'] }, /at most one path/],
      [{ store, port: 65_536 }, /port from 0 to 65535/],
      [{ store, port: 1.5 }, /port from 0 to 65535/],
      [{ store, maxConnections: 0 }, /maxConnections/],
      [{ store, threads: 0 }, /threads/],
      [{ store, maxCacheByteLength: 0 }, /maxCacheByteLength/],
      [{ store, stallMs: -1 }, /stallMs/],
      [{ store, memoryCap: 1 << 20 }, /424/],
    ];
    for (const [options, message] of bad) await expect(serve(options)).rejects.toThrow(message);
  });

  test('what a killed server left in the cache is removed by the next one, of a running one it stays', async () => {
    await withTempFolder(async (cacheFolder) => {
      const [place] = processTag().split('-');
      // No process has this number: it is above what Linux gives.
      const left = [`served-${place}-99999999-1.0a0b0c0d`, 'not ours'];
      for (const name of [...left, `served-${processTag()}.00000000`]) {
        await mkdir(join(cacheFolder, name));
        await writeFile(join(cacheFolder, name, '0'), 'x');
      }
      const serving = await serve({ store: models.now.storePath, port: 0, cacheFolder });
      expect(await readdir(cacheFolder)).toHaveLength(3);
      await serving.close();
      expect((await readdir(cacheFolder)).sort()).toEqual(['not ours', `served-${processTag()}.00000000`]);
    });
  });

  test('on ::1 the address has brackets', async () => {
    const options = { store: models.now.storePath, host: '::1' };
    await withServe(options, async ({ url, ask: asked }) => {
      expect(url).toMatch(/^http:\/\/\[::1\]:\d+$/);
      expect((await asked('/healthz')).status).toBe(200);
    });
  });

  test('connections beyond the limit are refused', async () => {
    await withServe({ store: models.now.storePath, maxConnections: 2 }, async ({ url }) => {
      const kept = [await openSocket(url), await openSocket(url)];
      await expect(ask(url, '/healthz')).rejects.toThrow();
      for (const socket of kept) socket.destroy();
      await Promise.all(kept.map((socket) => once(socket, 'close')));
      await expect
        .poll(() =>
          ask(url, '/healthz').then(
            ({ status }) => status,
            () => 0,
          ),
        )
        .toBe(200);
    });
  });
});

test('a handler that is closed while it rebuilds gives that up, and leaves no thread behind', async () => {
  const running = new Set<Worker>();
  const onWorker = (worker: Worker): void => {
    running.add(worker);
    worker.once('exit', () => running.delete(worker));
  };
  process.on('worker', onWorker);
  await withTempFolder(async (cacheFolder) => {
    const handler = await openHubHandler({ store: models.now.storePath, cacheFolder, threads: 1 });
    const server = createServer((request, response) => void handler.handle(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const downloads = ['main', 'release/v2', 'v1.0'].map((revision) =>
      ask(url, resolvePath('chat', revision, 'model.safetensors')).then(
        ({ status }) => status,
        () => 'cut',
      ),
    );
    await until('it rebuilds', () => running.size === 1);
    await handler.close();
    for (const outcome of await Promise.all(downloads)) expect([200, 500, 'cut']).toContain(outcome);
    server.close();
    server.closeAllConnections();
    await until('its thread has ended', () => running.size === 0);
    process.off('worker', onWorker);
    expect(await listTree(cacheFolder)).toEqual([]);
  });
});

test("a handler for a server of one's own serves the same, and is closed without it", async () => {
  await withTempFolder(async (cacheFolder) => {
    const handler = await openHubHandler({ store: models.now.storePath, cacheFolder, threads: 1 });
    const server = createServer((request, response) => void handler.handle(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect((await ask(url, WEIGHTS)).body.equals(weights())).toBe(true);
    server.close();
    server.closeAllConnections();
    await handler.close();
    expect(await listTree(cacheFolder)).toEqual([]);
  });
});

/** Clients that go away, do not read, or ask ahead: nothing is kept for them, and the next one is served. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { text } from '../../src/serve/answer.js';
import { StalledError, sendText } from '../../src/serve/send.js';
import { initStore } from '../../src/store/open-store.js';
import { QUICK, writeModel } from '../helpers/models.js';
import { openSocket, requestText } from '../helpers/raw-http.js';
import { resolvePath, type ServeSetting, sharedModels, until, withServe } from '../helpers/serve-setting.js';
import { withTempFolder } from '../helpers/temp-folder.js';

const models = sharedModels();
const WEIGHTS = resolvePath('chat', 'main', 'model.safetensors');
const weights = () => models.now.chat[2]!.files.get('model.safetensors')!;

/** Nobody is connected, and nothing is being rebuilt or waits for it. */
async function expectIdle({ metric }: ServeSetting): Promise<void> {
  // The one who asks is connected.
  await until('no connection', async () => (await metric('ere_http_connections')) === 1);
  await until('nothing rebuilt', async () => (await metric('ere_rebuilds_running')) === 0);
  expect(await metric('ere_rebuilds_waiting')).toBe(0);
}

async function expectServed({ ask }: ServeSetting): Promise<void> {
  expect((await ask(WEIGHTS)).body.equals(weights())).toBe(true);
}

/** Runs `use` with a model so large that it does not fit into what systems keep for a connection. */
async function withLargeModel(
  use: (storePath: string, path: string, byteLength: number) => Promise<void>,
): Promise<void> {
  await withTempFolder(async (folder) => {
    const data = new Uint8Array(48 << 20).fill(7);
    const tensors = [0, 1, 2].map((i) => ({
      name: `wide.${i}`,
      dtype: 'F32' as const,
      shape: [2 << 10, 2 << 10],
      data: data.subarray(i << 24, (i + 1) << 24).fill(i),
    }));
    const path = join(folder, 'model');
    await writeModel(path, { tensors });
    const storePath = join(folder, 'store');
    const store = await initStore(storePath);
    await store.addBase('large', path, { threads: 1 });
    await store.commit(path, { ...QUICK, model: 'large', message: 'x', lossless: true });
    await store.close();
    await use(storePath, resolvePath('large', 'main', 'model.safetensors'), 3 * (16 << 20));
  });
}

/** Waits for the beginning of an answer, and reads no more. */
async function firstBytes(socket: Socket): Promise<string> {
  const [piece] = (await once(socket, 'data')) as [Buffer];
  socket.pause();
  return piece.toString('latin1');
}

describe('a client that goes away', () => {
  test('while its tensors wait to be rebuilt: what nobody else wants is not rebuilt', async () => {
    await withServe({ store: models.now.storePath, threads: 1 }, async (setting) => {
      const { url, metric } = setting;
      const socket = await openSocket(url);
      socket.write(requestText(WEIGHTS));
      await until('a tensor waits', async () => (await metric('ere_cache_misses_total')) > 0);
      socket.destroy();
      await expectIdle(setting);
      await expectServed(setting);
    });
  });

  test('in the middle of a download, or before any of it, a hundred times', async () => {
    await withServe({ store: models.now.storePath }, async (setting) => {
      for (let i = 0; i < 100; i++) {
        const socket = await openSocket(setting.url);
        socket.write(requestText(WEIGHTS, { range: `bytes=${i * 1000}-` }));
        if (i % 3 === 0) await firstBytes(socket);
        if (i % 3 === 1) await pause(1);
        socket.destroy();
      }
      await expectIdle(setting);
      await expectServed(setting);
      expect(setting.logs.filter(({ level }) => level !== 'info')).toEqual([]);
    });
  });

  test('before the requests that it sent ahead had their turn: the server can still be closed', async () => {
    await withServe({ store: models.now.storePath, shutdownMs: 5000 }, async (setting) => {
      const socket = await openSocket(setting.url);
      socket.write(requestText(WEIGHTS).repeat(3) + requestText('/api/models'));
      await pause(5);
      socket.destroy();
      await expectIdle(setting);
      const started = performance.now();
      await setting.serving.close();
      expect(performance.now() - started).toBeLessThan(4000);
    });
  });
});

test('a client that does not read is cut off after stallMs, and that is logged', async () => {
  await withLargeModel(async (storePath, path) => {
    await withServe({ store: storePath, stallMs: 300 }, async (setting) => {
      const { url, logs } = setting;
      const socket = await openSocket(url);
      socket.write(requestText(path));
      expect(await firstBytes(socket)).toMatch(/^HTTP\/1.1 200 OK/);
      await until('it is logged', () =>
        logs.some((record) => record.event === 'request' && record.path === path),
      );
      const record = logs.find((found) => found.event === 'request' && found.path === path);
      expect(record).toMatchObject({
        status: 200,
        isComplete: false,
        error: expect.stringContaining('300 ms'),
      });
      await until(
        'the connection has ended',
        async () => (await setting.metric('ere_http_connections')) === 1,
      );
      socket.destroy();
      await expectIdle(setting);
    });
  });
});

test('a client that does not read a text is given up too, and one that is gone is sent none', async () => {
  const answer = text('x'.repeat(32 << 20), 'text/plain');
  const outcomes: Promise<number>[] = [];
  const server = createServer((_request, response) => {
    const sending = sendText(response, answer, { method: 'GET', stallMs: 200 });
    outcomes.push(sending);
    sending.catch(() => {});
    response.once('close', () => outcomes.push(sendText(response, answer, { method: 'GET', stallMs: 200 })));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = await openSocket(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  socket.write(requestText('/'));
  await firstBytes(socket);
  await until('it is given up', () => outcomes.length === 2);
  await expect(outcomes[0]).rejects.toThrow(StalledError);
  expect(await outcomes[1]).toBe(0);
  socket.destroy();
  server.close();
});

test('a client that reads slowly, but reads, gets all of it', async () => {
  await withLargeModel(async (storePath, path, byteLength) => {
    await withServe({ store: storePath, stallMs: 1000 }, async (setting) => {
      const socket = await openSocket(setting.url);
      socket.write(requestText(path, { connection: 'close' }));
      let found = 0;
      let sinceRest = 0;
      socket.on('data', (piece: Buffer) => {
        found += piece.byteLength;
        sinceRest += piece.byteLength;
        if (sinceRest < 8 << 20) return;
        sinceRest = 0;
        socket.pause();
        setTimeout(() => socket.resume(), 100);
      });
      await once(socket, 'close');
      expect(found).toBeGreaterThan(byteLength);
      expect(found).toBeLessThan(byteLength + 2000);
      await expectIdle(setting);
    });
  });
});

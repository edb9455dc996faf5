/** Many clients, a small cache, many versions: every byte is right, the cache keeps its limit, and nothing is left. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { initStore } from '../../src/store/open-store.js';
import { QUICK, writeModel } from '../helpers/models.js';
import { resolvePath, sharedModels, until, withServe } from '../helpers/serve-setting.js';
import { type Files, readTree, servedModel } from '../helpers/served-models.js';
import { withTempFolder } from '../helpers/temp-folder.js';

const models = sharedModels();
/** The largest tensor: a cache of this size holds it, or some others. */
const LARGEST = 512 * 700 * 4;

/** Bytes that lie under a folder. */
async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = entries.map((entry) =>
    entry.isFile()
      ? stat(join(entry.parentPath ?? entry.path, entry.name)).then(
          ({ size }) => size,
          () => 0,
        )
      : 0,
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** Numbers in [0, bound) that are the same in every run. */
function randomNumbers(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}

test('64 clients that read random ranges of random files through a small cache get every byte right', async () => {
  const files = [
    ...models.now.chat.map(({ commit, files }) => ['chat', commit!, files] as const),
    ...[...models.now.models].map(([name, { files }]) => [name, 'main', files] as const),
  ].flatMap(([model, revision, found]) =>
    [...found].map(([path, bytes]) => ({ address: resolvePath(model, revision, path), bytes })),
  );
  await withServe(
    { store: models.now.storePath, threads: 2, maxCacheByteLength: LARGEST },
    async (setting) => {
      const { ask, metric, cacheFolder } = setting;
      let isOver = false;
      let largest = 0;
      const watching = (async () => {
        while (!isOver) {
          largest = Math.max(largest, await sizeOf(cacheFolder));
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      })();
      const client = async (number: number): Promise<void> => {
        const random = randomNumbers(number);
        for (let i = 0; i < 6; i++) {
          const { address, bytes } = files[random(files.length)]!;
          if (bytes.byteLength === 0) continue;
          const from = random(bytes.byteLength);
          const to = Math.min(bytes.byteLength - 1, from + random(20_000));
          const { status, body } = await ask(address, { headers: { range: `bytes=${from}-${to}` } });
          expect([status, body.equals(bytes.subarray(from, to + 1))], `${address} ${from}-${to}`).toEqual([
            206,
            true,
          ]);
        }
      };
      await Promise.all(Array.from({ length: 64 }, (_, number) => client(number)));
      isOver = true;
      await watching;
      expect(largest).toBeLessThanOrEqual(LARGEST);
      expect(await metric('ere_cache_evictions_total')).toBeGreaterThan(0);
      await until('all have gone', async () => (await metric('ere_http_connections')) === 1);
      expect(await metric('ere_rebuilds_waiting')).toBe(0);
      expect(await metric('ere_rebuilds_running')).toBe(0);
    },
  );
});

describe('a cache', () => {
  test('that must drop a tensor for the next gives whole files, to several clients at a time', async () => {
    await withServe(
      { store: models.now.storePath, threads: 2, maxCacheByteLength: LARGEST },
      async ({ ask }) => {
        const download = async ({ commit, files }: { commit: string | undefined; files: Files }) => {
          const { body } = await ask(resolvePath('chat', commit!, 'model.safetensors'));
          expect(body.equals(files.get('model.safetensors')!)).toBe(true);
        };
        await Promise.all([...models.now.chat, ...models.now.chat].map(download));
      },
    );
  });

  test('that is smaller than a tensor gives the others, and refuses a file with it before its first byte', async () => {
    await withServe(
      { store: models.now.storePath, maxCacheByteLength: LARGEST - 1 },
      async ({ ask, logs }) => {
        const address = resolvePath('chat', 'main', 'model.safetensors');
        expect((await ask(resolvePath('chat', 'main', 'config.json'))).status).toBe(200);
        expect((await ask(address, { headers: { range: 'bytes=0-50' } })).status).toBe(206);
        const whole = await ask(address);
        expect([whole.status, whole.body.toString()]).toEqual([500, expect.stringContaining('more room')]);
        await until('it is logged', () => logs.some((record) => record.level === 'error'));
        const record = logs.find(({ level }) => level === 'error')!;
        expect(record).toMatchObject({ error: expect.stringContaining(`${LARGEST} bytes`) });
      },
    );
  });

  test('is filled once for all who ask for the same at the same time', async () => {
    await withServe({ store: models.now.storePath }, async ({ ask, metric }) => {
      const { commit, files } = models.now.chat[1]!;
      const bytes = files.get('model.safetensors')!;
      const path = resolvePath('chat', commit!, 'model.safetensors');
      const all = await Promise.all(Array.from({ length: 30 }, () => ask(path)));
      for (const { body } of all) expect(body.equals(bytes)).toBe(true);
      expect(await metric('ere_rebuilt_bytes_total')).toBeLessThan(bytes.byteLength);
    });
  });

  test('keeps what was rebuilt once for all versions that have it', async () => {
    await withServe({ store: models.now.storePath }, async ({ ask, metric }) => {
      for (const { commit } of models.now.chat) await ask(resolvePath('chat', commit!, 'model.safetensors'));
      const tensorBytes = (number: number) =>
        models.now.chat[number]!.files.get('model.safetensors')!.byteLength;
      // The wide tensor, which is most of each, once.
      expect(await metric('ere_rebuilt_bytes_total')).toBeLessThan(tensorBytes(0) + 60_000);
    });
  });
});

test('more versions than are kept open, asked for at once and again: every file is right', async () => {
  await withTempFolder(async (folder) => {
    const storePath = join(folder, 'store');
    const store = await initStore(storePath);
    const { tensors } = servedModel(1);
    const small = tensors.filter(({ name }) => name !== 'wide');
    await writeModel(join(folder, 'base'), { tensors: small });
    await store.addBase('tiny', join(folder, 'base'), { threads: 1 });
    const versions: { readonly name: string; readonly files: Files }[] = [];
    for (let i = 0; i < 20; i++) {
      const path = join(folder, `many ${i}`);
      await writeModel(path, {
        tensors: small,
        sideFiles: { 'config.json': `{"number":${i}}`, 'big.txt': `${i}`.repeat(5000) },
      });
      const name = `many/m${i}`;
      await store.commit(path, {
        ...QUICK,
        model: name,
        message: 'x',
        lossless: true,
        parent: null,
        sideFiles: true,
      });
      versions.push({ name, files: await readTree(path) });
    }
    await store.close();
    await withServe({ store: storePath, threads: 2, maxCacheByteLength: 20_000 }, async ({ ask }) => {
      const asked = versions.flatMap(({ name, files }) =>
        [...files].map(([path, bytes]) => ({ name, path, bytes })),
      );
      for (let round = 0; round < 2; round++) {
        await Promise.all(
          asked.map(async ({ name, path, bytes }, i) => {
            const from = path.endsWith('.safetensors') ? bytes.byteLength - 2000 - i : 0;
            const { status, body } = await ask(resolvePath(name, 'main', path), {
              headers: { range: `bytes=${from}-` },
            });
            expect([name, path, status, body.equals(bytes.subarray(from))]).toEqual([name, path, 206, true]);
          }),
        );
      }
    });
  });
});

/** What is served changes, goes away, or is damaged while it is served: right bytes or none, and what is mended works again. */
import { copyFile, mkdir, readFile, rename, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { encode } from '../../src/index.js';
import { openStore } from '../../src/store/open-store.js';
import { QUICK, writeModel } from '../helpers/models.js';
import {
  resolvePath,
  restoredModels,
  type ServeSetting,
  until,
  withServe,
} from '../helpers/serve-setting.js';
import { servedModel } from '../helpers/served-models.js';
import { listTree } from '../helpers/temp-folder.js';

const weightsAt = (revision: string, model = 'chat') => resolvePath(model, revision, 'model.safetensors');
const BASE_FILE = 'model.safetensors';

const withModels = restoredModels();

/** The bytes, or what came instead of them. */
async function download({ ask }: ServeSetting, path: string): Promise<Buffer | number | 'cut'> {
  return ask(path).then(
    ({ status, body }) => (status === 200 ? body : status),
    () => 'cut',
  );
}

async function expectBytes(setting: ServeSetting, path: string, bytes: Buffer): Promise<void> {
  const found = await download(setting, path);
  expect(Buffer.isBuffer(found) ? found.equals(bytes) : found, path).toBe(true);
}

/** No bytes, and the log says why. */
async function expectRefused(setting: ServeSetting, path: string, why: RegExp): Promise<void> {
  const before = setting.logs.length;
  expect([500, 'cut']).toContain(await download(setting, path));
  const isLogged = () =>
    setting.logs.slice(before).some((record) => record.event === 'request' && why.test(record.error ?? ''));
  await until(`it is logged: ${why}`, isLogged);
  expect(setting.logs.at(-1)!.level).toBe('error');
}

describe('the base', () => {
  test.each(['store', 'archives'] as const)(
    'of %s is missing, and is there again: 500, then right',
    async (kind) => {
      await withModels(async ({ base, storePath, archives, chat, archived }, folder) => {
        const options = kind === 'store' ? { store: storePath } : { archives, bases: [base] };
        const bytes = kind === 'store' ? chat[2]!.files : archived.get('chat')!.files;
        await rename(base, join(folder, 'moved'));
        await withServe(options, async (setting) => {
          await expectRefused(setting, weightsAt('main'), /base/);
          expect((await setting.ask('/api/models')).status).toBe(200);
          await rename(join(folder, 'moved'), base);
          await expectBytes(setting, weightsAt('main'), bytes.get(BASE_FILE)!);
        });
      });
    },
  );

  test.each(['store', 'archives'] as const)(
    'of %s is written over by another, and mended: never wrong bytes',
    async (kind) => {
      await withModels(async ({ base, storePath, archives, chat, archived }, folder) => {
        const options = kind === 'store' ? { store: storePath } : { archives, bases: [base] };
        const wanted = kind === 'store' ? chat[0]!.files : archived.get('chat')!.files;
        const path = weightsAt(kind === 'store' ? 'v1.0' : 'main');
        const file = join(base, BASE_FILE);
        const kept = join(folder, 'kept');
        await copyFile(file, kept);
        // Nothing is cached: what is asked for twice is rebuilt twice, but for the last tensors.
        const most = 512 * 700 * 4;
        await withServe({ ...options, maxCacheByteLength: most }, async (setting) => {
          await expectBytes(setting, path, wanted.get(BASE_FILE)!);
          const damaged = await readFile(kept);
          damaged.fill(0x3c, damaged.byteLength - 1_400_000);
          await writeFile(file, damaged);
          await expectRefused(setting, path, /digest|sha256|differ|damage|base/i);
          await copyFile(kept, file);
          await expectBytes(setting, path, wanted.get(BASE_FILE)!);
          // And by a rename, which leaves who has it open with the old one.
          await writeFile(`${file}.new`, damaged);
          await rename(`${file}.new`, file);
          const found = await download(setting, path);
          if (Buffer.isBuffer(found)) expect(found.equals(wanted.get(BASE_FILE)!)).toBe(true);
          await copyFile(kept, `${file}.new`);
          await rename(`${file}.new`, file);
          await until('it is right again', async () => {
            const again = await download(setting, path);
            if (Buffer.isBuffer(again)) expect(again.equals(wanted.get(BASE_FILE)!)).toBe(true);
            return Buffer.isBuffer(again);
          });
        });
      });
    },
  );
});

describe('a store', () => {
  test('a version that is committed while it is served is there after a second, and so are a model and a tag', async () => {
    await withModels(async ({ storePath, chat }, folder) => {
      await withServe({ store: storePath }, async (setting) => {
        await expectBytes(setting, weightsAt('main'), chat[2]!.files.get(BASE_FILE)!);
        const path = join(folder, 'new');
        await writeModel(path, servedModel(5));
        const store = await openStore(storePath);
        await store.commit(path, { ...QUICK, model: 'chat', message: 'new', lossless: true });
        await store.branch('other', 'chat');
        await store.tag('newest', 'chat');
        await store.close();
        await pause(1100);
        const bytes = await readFile(join(path, BASE_FILE));
        for (const address of [weightsAt('main'), weightsAt('newest'), weightsAt('main', 'other')])
          await expectBytes(setting, address, bytes);
        await expectBytes(setting, weightsAt(chat[2]!.commit!), chat[2]!.files.get(BASE_FILE)!);
      });
    });
  });

  test('gc that codes versions anew and removes objects is not noticed', async () => {
    await withModels(async ({ storePath, chat, models: all }) => {
      const models = new Map(all);
      await withServe({ store: storePath, maxCacheByteLength: 512 * 700 * 4 }, async (setting) => {
        const expectAll = async (): Promise<void> => {
          for (const { commit, files } of chat)
            await expectBytes(setting, weightsAt(commit!), files.get(BASE_FILE)!);
          for (const [name, { files }] of models) {
            for (const [path, bytes] of files)
              await expectBytes(setting, resolvePath(name, 'main', path), bytes);
          }
        };
        await expectAll();
        const store = await openStore(storePath);
        await store.remove('user/lossy');
        models.delete('user/lossy');
        const past = new Date(Date.now() - 10_000);
        for (const path of await listTree(storePath)) await utimes(join(storePath, path), past, past);
        // Most of a model is a tensor of the base: chains of the others cost little beside it.
        const report = await store.gc({ graceMs: 0, maxDecodeCost: 0.01, threads: 1 });
        await store.close();
        expect(report.reanchoredCount).toBeGreaterThan(0);
        expect(report.removedCount).toBeGreaterThan(0);
        const before = await setting.metric('ere_rebuilt_bytes_total');
        await expectAll();
        expect(await setting.metric('ere_rebuilt_bytes_total')).toBeGreaterThan(before);
      });
    });
  });

  test('a model that is removed is 404 after a second; one whose objects are gone is refused', async () => {
    await withModels(async ({ storePath, chat }) => {
      await withServe({ store: storePath, maxCacheByteLength: 512 * 700 * 4 }, async (setting) => {
        await expectBytes(setting, weightsAt('main'), chat[2]!.files.get(BASE_FILE)!);
        const store = await openStore(storePath);
        await store.remove('user/lossy');
        await store.close();
        await rm(join(storePath, 'objects'), { recursive: true });
        await mkdir(join(storePath, 'objects'));
        await expectRefused(setting, weightsAt('v1.0'), /./);
        await pause(1100);
        expect(await download(setting, weightsAt('main', 'user/lossy'))).toBe(404);
      });
    });
  });
});

describe('a folder of archives', () => {
  test('an archive that comes, changes and goes is served so within seconds', async () => {
    await withModels(async ({ base, archives }, folder) => {
      await withServe({ archives, bases: [base] }, async (setting) => {
        expect(await download(setting, weightsAt('main', 'new'))).toBe(404);
        const write = async (step: number): Promise<Buffer> => {
          const path = join(folder, `new ${step}`);
          await writeModel(path, servedModel(step));
          const options = { ...QUICK, base, lossless: true, overwrite: true };
          await encode(path, { ...options, output: join(archives, 'new.ere') });
          return readFile(join(path, BASE_FILE));
        };
        const arrives = async (bytes: Buffer) =>
          until('the new bytes', async () => {
            const found = await download(setting, weightsAt('main', 'new'));
            return Buffer.isBuffer(found) && found.equals(bytes);
          });
        await arrives(await write(6));
        const commit = (await setting.ask(weightsAt('main', 'new'), { method: 'HEAD' })).headers[
          'x-repo-commit'
        ];
        await arrives(await write(7));
        expect(await download(setting, weightsAt(`${commit}`, 'new'))).toBe(404);
        await rm(join(archives, 'new.ere'));
        await until('it is gone', async () => (await download(setting, weightsAt('main', 'new'))) === 404);
      });
    });
  });

  test('an archive that is replaced right after it was listed is never served under the commit of the other', async () => {
    await withModels(async ({ base, archives, archived }, folder) => {
      const path = join(archives, 'chat.ere');
      const kept = join(folder, 'kept.ere');
      await copyFile(path, kept);
      await withServe({ archives, bases: [base] }, async (setting) => {
        const commitOf = async () => (await setting.ask('/api/models/chat')).body.toString();
        const shaOf = (text: string) => JSON.parse(text).sha as string;
        const refs = JSON.parse((await setting.ask('/api/models/chat/refs')).body.toString());
        const before = refs.branches[0].targetCommit as string;
        const other = join(folder, 'other.ere');
        await encode(join(folder, 'tune2'), { ...QUICK, base, lossless: true, output: other });
        await rename(other, path);
        const { status, headers } = await setting.ask(weightsAt('main'), { method: 'HEAD' });
        expect(status).toBe(200);
        expect(headers['x-repo-commit']).not.toBe(before);
        expect(await download(setting, weightsAt(before))).toBe(404);
        await expectBytes(setting, weightsAt('main'), await readFile(join(folder, 'tune2', BASE_FILE)));
        // The first one again: what is kept under its commit is it.
        await rename(kept, path);
        await until('it is listed', async () => shaOf(await commitOf()) === before);
        await expectBytes(setting, weightsAt(before), archived.get('chat')!.files.get(BASE_FILE)!);
        await rm(path);
        const sharded = join(archives, 'user', 'sharded.ere');
        await setting.ask('/api/models');
        await rm(sharded);
        expect(await download(setting, weightsAt('main', 'user/sharded'))).toBe(404);
      });
    });
  });

  test('what is no whole archive is warned of once, and the others are served', async () => {
    await withModels(async ({ base, archives, archived }) => {
      await copyFile(join(archives, 'chat.ere'), join(archives, 'cut.ere'));
      await truncate(join(archives, 'cut.ere'), 900);
      await writeFile(join(archives, 'empty.ere'), '');
      await mkdir(join(archives, 'folder.ere'));
      await writeFile(join(archives, 'notes.txt'), 'x');
      await withServe({ archives, bases: [base] }, async (setting) => {
        const { serving, logs, ask } = setting;
        expect(serving.modelCount).toBe(2);
        await expectBytes(setting, weightsAt('main'), archived.get('chat')!.files.get(BASE_FILE)!);
        await pause(2100);
        await ask('/api/models');
        expect(await download(setting, weightsAt('main', 'cut'))).toBe(404);
        const warnings = logs.flatMap((record) => (record.event === 'warning' ? [record.message] : []));
        expect(warnings).toHaveLength(2);
        for (const message of warnings) expect(message).toMatch(/^not served: .*(?:cut|empty)\.ere/);
      });
    });
  });

  test('an archive that is cut while it is open is refused, the others are served', async () => {
    await withModels(async ({ base, archives, archived }) => {
      await withServe({ archives, bases: [base], maxCacheByteLength: 512 * 700 * 4 }, async (setting) => {
        const sharded = [...archived.get('user/sharded')!.files];
        for (const [path, bytes] of sharded)
          await expectBytes(setting, resolvePath('user/sharded', 'main', path), bytes);
        await truncate(join(archives, 'chat.ere'), 3000);
        await expectRefused(setting, weightsAt('main'), /chat\.ere/);
        for (const [path, bytes] of sharded)
          await expectBytes(setting, resolvePath('user/sharded', 'main', path), bytes);
      });
    });
  });
});

/** get: versions as streams, and stores that are no folders. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { UnsupportedError } from '../../formats/errors.js';
import type { StoreBackend } from '../../src/store/backend.js';
import { openFolderBackend } from '../../src/store/backends/file-system.js';
import { createMemoryBackend } from '../../src/store/backends/memory.js';
import { initStore, openStore } from '../../src/store/open-store.js';
import { readTensors } from '../helpers/models.js';
import { fixtureOf, runModel, withStore } from '../helpers/stores.js';
import { listTree, withTempFolder } from '../helpers/temp-folder.js';

async function joined(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(Uint8Array.from(piece));
  return Buffer.concat(all);
}

/** Refuses every change. */
function readOnly(backend: StoreBackend): StoreBackend {
  const refuse = async (): Promise<never> => {
    throw new UnsupportedError('writing', `${backend.location} is read-only`);
  };
  return {
    location: backend.location,
    isReadOnly: true,
    read: backend.read.bind(backend),
    open: backend.open.bind(backend),
    stat: backend.stat.bind(backend),
    list: backend.list.bind(backend),
    write: refuse,
    compareAndSwap: refuse,
    remove: refuse,
    removeLeftovers: refuse,
    close: backend.close.bind(backend),
  };
}

describe('get', () => {
  test('files and tensors are streams of what was committed', async () => {
    await withStore(async ({ commit, store }) => {
      const { tensors, sideFiles } = runModel(2);
      const names = tensors.map(({ name }) => name);
      await commit(1);
      const { path, version } = await commit({
        tensors,
        sideFiles: sideFiles!,
        shards: [names.slice(0, 2), names.slice(2)],
      });
      const stored = await store.get('main');
      try {
        expect(stored.version.id).toBe(version.id);
        expect(stored.files.map((file) => file.path).sort()).toEqual(await listTree(path));
        for (const file of stored.files) {
          const bytes = await joined(stored.file(file.path));
          expect(bytes.equals(await readFile(join(path, file.path))), file.path).toBe(true);
          expect(bytes.byteLength).toBe(file.byteLength);
        }
        const expected = await readTensors(path);
        const found = new Map<string, Uint8Array>();
        for await (const { name, bytes } of stored.tensors()) found.set(name, bytes);
        expect(found).toEqual(expected);
        const some: string[] = [];
        for await (const { name } of stored.tensors(['norm', 'head'])) some.push(name);
        expect(some.sort()).toEqual(['head', 'norm']);
        await expect(joined(stored.file('nothing'))).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
        await expect(stored.tensors(['nothing']).next()).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
      } finally {
        await stored.close();
      }
    });
  });

  test('an aborted stream ends', async () => {
    await withStore(async ({ commit, store }) => {
      await commit(1);
      const controller = new AbortController();
      const stored = await store.get('main', { signal: controller.signal });
      const tensors = stored.tensors();
      await tensors.next();
      controller.abort();
      await expect(tensors.next()).rejects.toMatchObject({ code: 'ERE_ABORTED' });
      await stored.close();
    });
  });
});

describe('a store that is no folder', () => {
  test('in memory: everything, through local copies of what is needed', async () => {
    await withTempFolder(async (folder) => {
      const backend = createMemoryBackend();
      const store = await initStore(backend);
      await expect(initStore(backend)).rejects.toMatchObject({ code: 'ERE_CONFLICT' });
      const fixture = fixtureOf(await openStore(backend), folder, '');
      await store.addBase('tiny', await fixture.write('base', runModel(0)));
      const first = await fixture.commit(1);
      const second = await fixture.commit(2, { against: first.id });
      await fixture.expectCheckout('main', second.path);
      await fixture.expectCheckout('main~1', first.path);
      const archive = join(folder, 'a.ere');
      expect((await store.export('main~1', { output: archive })).isDirect).toBe(true);
      expect((await store.diff('main~1', 'main')).changed.length).toBeGreaterThan(0);
      expect((await store.gc({ graceMs: 0, maxDecodeCost: 1, threads: 1 })).reanchoredCount).toBeGreaterThan(
        0,
      );
      await fixture.expectCheckout('main', second.path);
      expect((await store.fsck({ full: true, threads: 1 })).problems).toEqual([]);
    });
  });

  test('read-only: versions are read, and changes refused', async () => {
    await withStore(async ({ commit, storePath, folder }) => {
      const { path } = await commit(1);
      for (let i = 0; i < 16; i++) await commit(1, { message: `${i}` });
      const store = await openStore(readOnly(await openFolderBackend(storePath)));
      const fixture = fixtureOf(store, folder, storePath);
      expect(await store.log()).toHaveLength(17);
      await fixture.expectCheckout('main', path);
      expect((await store.stats()).versionCount).toBe(17);
      expect((await store.fsck({ full: true, threads: 1 })).isSound).toBe(true);
      const refused = { code: 'ERE_UNSUPPORTED' };
      await expect(fixture.commit(2)).rejects.toMatchObject(refused);
      await expect(store.tag('v1', 'main')).rejects.toMatchObject(refused);
      await expect(store.remove('main')).rejects.toMatchObject(refused);
      await expect(store.gc()).rejects.toMatchObject(refused);
      await expect(store.fsck({ repair: true })).rejects.toMatchObject(refused);
    });
  });
});

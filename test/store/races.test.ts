/** What one process does between two steps of another: nothing acknowledged is lost, and errors say what happened. */
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Store } from '../../src/store/api.js';
import type { StoreBackend } from '../../src/store/backend.js';
import { openFolderBackend } from '../../src/store/backends/file-system.js';
import { createMemoryBackend } from '../../src/store/backends/memory.js';
import { withSharedLock } from '../../src/store/locks.js';
import { initStore, openStore } from '../../src/store/open-store.js';
import { COMMIT, FAST, type StoreModels, writeStoreModels } from '../helpers/store-models.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { watchedBackend } from '../helpers/watched-backend.js';

const GC = { ...FAST, graceMs: 0, maxDecodeCost: 1000 } as const;
const GC_ANEW = { ...GC, maxDecodeCost: 0.01 } as const;

interface Prepared {
  readonly folder: string;
  readonly models: StoreModels;
  readonly backend: StoreBackend;
  readonly store: Store;
  commit(tune: number, options?: object): Promise<string>;
}

/** Runs `use` with a store of one base, in memory or a folder. */
async function withStore(
  use: (prepared: Prepared) => Promise<void>,
  place: 'memory' | 'folder' = 'memory',
): Promise<void> {
  await withTempFolder(async (folder) => {
    const models = await writeStoreModels(folder, 5);
    const backend =
      place === 'memory'
        ? createMemoryBackend()
        : await openFolderBackend(join(folder, 'store'), { create: true });
    const store = await initStore(backend);
    await store.addBase('b', models.base);
    const commit = async (tune: number, options: object = {}): Promise<string> =>
      (await store.commit(models.tunes[tune]!, { ...COMMIT, ...options })).version.id;
    await use({ folder, models, backend, store, commit });
  });
}

/** A store on the same values, in which `meanwhile` runs once before the first call that `isMoment` picks. */
async function interrupted(
  backend: StoreBackend,
  isMoment: (call: string, key: string) => boolean,
  meanwhile: () => Promise<unknown>,
): Promise<{ readonly store: Store; wasRun(): boolean }> {
  let wasRun = false;
  const before = async (call: string, key: string): Promise<void> => {
    if (wasRun || !isMoment(call, key)) return;
    wasRun = true;
    await meanwhile();
  };
  return { store: await openStore(watchedBackend(backend, { before })), wasRun: () => wasRun };
}

const isObjectRead = (call: string, key: string): boolean => call === 'read' && key.startsWith('objects/');
const isSharedLock = (call: string, key: string): boolean =>
  call === 'write' && key.startsWith('locks/shared/');

async function expectSound(store: Store): Promise<void> {
  expect((await store.fsck({ ...FAST, full: true })).problems).toEqual([]);
}

describe('gc that codes a version anew, and removes what it was decoded from, while it is', () => {
  test.each(['memory', 'folder'] as const)('checked out (%s): the checkout succeeds', async (place) => {
    await withStore(async ({ folder, backend, store, commit }) => {
      for (const tune of [0, 1, 2]) await commit(tune, tune === 0 ? {} : { against: 'main' });
      const reading = await interrupted(backend, isObjectRead, () => store.gc(GC_ANEW));
      await reading.store.checkout('main', { ...FAST, output: join(folder, 'out') });
      expect(reading.wasRun()).toBe(true);
      expect(await store.gc(GC_ANEW)).toMatchObject({ reanchoredCount: 0, removedCount: 0 });
    }, place);
  });

  test('exported', async () => {
    await withStore(async ({ folder, backend, store, commit }) => {
      for (const tune of [0, 1, 2]) await commit(tune, tune === 0 ? {} : { against: 'main' });
      const reading = await interrupted(backend, isObjectRead, () => store.gc(GC_ANEW));
      await reading.store.export('main', { ...FAST, output: join(folder, 'out.ere') });
      expect(reading.wasRun()).toBe(true);
    });
  });

  test('read as a stream of tensors', async () => {
    await withStore(async ({ store, commit }) => {
      for (const tune of [0, 1, 2]) await commit(tune, tune === 0 ? {} : { against: 'main' });
      const open = await store.get('main');
      const tensors = open.tensors();
      const read = [(await tensors.next()).value!.name];
      await store.gc(GC_ANEW);
      for await (const { name } of tensors) read.push(name);
      await open.close();
      expect(read).toEqual(['w1', 'w2', 'w3']);
    }, 'folder');
  });

  test('coded against: the commit succeeds', async () => {
    await withStore(async ({ backend, models, store, commit }) => {
      for (const tune of [0, 1, 2]) await commit(tune, tune === 0 ? {} : { against: 'main' });
      const writing = await interrupted(backend, isObjectRead, () => store.gc(GC_ANEW));
      await writing.store.commit(models.tunes[3]!, { ...COMMIT, against: 'main' });
      expect(writing.wasRun()).toBe(true);
      await expectSound(store);
    });
  });
});

describe('while a version is encoded', () => {
  test('its reference is removed: an error that says so, and the next try succeeds', async () => {
    await withStore(async ({ backend, models, store, commit }) => {
      await commit(0);
      const other = await commit(1, { model: 'other' });
      const writing = await interrupted(backend, isSharedLock, async () => {
        await store.remove('model:other');
        await store.gc(GC);
      });
      const options = { ...COMMIT, against: other } as const;
      await expect(writing.store.commit(models.tunes[2]!, options)).rejects.toMatchObject({
        code: 'ERE_NOT_FOUND',
        message: expect.stringMatching(/was removed while another was coded against it; commit again$/),
      });
      await writing.store.commit(models.tunes[2]!, COMMIT);
      await expectSound(store);
    });
  });

  test('its parent is removed with all traces: an error that says so', async () => {
    await withStore(async ({ backend, models, store, commit }) => {
      const parent = await commit(0);
      const writing = await interrupted(backend, isSharedLock, async () => {
        await store.remove('main');
        await store.gc(GC);
      });
      const options = { ...COMMIT, against: 'base', parent, model: 'new' } as const;
      await expect(writing.store.commit(models.tunes[2]!, options)).rejects.toMatchObject({
        code: 'ERE_NOT_FOUND',
        message: expect.stringMatching(/was removed while another was made to follow it; commit again$/),
      });
      await expectSound(store);
    });
  });

  test('its base is removed: an error that says so', async () => {
    await withStore(async ({ backend, models, store }) => {
      const writing = await interrupted(backend, isSharedLock, async () => {
        await store.remove('base:b');
        await store.gc(GC);
      });
      await expect(writing.store.commit(models.tunes[0]!, COMMIT)).rejects.toMatchObject({
        code: 'ERE_NOT_FOUND',
      });
      await expectSound(store);
    });
  });

  test('another writer commits to the model: a conflict, and what was written is garbage', async () => {
    await withStore(async ({ backend, models, store, commit }) => {
      await commit(0);
      const writing = await interrupted(backend, isSharedLock, () => commit(1));
      await expect(writing.store.commit(models.tunes[2]!, COMMIT)).rejects.toMatchObject({
        code: 'ERE_CONFLICT',
        message: expect.stringMatching(/model main has changed meanwhile.*commit again$/),
      });
      expect(await store.log()).toHaveLength(2);
      expect((await store.gc(GC)).removedCount).toBeGreaterThan(0);
      expect(await store.log()).toHaveLength(2);
      await expectSound(store);
    });
  });
});

describe('tensors that several bases and versions share', () => {
  test('bases that are made of one another do not make versions that lead back to themselves', async () => {
    await withStore(async ({ models, store, commit }) => {
      // What is a version of the first base becomes a base, and the first base a version of it.
      await commit(1, { base: 'b' });
      await store.addBase('c', models.tunes[1]!);
      await commit(1, { base: 'b', model: 'again' });
      const back = await store.commit(models.base, { ...COMMIT, base: 'c', model: 'back' });
      expect(back.version.base?.name).toBe('c');
      await store.gc(GC_ANEW);
      await expectSound(store);
    });
  });

  test('a base that a tensor of another base’s version is made from is not removed', async () => {
    await withStore(async ({ models, store, commit }) => {
      const first = await commit(1, { base: 'b' });
      await store.addBase('c', models.tunes[3]!);
      await commit(1, { base: 'c', model: 'other' });
      await store.remove('main');
      await store.remove(first);
      await store.gc(GC);
      await expect(store.remove('base:b')).rejects.toMatchObject({ code: 'ERE_CONFLICT' });
      await expectSound(store);
    });
  });

  test('recipes whose base is gone are not taken over', async () => {
    await withStore(async ({ models, store, commit }) => {
      const first = await commit(1, { base: 'b' });
      await store.addBase('c', models.tunes[3]!);
      await store.remove(first);
      await store.remove('base:b');
      await commit(1, { base: 'c', model: 'other' });
      await expectSound(store);
    });
  });
});

test('a model whose versions were all removed takes commits', async () => {
  await withStore(async ({ store, commit }) => {
    for (const tune of [0, 1]) await commit(tune);
    for (const { id } of await store.log()) {
      await store.remove(id);
      await store.gc(GC);
      await expectSound(store);
    }
    const again = await commit(2);
    expect((await store.log()).map(({ id }) => id)).toEqual([again]);
    await expectSound(store);
  });
});

describe('a lock', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  test('whose holder stood still for a minute is held no more, and the holder knows', async () => {
    const backend = createMemoryBackend();
    await withSharedLock(backend, {}, async (lock) => {
      lock.assertHeld();
      const later = Date.now() + 50_000;
      vi.useFakeTimers({ toFake: ['Date'], now: later });
      expect(() => lock.assertHeld()).toThrow(/was stopped, or could not write/);
    });
  });

  test('that cannot be removed does not undo what was done under it', async () => {
    const inner = createMemoryBackend();
    const backend = watchedBackend(inner, {
      before(call) {
        if (call === 'free') throw new Error('no');
      },
    });
    expect(await withSharedLock(backend, {}, async () => 'done')).toBe('done');
  });

  test('is not left behind where looking for others fails', async () => {
    const inner = createMemoryBackend();
    const backend = watchedBackend(inner, {
      before(call) {
        if (call === 'read') throw new Error('no');
      },
    });
    await expect(withSharedLock(backend, {}, async () => {})).rejects.toThrow('no');
    for await (const { key } of inner.list('locks')) expect.fail(key);
  });
});

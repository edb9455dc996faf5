/** log, show, refs, tag, branch, rm: names and the order of versions. */
import { describe, expect, test } from 'vitest';
import { initStore, openStore } from '../../src/store/open-store.js';
import { storeFiles, withStore } from '../helpers/stores.js';

describe('refs', () => {
  test('what names a version: model, tag, digits of its id, base, and steps back', async () => {
    await withStore(async ({ commit, store }) => {
      const first = await commit(1);
      const second = await commit(2);
      await store.tag('v1', first.id);
      const idOf = async (ref: string) => (await store.show(ref)).version.id;
      const digits = second.id.slice(7);
      for (const ref of ['main', 'model:main', second.id, digits, digits.slice(0, 6), 'main~0']) {
        expect(await idOf(ref)).toBe(second.id);
      }
      for (const ref of ['v1', 'tag:v1', 'main~1', 'main~', `${digits}~1`]) {
        expect(await idOf(ref)).toBe(first.id);
      }
      expect((await store.show('base:tiny')).version.kind).toBe('base');
      const wrong = ['main~2', 'model:v1', 'nothing', digits.slice(0, 5), 'ffffff', '', '~', 'main~x', 'x:y'];
      for (const ref of wrong) {
        await expect(store.show(ref)).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
      }
    });
  });

  test('a tag moves only when forced, and a model never', async () => {
    await withStore(async ({ commit, store }) => {
      const first = await commit(1);
      await commit(2);
      await store.tag('v1', 'main~1');
      await store.tag('v1', first.id);
      await expect(store.tag('v1', 'main')).rejects.toMatchObject({ code: 'ERE_CONFLICT' });
      await store.tag('v1', 'main', { force: true });
      expect((await store.show('v1')).version.message).toBe('step 2');
      await store.branch('side', 'main~1');
      await expect(store.branch('side', 'main')).rejects.toMatchObject({ code: 'ERE_CONFLICT' });
      await expect(store.branch('of-base', 'base:tiny')).rejects.toThrow(/begins with a version/);
      await expect(store.tag('no spaces', 'main')).rejects.toThrow(RangeError);
      await expect(store.tag('v2', 'nothing')).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
    });
  });

  test('a name is removed and its versions stay where others lead to them', async () => {
    await withStore(async ({ commit, store, expectCheckout }) => {
      const { path } = await commit(1);
      await store.tag('v1', 'main');
      expect(await store.remove('main')).toEqual({ removed: 'model main' });
      await expectCheckout('v1', path);
      expect(await store.log()).toHaveLength(1);
      await store.remove('tag:v1');
      expect(await store.log()).toEqual([]);
      await expect(store.remove('v1')).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
    });
  });

  test('a base that versions are made from stays, also after its name', async () => {
    await withStore(async ({ commit, store }) => {
      await commit(1);
      await expect(store.remove('base:tiny')).rejects.toMatchObject({ code: 'ERE_CONFLICT' });
      const [base] = await store.bases();
      await expect(store.remove(base!.id)).rejects.toMatchObject({ code: 'ERE_CONFLICT' });
    });
    await withStore(async ({ store }) => {
      expect(await store.remove('base:tiny')).toEqual({ removed: 'base tiny' });
      expect(await store.bases()).toEqual([]);
    });
  });

  test('a removed version is passed over, its children stay', async () => {
    await withStore(async ({ commit, store, expectCheckout }) => {
      const first = await commit(1);
      const second = await commit(2, { against: 'main' });
      const third = await commit(3, { against: 'main' });
      expect(await store.remove('main~1')).toEqual({ removed: `version ${second.id.slice(7, 19)}` });
      expect((await store.log()).map(({ id, parents }) => ({ id, parents }))).toEqual([
        { id: third.id, parents: [first.id] },
        { id: first.id, parents: [] },
      ]);
      expect((await store.show('main~1')).version.id).toBe(first.id);
      await expect(store.show(second.id)).rejects.toThrow(/was removed/);
      await expectCheckout('main', third.path);
      expect((await store.fsck()).problems).toEqual([]);
    });
  });

  test('a model whose newest version was removed goes on from the one before', async () => {
    await withStore(async ({ commit, store }) => {
      const first = await commit(1);
      const second = await commit(2);
      await store.remove(second.id);
      expect((await store.show('main')).version.id).toBe(first.id);
      const third = await commit(3);
      expect((await store.log()).map(({ id }) => id)).toEqual([third.id, first.id]);
      expect((await store.fsck()).problems).toEqual([]);
    });
  });

  test('a model of which every version was removed begins anew', async () => {
    await withStore(async ({ commit, store, expectCheckout }) => {
      const first = await commit(1);
      await store.remove(first.id);
      const { path, version } = await commit(2);
      expect(version.parents).toEqual([]);
      await expectCheckout('main', path);
    });
  });
});

describe('log', () => {
  test('children stand before their parents, and of several lines the newest first', async () => {
    await withStore(async ({ commit, store }) => {
      await commit(1);
      await commit(2, { model: 'side', parent: 'main' });
      await commit(3);
      await commit(4, { model: 'side' });
      await commit(5, { model: 'alone', parent: null });
      await store.tag('v1', 'main');
      const messages = (entries: Awaited<ReturnType<typeof store.log>>) =>
        entries.map(({ message }) => message);
      expect(messages(await store.log())).toEqual(['step 5', 'step 4', 'step 3', 'step 2', 'step 1']);
      expect(messages(await store.log({ ref: 'side' }))).toEqual(['step 4', 'step 2', 'step 1']);
      expect(messages(await store.log({ ref: 'side~1' }))).toEqual(['step 2', 'step 1']);
      expect(messages(await store.log({ limit: 2 }))).toEqual(['step 5', 'step 4']);
      const names = (await store.log()).map(({ names }) => names);
      expect(names).toEqual([['alone'], ['side'], ['main', 'v1'], [], []]);
    });
  });

  test('versions of a second are in the order of their parents', async () => {
    await withStore(async ({ commit, store }) => {
      const ids = [];
      for (let i = 0; i < 8; i++) ids.unshift((await commit(1, { message: `${i}` })).id);
      expect((await store.log()).map(({ id }) => id)).toEqual(ids);
    });
  });

  test('an empty store has no versions', async () => {
    await withStore(async ({ store }) => {
      expect(await store.log()).toEqual([]);
      await expect(store.log({ ref: 'main' })).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
    });
  });
});

test('show says of each tensor how it is stored', async () => {
  await withStore(async ({ commit, store }) => {
    const { id } = await commit(1);
    await commit(2, { against: id });
    const { tensors, version, encoding } = await store.show('main');
    const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
    expect(byName.get('frozen')).toMatchObject({ isBase: true, depth: 0, byteLength: 0, codecs: [] });
    expect(byName.get('head')).toMatchObject({ isBase: false, depth: 1 });
    expect(byName.get('layers.0.weight')).toMatchObject({ isBase: false, depth: 2, dtype: 'BF16' });
    expect(byName.get('layers.0.weight')!.byteLength).toBeGreaterThan(0);
    expect(version.names).toEqual(['main']);
    expect(encoding.lossless).toBe(true);
  });
});

test('stats: bytes of everything that is kept, against the weights of all versions', async () => {
  await withStore(async ({ commit, store, storePath }) => {
    expect(await store.stats()).toMatchObject({ versionCount: 0, baseCount: 1, ratio: 0 });
    const first = await commit(1);
    const second = await commit(2);
    await store.tag('v1', 'main');
    const stats = await store.stats();
    expect(stats).toMatchObject({ versionCount: 2, modelCount: 1, tagCount: 1, tensorCount: 10 });
    const represented = first.version.fineTunedByteLength + second.version.fineTunedByteLength;
    expect(stats.representedByteLength).toBe(represented);
    expect(stats.ratio).toBe(stats.storedByteLength / represented);
    const bytes = [...(await storeFiles(storePath))].map(([path, hex]) =>
      path === 'format' ? 0 : hex.length / 2,
    );
    expect(stats.storedByteLength).toBe(bytes.reduce((sum, length) => sum + length, 0));
  });
});

test('a store is made once, and opened where there is one', async () => {
  await withStore(async ({ storePath, folder }) => {
    await expect(initStore(storePath)).rejects.toMatchObject({ code: 'ERE_CONFLICT' });
    await (await openStore(storePath)).close();
    await expect(openStore(folder)).rejects.toThrow(/no store; make one with init/);
    await expect(openStore(`${folder}/nothing`)).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
  });
});

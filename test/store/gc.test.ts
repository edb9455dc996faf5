/** gc: what nothing leads to goes, what anything needs stays, and what took long to decode takes less. */
import { rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { GcOptions } from '../../src/store/api.js';
import { runModel, type StoreFixture, storeFiles, withStore } from '../helpers/stores.js';
import { listTree } from '../helpers/temp-folder.js';

const NOW: GcOptions = { graceMs: 0, threads: 1 };

/** Everything was written long ago. */
async function age({ storePath }: StoreFixture): Promise<void> {
  const past = new Date(Date.now() - 10_000);
  for (const path of await listTree(storePath)) await utimes(join(storePath, path), past, past);
}

describe('gc', () => {
  test('removes nothing of what is referred to, and all of what is not', async () => {
    await withStore(async (fixture) => {
      const { commit, store, storePath, expectCheckout } = fixture;
      const kept = await commit(1);
      const before = await storeFiles(storePath);
      await commit(2, { model: 'gone', against: kept.id });
      await store.remove('model:gone');
      await age(fixture);
      const report = await store.gc(NOW);
      expect(report.removedCount).toBeGreaterThan(3);
      expect(report.removedByteLength).toBeGreaterThan(0);
      expect(report).toMatchObject({ youngCount: 0, reanchoredCount: 0 });
      expect(await storeFiles(storePath)).toEqual(before);
      expect((await store.gc(NOW)).removedCount).toBe(0);
      await expectCheckout('main', kept.path);
      expect((await store.fsck({ full: true, threads: 1 })).problems).toEqual([]);
    });
  });

  test('keeps of a removed version what its children need', async () => {
    await withStore(async (fixture) => {
      const { commit, store, storePath, expectCheckout } = fixture;
      const first = await commit(1);
      const second = await commit(2, { against: first.id });
      const third = await commit(3, { against: second.id, maxDecodeCost: 10 });
      await store.remove(first.id);
      await store.remove(second.id);
      await age(fixture);
      const stored = (await store.stats()).storedTensorCount;
      const report = await store.gc({ ...NOW, maxDecodeCost: 10 });
      // Manifests, side files and sketches of the two; the chain of each tensor stays.
      expect(report.removedCount).toBeGreaterThan(0);
      expect((await store.stats()).storedTensorCount).toBe(stored);
      await expectCheckout('main', third.path);
      const paths = [...(await storeFiles(storePath)).keys()];
      expect(paths.filter((path) => path.startsWith('versions/'))).toHaveLength(2);
      expect((await store.log()).map(({ id }) => id)).toEqual([third.id]);
      expect((await store.fsck({ full: true, threads: 1 })).problems).toEqual([]);
    });
  });

  test('codes anew against the base what takes too long to decode: the same digests in fewer steps', async () => {
    await withStore(async (fixture) => {
      const { commit, store, expectCheckout } = fixture;
      const committed = [await commit(1)];
      for (const step of [2, 3, 4])
        committed.push(await commit(step, { against: 'main', maxDecodeCost: 100 }));
      const depths = async (ref: string) =>
        Math.max(...(await store.show(ref)).tensors.map(({ depth }) => depth));
      expect(await depths('main')).toBe(4);
      const dry = await store.gc({ ...NOW, maxDecodeCost: 1, dryRun: true });
      expect(dry.reanchoredCount).toBeGreaterThan(0);
      expect(await depths('main')).toBe(4);
      await age(fixture);
      const report = await store.gc({ ...NOW, maxDecodeCost: 1 });
      expect(report.reanchoredCount).toBeGreaterThan(0);
      expect(await depths('main')).toBe(1);
      for (const { id, path, version } of committed) {
        expect((await store.show(id)).version.digest).toBe(version.digest);
        await expectCheckout(id, path);
      }
      expect((await store.gc({ ...NOW, maxDecodeCost: 1 })).reanchoredCount).toBe(0);
      expect((await store.fsck({ full: true, threads: 1 })).problems).toEqual([]);
    });
  });

  test('a dry run changes nothing, and says what a run does', async () => {
    await withStore(async (fixture) => {
      const { commit, store, storePath } = fixture;
      await commit(1);
      await commit(2);
      await store.remove('main');
      await age(fixture);
      const before = await storeFiles(storePath);
      const dry = await store.gc({ ...NOW, dryRun: true });
      expect(await storeFiles(storePath)).toEqual(before);
      expect(await store.gc(NOW)).toEqual(dry);
      expect(dry.removedCount).toBeGreaterThan(0);
      expect((await store.stats()).versionCount).toBe(0);
    });
  });

  test('what is young stays, with all that it needs', async () => {
    await withStore(async (fixture) => {
      const { commit, store, expectCheckout } = fixture;
      await commit(1);
      const { id, path } = await commit(2, { against: 'main' });
      await store.remove('main');
      const report = await store.gc({ threads: 1 });
      expect(report).toMatchObject({ removedCount: 0 });
      await expectCheckout(id, path);
    });
  });

  test('tags keep versions', async () => {
    await withStore(async (fixture) => {
      const { commit, store, expectCheckout } = fixture;
      const first = await commit(1);
      await store.tag('v1', 'main');
      await commit(2);
      await store.remove('main');
      await age(fixture);
      await store.gc(NOW);
      expect((await store.log()).map(({ id }) => id)).toEqual([first.id]);
      await expectCheckout('v1', first.path);
    });
  });

  test('removes nothing where a manifest was lost that leads to others', async () => {
    await withStore(async (fixture) => {
      const { commit, store, storePath, expectCheckout } = fixture;
      const first = await commit(1);
      const second = await commit(2, { against: 'base' });
      await age(fixture);
      await rm(join(storePath, 'versions', second.id.slice(7)));
      const before = await storeFiles(storePath);
      await expect(store.gc(NOW)).rejects.toThrow(/mend the store with fsck/);
      expect(await storeFiles(storePath)).toEqual(before);
      expect((await store.fsck({ repair: true })).isSound).toBe(true);
      await age(fixture);
      await store.gc(NOW);
      await expectCheckout('main', first.path);
      const { path } = await commit(3);
      await expectCheckout('main', path);
    });
  });

  test('what a version shares with a base that it is not made from stays when that goes', async () => {
    await withStore(async (fixture) => {
      const { store, write, commit, expectCheckout, folder } = fixture;
      const other = runModel(30, { stepSize: 2 });
      const { tensors } = runModel(1);
      const head = tensors.find(({ name }) => name === 'head')!;
      const base = { tensors: [...other.tensors.filter(({ name }) => name !== 'head'), head] };
      await store.addBase('other', await write('other', base), { threads: 1 });
      const { path, version } = await commit(1);
      expect(version.base?.name).toBe('tiny');
      // "head" is not in tiny, and in other.
      await store.remove('base:other').then(
        () => rm(join(folder, 'other'), { recursive: true }),
        (error: unknown) => expect(error).toMatchObject({ code: 'ERE_CONFLICT' }),
      );
      await age(fixture);
      await store.gc(NOW);
      await expectCheckout('main', path);
    });
  });
});

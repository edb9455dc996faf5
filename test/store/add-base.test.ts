/** base add: a base is known by its digests; where it lies is only remembered. */
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runModel, storeFiles, withEmptyStore, withStore } from '../helpers/stores.js';

describe('base add', () => {
  test('the same again remembers another place and is no other base', async () => {
    await withStore(async ({ store, write, folder }) => {
      const copy = await write('copy', runModel(0));
      const [first] = await store.bases();
      const again = await store.addBase('tiny', copy);
      expect(again.id).toBe(first!.id);
      expect(again.locations).toEqual([copy, join(folder, 'base')]);
      const back = await store.addBase('tiny', join(folder, 'base'));
      expect(back.locations).toEqual([join(folder, 'base'), copy]);
      expect(await store.bases()).toHaveLength(1);
    });
  });

  test('another base of the same name is refused', async () => {
    await withStore(async ({ store, write, storePath }) => {
      const before = await storeFiles(storePath);
      const path = await write('other', runModel(1));
      await expect(store.addBase('tiny', path)).rejects.toMatchObject({ code: 'ERE_CONFLICT' });
      await expect(store.addBase('tiny', path)).rejects.toThrow(/base "tiny" is another one/);
      expect(await storeFiles(storePath)).toEqual(before);
    });
  });

  test('one base may have several names', async () => {
    await withStore(async ({ store, folder, commit, expectCheckout }) => {
      await store.addBase('again', join(folder, 'base'));
      expect((await store.bases()).map(({ name }) => name)).toEqual(['again', 'tiny']);
      const { path } = await commit(1, { base: 'again' });
      await expectCheckout('main', path);
    });
  });

  test('says what the base is, without storing its tensors', async () => {
    await withStore(async ({ store }) => {
      const [base] = await store.bases();
      expect(base).toMatchObject({ name: 'tiny', tensorCount: 4, isKept: false });
      expect(base!.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
      expect((await store.stats()).storedTensorCount).toBe(0);
    });
  });

  test('a base that moved is asked for by name, and found at the path given or registered', async () => {
    await withStore(async ({ store, folder, commit, expectCheckout }) => {
      const { path } = await commit(1);
      const moved = join(folder, 'moved');
      await rename(join(folder, 'base'), moved);
      const output = join(folder, 'out');
      await expect(store.checkout('main', { output })).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
      await expect(store.checkout('main', { output })).rejects.toThrow(/base "tiny".*is not at hand/s);
      await expect(commit(2)).rejects.toThrow(/base "tiny"/);
      await store.checkout('main', { output, basePath: moved, threads: 1 });
      await store.addBase('tiny', moved);
      await expectCheckout('main', path);
    });
  });

  test('another model where the base was is noticed before anything is written', async () => {
    await withStore(async ({ store, write, folder, commit }) => {
      await commit(1);
      await rename(join(folder, 'base'), join(folder, 'moved'));
      const other = runModel(0);
      await write('base', { ...other, tensors: other.tensors.slice(1) });
      const output = join(folder, 'out.safetensors');
      await expect(store.checkout('main', { output })).rejects.toThrow(/holds another model: tensor/);
      // The same names and shapes, and other values: told by digest, while decoding.
      await write('base', runModel(5));
      await expect(store.checkout('main', { output, threads: 1 })).rejects.toMatchObject({
        code: expect.stringMatching(/^ERE_(CHECKPOINT_MISMATCH|INTEGRITY)$/),
      });
    });
  });

  test('a base that is not there, and names that no base has', async () => {
    await withEmptyStore(async ({ store, folder, write }) => {
      await expect(store.addBase('x', join(folder, 'nothing'))).rejects.toMatchObject({
        code: 'ERE_NOT_FOUND',
      });
      const path = await write('base', runModel(0));
      for (const name of ['', '..', 'a b', '-x']) {
        await expect(store.addBase(name, path)).rejects.toThrow(RangeError);
      }
      expect(await store.bases()).toEqual([]);
    });
  });

  test('what two bases share is read from the one that a version was made from', async () => {
    await withStore(async ({ store, write, commit, expectCheckout, folder }) => {
      const { tensors } = runModel(0);
      const shared = { tensors: [...runModel(30, { stepSize: 2 }).tensors.slice(0, 2), ...tensors.slice(2)] };
      await store.addBase('another', await write('another', shared), { threads: 1 });
      const { path, version } = await commit(1);
      expect(version.base?.name).toBe('tiny');
      await rename(join(folder, 'another'), join(folder, 'gone'));
      await expectCheckout('main', path);
    });
  });
});

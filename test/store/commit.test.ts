/** commit: what a version is coded against and how, what it says, and what the store keeps of it. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runModel, storeFiles, withEmptyStore, withStore } from '../helpers/stores.js';

describe('commit', () => {
  test('is lossless unless told otherwise, and a version comes back byte for byte', async () => {
    await withStore(async ({ commit, expectCheckout, store }) => {
      const { path, version, warnings } = await commit(1);
      expect(version).toMatchObject({
        kind: 'version',
        model: 'main',
        message: 'step 1',
        parents: [],
        relativeError: 0,
        tensorCount: 5,
      });
      expect(version.base?.name).toBe('tiny');
      expect(warnings).toEqual([]);
      await expectCheckout('main', path);
      expect((await store.show('main')).encoding.lossless).toBe(true);
    });
  });

  test('every version of a line comes back byte for byte, whatever it is coded against', async () => {
    await withStore(async ({ commit, expectCheckout }) => {
      const committed = [];
      for (const step of [1, 2, 3, 4]) committed.push(await commit(step, { maxDecodeCost: 10 }));
      expect(committed.some(({ version }) => version.reference?.kind === 'version')).toBe(true);
      for (const [i, { id, path, version }] of committed.entries()) {
        expect(version.parents).toEqual(i === 0 ? [] : [committed[i - 1]!.id]);
        await expectCheckout(id, path);
      }
      await expectCheckout('main~2', committed[1]!.path);
    });
  });

  test('a tensor that the store has is not stored again', async () => {
    await withStore(async ({ commit, store }) => {
      await commit(1);
      const before = (await store.stats()).storedTensorCount;
      const second = await commit(2, { against: 'base' });
      // "frozen" is the base's, "head" that of the version before.
      expect(second.sharedTensorCount).toBe(1);
      expect((await store.stats()).storedTensorCount - before).toBe(3);
    });
  });

  test('the same again costs a manifest, and is a version of its own', async () => {
    await withStore(async ({ commit, store, expectCheckout }) => {
      const first = await commit(1);
      const again = await commit(1, { message: 'again' });
      expect(again.id).not.toBe(first.id);
      expect(again.version.digest).toBe(first.version.digest);
      expect(again.addedByteLength).toBeLessThan(first.addedByteLength / 2);
      expect((await store.stats()).versionCount).toBe(2);
      await expectCheckout(again.id, first.path);
    });
  });

  test('the base itself can be a version', async () => {
    await withStore(async ({ commit, expectCheckout }) => {
      const { path, version } = await commit(0);
      expect(version.relativeError).toBe(0);
      await expectCheckout('main', path);
    });
  });

  test('lossy: the next version inherits the step, and the error is against what was committed', async () => {
    await withStore(async ({ commit, store }) => {
      const first = await commit(1, { budget: { kind: 'step', step: 0.01 } });
      expect(first.version.relativeError).toBeGreaterThan(0);
      expect(first.version.relativeError).toBeLessThan(1);
      const second = await commit(2);
      expect(second.version.relativeError).toBeGreaterThan(0);
      expect((await store.show('main')).encoding.step).toBe(0.01);
      const third = await commit(3, { lossless: true });
      expect(third.version.relativeError).toBe(0);
      expect((await store.fsck({ full: true, threads: 1 })).problems).toEqual([]);
    });
  });

  test('a parent of null begins a new line in the same model', async () => {
    await withStore(async ({ commit, store }) => {
      await commit(1);
      const { version } = await commit(2, { parent: null });
      expect(version.parents).toEqual([]);
      expect((await store.log()).map(({ message }) => message)).toEqual(['step 2']);
    });
  });

  test('a parent may be any version, and models are lines of their own', async () => {
    await withStore(async ({ commit, store }) => {
      const first = await commit(1);
      await commit(2);
      const third = await commit(3, { model: 'chat/v2', parent: 'main~1' });
      expect(third.version.parents).toEqual([first.id]);
      expect((await store.refs()).map(({ kind, name }) => `${kind} ${name}`)).toEqual([
        'model chat/v2',
        'model main',
        'base tiny',
      ]);
    });
  });

  test('what a version is coded against can be chosen', async () => {
    await withStore(async ({ commit, expectCheckout }) => {
      const first = await commit(1);
      const second = await commit(2, { against: 'base' });
      expect(second.version.reference?.kind).toBe('base');
      const third = await commit(3, { against: first.id });
      expect(third.version.reference).toEqual({ kind: 'version', id: first.id });
      await expectCheckout(third.id, third.path);
      await expect(commit(4, { against: 'nothing' })).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
    });
  });

  test('a chain ends where it would take longer to decode than allowed', async () => {
    await withStore(async ({ commit }) => {
      await commit(1);
      await commit(2);
      const third = await commit(3, { maxDecodeCost: 1 });
      expect(third.version.reference?.kind).toBe('base');
      expect(third.version.decodeCost).toBeLessThan(1.02);
      const [base, ...others] = third.candidates;
      expect(base).toMatchObject({ reference: 'base tiny', decodeCost: 1, isWithinLimit: true });
      expect(others.length).toBeGreaterThan(0);
      for (const candidate of others) expect(candidate.isWithinLimit).toBe(candidate.decodeCost <= 1);
    });
  });

  test('events name the reference that was chosen', async () => {
    await withStore(async ({ commit }) => {
      const kinds: string[] = [];
      await commit(1, { onEvent: ({ kind }) => kinds.push(kind) });
      expect(kinds).toContain('base-found');
      expect(kinds).toContain('reference-chosen');
      expect(kinds).toContain('progress');
    });
  });

  test('side files are kept as they are, or left out', async () => {
    await withStore(async ({ commit, expectCheckout, store }) => {
      const sideFiles = {
        'config.json': '{}',
        'tokenizer/merges.txt': '',
        'vocab.json': 'a'.repeat(100_000),
      };
      const { path } = await commit({ ...runModel(1), sideFiles });
      await expectCheckout('main', path);
      expect((await store.show('main')).sideFiles.map((file) => [file.path, file.byteLength])).toEqual(
        expect.arrayContaining([
          ['config.json', 2],
          ['vocab.json', 100_000],
        ]),
      );
      await commit(2, { sideFiles: false });
      expect((await store.show('main')).sideFiles).toEqual([]);
    });
  });

  test('a message of any length and letters', async () => {
    await withStore(async ({ commit, store, expectCheckout }) => {
      for (const message of ['', 'ünïcödé ✓ \u0000 \n', 'a'.repeat(1_000_000)]) {
        const { path } = await commit(1, { message });
        expect((await store.show('main')).version.message).toBe(message);
        await expectCheckout('main', path);
      }
      expect(await store.log()).toHaveLength(3);
    });
  });

  test('names of models with capitals, dots, slashes and letters of any script stay apart', async () => {
    await withStore(async ({ commit, store, expectCheckout }) => {
      const names = ['Chat', 'chat', 'v1.0', 'a/b', 'größe', '模型', '模'.repeat(28), 'x'.repeat(100)];
      const committed = [];
      for (const [i, model] of names.entries()) committed.push(await commit(1 + (i % 2), { model }));
      const models = (await store.refs()).filter(({ kind }) => kind === 'model').map(({ name }) => name);
      expect([...models].sort()).toEqual([...names].sort());
      for (const [i, name] of names.entries()) {
        expect((await store.show(name)).version.id).toBe(committed[i]!.id);
      }
      await expectCheckout('模型', committed[5]!.path);
    });
  });

  test.each([
    '',
    '.',
    '..',
    '../x',
    'a//b',
    'a/',
    '/a',
    '-a',
    'a b',
    'a~1',
    'x'.repeat(101),
    '模'.repeat(29),
    'abcdef',
    'a:b',
  ])('a model is not called %j', async (model) => {
    await withEmptyStore(async ({ commit, store }) => {
      await expect(commit(1, { model })).rejects.toThrow(RangeError);
      expect(await store.refs()).toEqual([]);
    });
  });

  test('without a base, and with one that does not fit, nothing is written', async () => {
    await withEmptyStore(async ({ commit, store, write, storePath }) => {
      await expect(commit(1)).rejects.toThrow(/has no base; register one/);
      const other = runModel(0);
      const strange = other.tensors.map((tensor) => ({ ...tensor, data: tensor.data!.map((x) => x ^ 0x3a) }));
      await store.addBase('strange', await write('strange', { tensors: strange }));
      const before = await storeFiles(storePath);
      await expect(commit(1)).rejects.toMatchObject({ code: 'ERE_CHECKPOINT_MISMATCH' });
      await expect(commit(1, { base: 'tiny' })).rejects.toThrow(/no base "tiny", only strange/);
      expect(await storeFiles(storePath)).toEqual(before);
    });
  });

  test('the base is found by its values among several', async () => {
    await withStore(async ({ commit, store, write, folder }) => {
      const far = runModel(40, { stepSize: 3 });
      await store.addBase('far', await write('far', far), { threads: 1 });
      expect((await commit(1)).version.base?.name).toBe('tiny');
      const near = runModel(41, { stepSize: 3 });
      expect((await commit(near, { model: 'other' })).version.base?.name).toBe('far');
      expect(join(folder, 'store')).toBe(store.location);
    });
  });

  test('an aborted commit leaves no version', async () => {
    await withStore(async ({ commit, store, storePath }) => {
      const before = await storeFiles(storePath);
      const controller = new AbortController();
      const committed = commit(1, {
        signal: controller.signal,
        onEvent: ({ kind }) => kind === 'reference-chosen' && controller.abort(),
      });
      await expect(committed).rejects.toMatchObject({ code: 'ERE_ABORTED' });
      expect(await storeFiles(storePath)).toEqual(before);
      expect(await store.log()).toEqual([]);
    });
  });
});

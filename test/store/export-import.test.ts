/** export and import: versions leave a store as archives and come into others. */
import { readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { decode, encode, inspect, verify } from '../../src/index.js';
import { initStore } from '../../src/store/open-store.js';
import { goldenPath } from '../helpers/golden.js';
import { QUICK } from '../helpers/models.js';
import { expectSameFolder, fixtureOf, runModel, withEmptyStore, withStore } from '../helpers/stores.js';

describe('export', () => {
  test('a version coded against its base goes out as it is, and decodes to what checkout gives', async () => {
    await withStore(async ({ commit, store, folder }) => {
      const { path } = await commit(1);
      const archive = join(folder, 'a.ere');
      const report = await store.export('main', { output: archive });
      expect(report).toMatchObject({ isDirect: true, byteLength: (await readFile(archive)).byteLength });
      const output = join(folder, 'decoded');
      await decode(archive, { base: join(folder, 'base'), output, threads: 1 });
      await expectSameFolder(output, path);
      await verify(archive, { base: join(folder, 'base'), threads: 1 });
    });
  });

  test('a direct export needs no base at hand', async () => {
    await withStore(async ({ commit, store, folder }) => {
      await commit(1);
      await rename(join(folder, 'base'), join(folder, 'moved'));
      expect(await store.export('main', { output: join(folder, 'a.ere') })).toMatchObject({ isDirect: true });
    });
  });

  test('a version of a chain is coded again, and gives the same bytes', async () => {
    await withStore(async ({ commit, store, folder }) => {
      const first = await commit(1);
      const { path } = await commit(2, { against: first.id });
      const archive = join(folder, 'a.ere');
      expect((await store.export('main', { output: archive, threads: 1 })).isDirect).toBe(false);
      const output = join(folder, 'decoded');
      await decode(archive, { base: join(folder, 'base'), output, threads: 1 });
      await expectSameFolder(output, path);
    });
  });

  test('a lossy version decodes to what checkout gives', async () => {
    await withStore(async ({ commit, store, folder }) => {
      const first = await commit(1, { budget: { kind: 'step', step: 0.01 } });
      await commit(2, { against: first.id });
      for (const [ref, isDirect] of [
        ['main~1', true],
        ['main', false],
      ] as const) {
        const archive = join(folder, `${isDirect}.ere`);
        expect((await store.export(ref, { output: archive, threads: 1 })).isDirect).toBe(isDirect);
        const decoded = join(folder, `decoded ${isDirect}`);
        const checkedOut = join(folder, `checked out ${isDirect}`);
        await decode(archive, { base: join(folder, 'base'), output: decoded, threads: 1 });
        await store.checkout(ref, { output: checkedOut, threads: 1 });
        await expectSameFolder(decoded, checkedOut);
      }
    });
  });

  test('what tensors share is in the archive once', async () => {
    await withEmptyStore(async ({ store, folder }) => {
      await store.addBase('base', goldenPath('shared-basis', 'base'), { threads: 1 });
      const original = goldenPath('shared-basis', 'archive.ere');
      const { version } = await store.import(original, { model: 'shared' });
      const output = join(folder, 'out.ere');
      const { byteLength, isDirect } = await store.export('shared', { output, threads: 1 });
      expect(isDirect).toBe(true);
      const chunksOf = async (path: string) => (await inspect(path)).index.chunks;
      expect(await chunksOf(output)).toHaveLength((await chunksOf(original)).length);
      expect(byteLength).toBeLessThan(1.1 * (await stat(original)).size);
      const { tensors } = await store.show(version.id);
      const stored = tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);
      expect(stored).toBeLessThan(byteLength);
    });
  });

  test('an archive is written over another only when told so', async () => {
    await withStore(async ({ commit, store, folder }) => {
      await commit(1);
      const output = join(folder, 'a.ere');
      await writeFile(output, 'mine');
      await expect(store.export('main', { output })).rejects.toMatchObject({ code: 'ERE_CONFLICT' });
      expect(await readFile(output, 'utf8')).toBe('mine');
      await store.export('main', { output, overwrite: true });
    });
  });

  test('the base is a version too: an archive of nothing but copies', async () => {
    await withStore(async ({ commit, store, folder, expectCheckout }) => {
      const { path } = await commit(0);
      const archive = join(folder, 'a.ere');
      expect((await store.export('main', { output: archive })).isDirect).toBe(true);
      const output = join(folder, 'decoded');
      await decode(archive, { base: join(folder, 'base'), output, threads: 1 });
      await expectSameFolder(output, path);
      await expectCheckout('main', path);
    });
  });
});

describe('import', () => {
  test('what one store exports another takes in, with the same digest', async () => {
    await withStore(async ({ commit, store, folder }) => {
      const first = await commit(1);
      const second = await commit(2, { against: first.id });
      const storePath = join(folder, 'other');
      const other = fixtureOf(await initStore(storePath), folder, storePath);
      await other.store.addBase('renamed', join(folder, 'base'));
      for (const { id, version, path } of [first, second]) {
        const archive = join(folder, `${id.slice(7, 19)}.ere`);
        await store.export(id, { output: archive, threads: 1 });
        const imported = await other.store.import(archive, { message: 'from elsewhere', model: 'chat' });
        expect(imported.version).toMatchObject({
          model: 'chat',
          message: 'from elsewhere',
          digest: version.digest,
        });
        expect(imported.version.base?.name).toBe('renamed');
        await other.expectCheckout('chat', path);
      }
      expect(await other.store.log()).toHaveLength(2);
      expect((await other.store.fsck({ full: true, threads: 1 })).problems).toEqual([]);
      // And goes on from there.
      const { path } = await other.commit(3, { model: 'chat' });
      await other.expectCheckout('chat', path);
      expect((await other.store.fsck({ full: true, threads: 1 })).problems).toEqual([]);
    });
  });

  test('an archive of encode, lossy or not, with its side files', async () => {
    await withStore(async ({ write, store, folder, expectCheckout }) => {
      const path = await write('tuned', runModel(1));
      const base = join(folder, 'base');
      for (const budget of [{ lossless: true }, { budget: { kind: 'ratio', ratio: 0.5 } }] as const) {
        const output = join(folder, 'a.ere');
        const report = await encode(path, { ...QUICK, ...budget, base, output, overwrite: true });
        const { version } = await store.import(output);
        expect(version.relativeError).toBeCloseTo(report.relativeError, 12);
        const decoded = join(folder, 'decoded');
        await decode(output, { base, output: decoded, overwrite: true, threads: 1 });
        await expectCheckout('main', decoded);
      }
    });
  });

  test('an archive of a base that the store does not know is refused by name', async () => {
    await withStore(async ({ write, store, folder }) => {
      const base = await write('another', runModel(5));
      const output = join(folder, 'a.ere');
      const path = await write('tuned', runModel(6));
      await encode(path, { ...QUICK, lossless: true, base, baseName: 'llama', output });
      await expect(store.import(output)).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
      await expect(store.import(output)).rejects.toThrow(/needs base "llama" \(sha256:.*"tiny".*base add/s);
      expect(await store.log()).toEqual([]);
    });
  });

  test('a damaged archive leaves no version', async () => {
    await withStore(async ({ commit, store, folder }) => {
      await commit(1);
      const archive = join(folder, 'a.ere');
      await store.export('main', { output: archive });
      const bytes = await readFile(archive);
      await store.remove('main');
      for (const at of [bytes.byteLength - 3, bytes.byteLength >> 1, 40]) {
        const damaged = Buffer.from(bytes);
        damaged[at]! ^= 1;
        await writeFile(archive, damaged);
        // What it has in common with the store is not read from it.
        const version = await store.import(archive, { model: 'damaged' }).catch((error: unknown) => {
          expect(error).toMatchObject({ code: expect.stringMatching(/^ERE_(INTEGRITY|FORMAT|CODEC)$/) });
        });
        if (version !== undefined)
          expect((await store.fsck({ full: true, threads: 1 })).problems).toEqual([]);
      }
      await expect(store.import(join(folder, 'nothing.ere'))).rejects.toMatchObject({
        code: 'ERE_NOT_FOUND',
      });
    });
  });
});

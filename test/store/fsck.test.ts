/** fsck: damage of any kind is found, and told with the versions that suffer from it. */
import { mkdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseRecipe, sealRecipe } from '../../src/store/recipe.js';
import { sealRecord } from '../../src/store/record.js';
import { type Committed, type StoreFixture, storeFiles, withStore } from '../helpers/stores.js';

const FULL = { full: true, threads: 1 } as const;

async function paths({ storePath }: StoreFixture, folder: string): Promise<string[]> {
  return [...(await storeFiles(storePath)).keys()].filter((path) => path.startsWith(`${folder}/`));
}

async function flip({ storePath }: StoreFixture, path: string): Promise<void> {
  const bytes = await readFile(join(storePath, path));
  bytes[bytes.byteLength >> 1]! ^= 0x10;
  await writeFile(join(storePath, path), bytes);
}

type Damage = (fixture: StoreFixture, path: string) => Promise<void>;
const DAMAGE: Readonly<Record<string, Damage>> = {
  'with a flipped bit': flip,
  'that is cut short': ({ storePath }, path) => truncate(join(storePath, path), 5),
  'that is missing': ({ storePath }, path) => rm(join(storePath, path)),
};

/** A store of three versions, of which two are needed by the last. */
async function withVersions(
  use: (fixture: StoreFixture, committed: readonly Committed[]) => Promise<void>,
): Promise<void> {
  await withStore(async (fixture) => {
    const first = await fixture.commit(1);
    const second = await fixture.commit(2, { against: first.id });
    await use(fixture, [first, second]);
  });
}

describe('fsck', () => {
  test('a sound store: everything is counted, nothing is wrong', async () => {
    await withVersions(async (fixture) => {
      const { store } = fixture;
      const report = await store.fsck(FULL);
      expect(report).toMatchObject({ isSound: true, problems: [], versionCount: 3, unreferencedCount: 0 });
      expect(report.objectCount).toBe((await paths(fixture, 'objects')).length);
      expect((await store.fsck({ repair: true })).problems).toEqual([]);
    });
  });

  test.each(Object.entries(DAMAGE))('every object %s is found, with versions', async (_, damage) => {
    await withVersions(async (fixture, [first, second]) => {
      for (const path of await paths(fixture, 'objects')) {
        const bytes = await readFile(join(fixture.storePath, path));
        await damage(fixture, path);
        const { isSound, problems } = await fixture.store.fsck();
        expect(isSound).toBe(false);
        const about = problems.filter(({ subject }) => subject === path);
        const versions = new Set(about.flatMap((problem) => problem.versions));
        expect(versions.size, path).toBeGreaterThan(0);
        // What is of the first alone does not harm the second's manifest, but its chain goes through the first.
        for (const id of versions) {
          if (id === first!.id || id === second!.id) continue;
          expect((await fixture.store.show(id)).version.kind).toBe('base');
        }
        expect((await fixture.store.fsck({ repair: true })).isSound).toBe(false);
        await writeFile(join(fixture.storePath, path), bytes);
      }
      expect((await fixture.store.fsck()).problems).toEqual([]);
    });
  });

  test.each(Object.entries(DAMAGE))('every recipe %s is found, with versions', async (_, damage) => {
    await withVersions(async (fixture, committed) => {
      for (const path of await paths(fixture, 'tensors')) {
        const bytes = await readFile(join(fixture.storePath, path));
        await damage(fixture, path);
        const { isSound, problems } = await fixture.store.fsck();
        expect(isSound).toBe(false);
        const about = problems.filter(({ subject }) => subject === path);
        const versions = about.flatMap((problem) => problem.versions);
        expect(versions.length, path).toBeGreaterThan(0);
        expect(committed.map(({ id }) => id)).toEqual(expect.arrayContaining(versions));
        await writeFile(join(fixture.storePath, path), bytes);
      }
    });
  });

  test.each(Object.entries(DAMAGE))(
    'a manifest %s is found, and what is lost by it said',
    async (_, damage) => {
      await withVersions(async (fixture, [first, second]) => {
        const path = `versions/${first!.id.slice(7)}`;
        const bytes = await readFile(join(fixture.storePath, path));
        await damage(fixture, path);
        const { isSound, problems } = await fixture.store.fsck();
        expect(isSound).toBe(false);
        const subjects = problems.map(({ subject }) => subject);
        expect(subjects).toContain(_ === 'that is missing' ? `versions/${second!.id.slice(7)}` : path);
        await writeFile(join(fixture.storePath, path), bytes);
        await fixture.expectCheckout('main', second!.path);
      });
    },
  );

  test('a damaged ref is told apart from the others', async () => {
    await withVersions(async ({ store, storePath, commit, expectCheckout }) => {
      const { path } = await commit(3, { model: 'other' });
      await writeFile(join(storePath, 'refs/models/main'), '{"version":');
      const { problems } = await store.fsck();
      expect(problems).toMatchObject([{ subject: 'refs/models/main', isRepaired: false }]);
      await expect(store.log()).rejects.toMatchObject({ code: 'ERE_FORMAT' });
      await expectCheckout('other', path);
    });
  });

  test('repair drops a tag of nothing, and a model goes on from the newest version that is left', async () => {
    await withVersions(async ({ store, storePath, expectCheckout }, [first, second]) => {
      await store.tag('v2', 'main');
      await rm(join(storePath, `versions/${second!.id.slice(7)}`));
      expect((await store.fsck()).problems.map(({ subject }) => subject)).toEqual(['model main', 'tag v2']);
      const { problems, isSound } = await store.fsck({ repair: true });
      expect(problems.every(({ isRepaired }) => isRepaired)).toBe(true);
      expect(isSound).toBe(true);
      expect((await store.fsck()).problems).toEqual([]);
      expect((await store.refs()).map(({ name }) => name)).toEqual(['main', 'tiny']);
      await expectCheckout('main', first!.path);
    });
  });

  test('repair keeps what came before a version that was lost', async () => {
    await withVersions(async ({ store, storePath, commit, expectCheckout }, [first, second]) => {
      const third = await commit(3, { against: 'base' });
      await rm(join(storePath, `versions/${second!.id.slice(7)}`));
      const { problems } = await store.fsck({ repair: true });
      expect(problems).toMatchObject([{ subject: `versions/${third.id.slice(7)}`, isRepaired: true }]);
      expect((await store.log()).map(({ id, parents }) => [id, parents])).toEqual([
        [third.id, [first!.id]],
        [first!.id, []],
      ]);
      await expectCheckout('main~1', first!.path);
    });
  });

  test('a damaged cache hinders nobody, and repair drops it', async () => {
    await withVersions(async ({ store, storePath }) => {
      await store.gc();
      await writeFile(join(storePath, 'cache/summaries'), 'nonsense');
      expect(await store.log()).toHaveLength(2);
      expect((await store.fsck()).problems).toMatchObject([{ subject: 'cache/summaries' }]);
      expect((await store.fsck({ repair: true })).isSound).toBe(true);
      expect((await store.fsck()).problems).toEqual([]);
    });
  });

  test('a chain that leads back to itself is found, and ends for every reader', async () => {
    await withVersions(async (fixture, [first]) => {
      const { store, storePath, folder } = fixture;
      const show = await store.show(first!.id);
      const { digest } = show.tensors.find(({ name }) => name === 'layers.0.weight')!;
      const path = `tensors/${digest.slice(7, 9)}/${digest.slice(9)}`;
      const recipe = await parseRecipe(await readFile(join(storePath, path)), digest, path);
      const { dtype, shape } = recipe;
      await writeFile(join(storePath, path), sealRecipe({ ...recipe, reference: { digest, dtype, shape } }));
      const { problems } = await store.fsck();
      expect(problems).toMatchObject([{ subject: path, message: expect.stringContaining('leads back') }]);
      expect(problems[0]!.versions).toHaveLength(2);
      for (const ref of ['main', 'main~1']) {
        await expect(store.checkout(ref, { output: join(folder, 'out'), threads: 1 })).rejects.toMatchObject({
          code: expect.stringMatching(/^ERE_/),
        });
      }
    });
  });

  test('full: a recipe that gives other bytes is found', async () => {
    await withVersions(async (fixture, [first]) => {
      const { store, storePath } = fixture;
      const show = await store.show(first!.id);
      const { digest } = show.tensors.find(({ name }) => name === 'layers.0.weight')!;
      const path = `tensors/${digest.slice(7, 9)}/${digest.slice(9)}`;
      const recipe = await parseRecipe(await readFile(join(storePath, path)), digest, path);
      await writeFile(join(storePath, path), sealRecipe({ ...recipe, terms: [], chunks: [] }));
      expect((await store.fsck()).problems).toEqual([]);
      const { problems } = await store.fsck(FULL);
      expect(problems.map(({ subject }) => subject)).toContain(`versions/${first!.id.slice(7)}`);
    });
  });

  test('damage that a checkout meets is told by it, and nothing is written', async () => {
    await withVersions(async (fixture) => {
      const { store, folder } = fixture;
      for (const path of await paths(fixture, 'objects')) {
        const bytes = await readFile(join(fixture.storePath, path));
        await flip(fixture, path);
        const output = join(folder, 'damaged');
        const error = await store.checkout('main', { output, threads: 1 }).then(
          () => undefined,
          (reason: unknown) => reason,
        );
        if (error !== undefined) {
          expect(error).toMatchObject({ code: expect.stringMatching(/^ERE_(INTEGRITY|FORMAT|CODEC)$/) });
          await expect(readFile(join(output, 'model.safetensors'))).rejects.toThrow();
        }
        await writeFile(join(fixture.storePath, path), bytes);
        if (error === undefined) {
          // It is nothing of this version's: a side file or a norm of another.
          await fixture.expectCheckout('main', join(folder, '2 step 2'));
          await rm(output, { recursive: true });
        }
      }
    });
  });

  test('records that are sealed, and not what they should be', async () => {
    await withVersions(async ({ store, storePath }, [first]) => {
      const path = `removed/${first!.id.slice(7)}`;
      await mkdir(join(storePath, 'removed'));
      await writeFile(join(storePath, path), sealRecord(null).bytes);
      expect((await store.fsck()).isSound).toBe(true);
    });
  });
});

/** A process is killed after any of the changes that an operation makes: nothing acknowledged is lost. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Store } from '../../src/store/api.js';
import type { StoreBackend } from '../../src/store/backend.js';
import { createMemoryBackend } from '../../src/store/backends/memory.js';
import { initStore, openStore } from '../../src/store/open-store.js';
import { backendOf, type CrashState, crashStates, valuesOf } from '../helpers/crash-states.js';
import { COMMIT, FAST, type StoreModels, writeStoreModels } from '../helpers/store-models.js';

const ALL = { ...FAST, graceMs: 0, maxDecodeCost: 1000 } as const;

let folder: string;
let models: StoreModels;
/** main: tune0 ← tune1 ← tune2, each coded against the one before; other: tune3; a tag at tune1. */
let backend: StoreBackend;
let main: string[];
let other: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ere-test-'));
  models = await writeStoreModels(folder, 6);
  backend = createMemoryBackend();
  const store = await initStore(backend);
  await store.addBase('b', models.base);
  const commit = async (tune: number, options: object = {}): Promise<string> =>
    (await store.commit(models.tunes[tune]!, { ...COMMIT, ...options })).version.id;
  main = [await commit(0)];
  for (const tune of [1, 2]) main.push(await commit(tune, { against: 'main' }));
  other = await commit(3, { model: 'other' });
  await store.tag('t', main[1]!);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const idsOf = async (store: Store): Promise<string[]> => (await store.log()).map(({ id }) => id);

/** The store as it was left is sound and has these versions; so it is after gc, and every version decodes. */
async function expectKept(state: CrashState, ids: readonly string[]): Promise<Store> {
  const store = await state.open();
  expect((await store.fsck()).problems, `after ${state.after}`).toEqual([]);
  expect(await idsOf(store), `after ${state.after}`).toEqual(expect.arrayContaining([...ids]));
  await store.gc(ALL);
  const report = await store.fsck({ ...FAST, full: true });
  expect(report, `after ${state.after}, and gc`).toMatchObject({ problems: [], unreferencedCount: 0 });
  expect(await idsOf(store)).toEqual(expect.arrayContaining([...ids]));
  return store;
}

/** Each operation, and the versions that it may not lose. */
const OPERATIONS: [string, (store: Store) => Promise<unknown>, () => readonly string[]][] = [
  [
    'commit',
    (store) => store.commit(models.tunes[4]!, { ...COMMIT, against: 'main' }),
    () => [...main, other],
  ],
  ['commit of a new model', (store) => store.commit(models.tunes[4]!, { ...COMMIT, model: 'n' }), () => main],
  ['rm of a version', (store) => store.remove(main[1]!), () => [main[0]!, main[2]!, other]],
  ['rm of the newest version', (store) => store.remove(main[2]!), () => [main[0]!, main[1]!, other]],
  ['rm of a model', (store) => store.remove('main'), () => [main[0]!, main[1]!, other]],
  ['tag', (store) => store.tag('u', 'main'), () => main],
  ['branch', (store) => store.branch('n', main[0]!), () => main],
  ['base add', (store) => store.addBase('c', models.tunes[5]!), () => main],
  ['base add --keep', (store) => store.addBase('c', models.tunes[5]!, { keep: true, ...FAST }), () => main],
  [
    'gc that codes versions anew',
    (store) => store.gc({ ...FAST, graceMs: 0, maxDecodeCost: 0.01 }),
    () => [...main, other],
  ],
  ['fsck --repair', (store) => store.fsck({ repair: true }), () => [...main, other]],
];

describe('after any change of', () => {
  test.each(OPERATIONS)('%s, nothing is lost and the store is sound', async (_name, operation, ids) => {
    const states = await crashStates(backend, operation);
    for (const state of states) await expectKept(state, ids());
  });

  test('gc that removes, nothing is lost, and what was removed may be committed again', async () => {
    const prepared = await backendOf(await valuesOf(backend));
    const store = await openStore(prepared);
    await store.remove('t');
    await store.remove('main');
    const states = await crashStates(prepared, (copy) => copy.gc(ALL));
    expect(states.length).toBeGreaterThan(12);
    for (const state of states) {
      await expectKept(state, [other]);
      const again = await state.open();
      const ids = [(await again.commit(models.tunes[2]!, COMMIT)).version.id];
      ids.push((await again.commit(models.tunes[1]!, { ...COMMIT, against: 'base' })).version.id);
      const report = await again.fsck({ ...FAST, full: true });
      expect(report.problems, `after ${state.after}`).toEqual([]);
      expect(await idsOf(again)).toEqual(expect.arrayContaining(ids));
    }
  });

  test('the repair of refs to nothing, nothing is lost', async () => {
    const damaged = await backendOf(await valuesOf(backend));
    const store = await openStore(damaged);
    await damaged.remove(`versions/${main[2]!.slice(7)}`);
    expect(await store.fsck()).toMatchObject({ isSound: false });
    const states = await crashStates(damaged, (copy) => copy.fsck({ repair: true }));
    for (const state of states) {
      const left = await state.open();
      expect(await left.fsck({ repair: true })).toMatchObject({ isSound: true });
      await left.gc(ALL);
      expect(await idsOf(left)).toEqual(expect.arrayContaining([main[0]!, main[1]!, other]));
      expect((await left.fsck({ ...FAST, full: true })).problems).toEqual([]);
    }
  });
});

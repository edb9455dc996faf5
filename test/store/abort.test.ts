/** An abort at any moment leaves the store as it was, or the operation done. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Store, StoreOptions } from '../../src/store/api.js';
import { openFolderBackend } from '../../src/store/backends/file-system.js';
import { initStore, openStore } from '../../src/store/open-store.js';
import { COMMIT, FAST, writeStoreModels } from '../helpers/store-models.js';
import { listTree, withTempFolder } from '../helpers/temp-folder.js';
import { watchedBackend } from '../helpers/watched-backend.js';

type Operation = (store: Store, options: StoreOptions, folder: string) => Promise<unknown>;

/** With an abort between its two halves gc leaves recipes that are as good as those before. */
const GC = 'gc that codes versions anew';

const OPERATIONS: [string, Operation][] = [
  [
    'commit',
    (store, options, folder) =>
      store.commit(join(folder, 'tune2'), { ...COMMIT, ...options, against: 'main' }),
  ],
  [GC, (store, options) => store.gc({ ...FAST, ...options, graceMs: 0, maxDecodeCost: 0.01 })],
  [
    'checkout',
    (store, options, folder) => store.checkout('main', { ...FAST, ...options, output: join(folder, 'out') }),
  ],
  ['tag', (store, options) => store.tag('t', 'main', options)],
];

test.each(OPERATIONS)('%s, aborted at any event and any call', async (name, operation) => {
  await withTempFolder(async (folder) => {
    const models = await writeStoreModels(folder, 3);
    const path = join(folder, 'store');
    const prepared = await initStore(path);
    await prepared.addBase('b', models.base);
    await prepared.commit(models.tunes[0]!, COMMIT);
    await prepared.commit(models.tunes[1]!, { ...COMMIT, against: 'main' });
    const ids = (await prepared.log()).map(({ id }) => id);
    let before = await listTree(folder);
    let isAborted = true;
    let abortedCount = 0;
    for (let at = 0; isAborted; at++) {
      const controller = new AbortController();
      let moments = 0;
      isAborted = false;
      const next = () => {
        if (moments++ !== at) return;
        isAborted = true;
        controller.abort(new Error('enough'));
      };
      const backend = watchedBackend(await openFolderBackend(path), { before: next, after: next });
      const options: StoreOptions = { signal: controller.signal, onEvent: next };
      const outcome = await operation(await openStore(backend), options, folder).catch((error) => error);
      if (outcome instanceof Error) {
        expect(outcome).toMatchObject({ code: 'ERE_ABORTED' });
        if (name !== GC) expect(await listTree(folder)).toEqual(before);
        abortedCount++;
      } else {
        before = await listTree(folder);
      }
      const store = await openStore(path);
      expect(await listTree(join(path, 'tmp'))).toEqual([]);
      expect((await store.fsck({ ...FAST, full: true })).problems).toEqual([]);
      expect((await store.log()).map(({ id }) => id)).toEqual(expect.arrayContaining(ids));
      if (!(outcome instanceof Error)) break; // From here on it is done whenever it is aborted.
    }
    expect(abortedCount).toBeGreaterThan(0);
  });
});

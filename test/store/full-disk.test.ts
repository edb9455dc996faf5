/** A disk without room: a clear error, a sound store, nothing lost, and the room given back. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { IoError } from '../../formats/errors.js';
import type { Store } from '../../src/store/api.js';
import type { StoreBackend } from '../../src/store/backend.js';
import { createMemoryBackend } from '../../src/store/backends/memory.js';
import { initStore, openStore } from '../../src/store/open-store.js';
import { backendOf, valuesOf } from '../helpers/crash-states.js';
import { COMMIT, FAST, type StoreModels, writeStoreModels } from '../helpers/store-models.js';
import { watchedBackend } from '../helpers/watched-backend.js';

let folder: string;
let models: StoreModels;
let backend: StoreBackend;
let ids: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ere-test-'));
  models = await writeStoreModels(folder, 3);
  backend = createMemoryBackend();
  const store = await initStore(backend);
  await store.addBase('b', models.base);
  await store.commit(models.tunes[0]!, COMMIT);
  await store.commit(models.tunes[1]!, { ...COMMIT, against: 'main' });
  ids = (await store.log()).map(({ id }) => id);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const keysOf = async (values: StoreBackend, prefix: string): Promise<string[]> => {
  const keys: string[] = [];
  for await (const { key } of values.list(prefix)) keys.push(key);
  return keys;
};

test.each<[string, (store: Store) => Promise<unknown>]>([
  ['commit', (store) => store.commit(models.tunes[2]!, { ...COMMIT, against: 'main' })],
  ['base add --keep', (store) => store.addBase('c', models.tunes[2]!, { keep: true, ...FAST })],
  ['gc that codes versions anew', (store) => store.gc({ ...FAST, graceMs: 0, maxDecodeCost: 0.01 })],
  ['tag', (store) => store.tag('t', 'main')],
  ['rm of a version', (store) => store.remove(ids[1]!)],
])('%s on a disk that is full from any write on', async (_name, operation) => {
  let isFull = true;
  for (let room = 0; isFull; room++) {
    const inner = await backendOf(await valuesOf(backend));
    let writes = 0;
    isFull = false;
    const limited = watchedBackend(inner, {
      before(call, key) {
        if (call !== 'write' || writes++ < room) return;
        isFull = true;
        throw new IoError(`${key}: cannot write: no space left on the device (ENOSPC)`);
      },
    });
    const outcome = await operation(await openStore(limited)).catch((error) => error);
    // Only what is not needed may fail in silence: the cache.
    if (isFull && writes < room) expect(outcome).toMatchObject({ code: 'ERE_IO' });
    expect(await keysOf(inner, 'locks')).toEqual([]);

    const store = await openStore(inner);
    expect((await store.fsck()).problems).toEqual([]);
    const kept = (await store.log()).map(({ id }) => id);
    if (outcome instanceof Error) expect(kept).toEqual(ids);
    await store.gc({ ...FAST, graceMs: 0, maxDecodeCost: 1000 });
    expect(await store.fsck({ ...FAST, full: true })).toMatchObject({ problems: [], unreferencedCount: 0 });
    if (outcome instanceof Error) await operation(store);
  }
});

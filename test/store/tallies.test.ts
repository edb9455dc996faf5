/** Tallies: folders that did not change are not counted again, and those that did are. */
import { readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { StoreBackend } from '../../src/store/backend.js';
import { openFolderBackend } from '../../src/store/backends/file-system.js';
import { createMemoryBackend } from '../../src/store/backends/memory.js';
import { tallyFolders } from '../../src/store/tallies.js';
import { withTempFolder } from '../helpers/temp-folder.js';

const COUNT = 300;

/** Values of a store's objects/, and of one folder beside. */
async function fill(backend: StoreBackend): Promise<void> {
  for (let i = 0; i < COUNT; i++) {
    await backend.write(`objects/${(i % 256).toString(16).padStart(2, '0')}/${i}`, new Uint8Array(i));
  }
  await backend.write('removed/x', new Uint8Array(7));
}

const FILLED = [
  { count: COUNT, byteLength: (COUNT * (COUNT - 1)) / 2 },
  { count: 1, byteLength: 7 },
];

/** Everything was written so long ago; a negative age is one that no run of the test outlives. */
async function age(folder: string, ms: number): Promise<void> {
  const past = new Date(Date.now() - ms);
  for (const name of await readdir(folder, { recursive: true })) await utimes(join(folder, name), past, past);
}

test('a folder is listed again only when it has changed, and not so that it cannot be told', async () => {
  await withTempFolder(async (folder) => {
    const backend = await openFolderBackend(folder);
    await fill(backend);
    const listed: string[] = [];
    const list = backend.list.bind(backend);
    backend.list = (prefix, options) => {
      listed.push(prefix);
      return list(prefix, options);
    };
    const tally = async () => {
      listed.length = 0;
      return tallyFolders(backend, ['objects', 'removed', 'tensors']);
    };
    const expected = [...FILLED, { count: 0, byteLength: 0 }];
    await age(folder, -600_000);
    // What changed just now may change again at the same time of the file system's clock.
    for (let i = 0; i < 2; i++) {
      expect(await tally()).toEqual(expected);
      expect(listed).toHaveLength(257);
    }
    await age(folder, 60_000);
    expect(await tally()).toEqual(expected);
    expect(listed).toHaveLength(257);
    expect(await tally()).toEqual(expected);
    expect(listed).toEqual([]);

    await backend.write('objects/07/new', new Uint8Array(1000));
    await backend.write('objects/09/9', new Uint8Array(1)); // 9 bytes before
    await backend.remove('removed/x');
    const [{ count, byteLength }] = FILLED as [(typeof FILLED)[0]];
    expect(await tally()).toEqual([
      { count: count + 1, byteLength: byteLength + 1000 - 8 },
      { count: 0, byteLength: 0 },
      { count: 0, byteLength: 0 },
    ]);
    expect(listed.sort()).toEqual(['objects/07', 'objects/09', 'removed']);

    await writeFile(
      join(folder, 'cache/tallies'),
      (await readFile(join(folder, 'cache/tallies'))).subarray(5),
    );
    expect((await tally())[0]!.count).toBe(count + 1);
    expect(listed).toHaveLength(257);
  });
});

test('a backend that cannot tell is counted', async () => {
  const backend = createMemoryBackend();
  await fill(backend);
  expect(await tallyFolders(backend, ['objects', 'removed'])).toEqual(FILLED);
});

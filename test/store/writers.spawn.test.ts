/** Many processes on one store: each commit is there, readers are never refused, and gc comes between. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { initStore } from '../../src/store/open-store.js';
import { runWriter } from '../helpers/crash-run.js';
import { COMMIT, FAST, writeStoreModels } from '../helpers/store-models.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import type { WriterOperation } from '../helpers/writer-task.js';

const again: WriterOperation = 'commit-main-again';

/** Operations of each process. */
const WRITERS: readonly (readonly WriterOperation[])[] = [
  [again, again, again],
  [again, 'tag', again],
  ['commit', 'commit', 'commit', 'commit'],
  ['checkout', 'checkout', 'checkout', 'checkout', 'checkout', 'checkout'],
  ['gc-anew', 'gc', 'gc-anew', 'repair', 'gc-anew', 'gc'],
];

test('writers of one model and of several, a reader and gc, all at once', async () => {
  await withTempFolder(async (folder) => {
    const models = await writeStoreModels(join(folder, 'models'), 6);
    const store = await initStore(join(folder, 'store'));
    await store.addBase('b', models.base);
    await store.commit(models.tunes[0]!, { ...COMMIT, model: 'main' });
    const common = { store: join(folder, 'store'), models, folder };
    const ended = await Promise.all(
      WRITERS.map((operations, i) => runWriter({ ...common, name: `own${i}`, seed: 77 * i, operations })),
    );
    expect(ended.map(({ stderr }) => stderr)).toEqual(WRITERS.map(() => ''));
    const said = ended.flatMap(({ lines }) => lines);
    // Of a version that lost to another nothing refers to it: gc may take it while a third is coded against it.
    const refused = said.filter((line) => /^(refused|problem)/.test(line));
    expect(
      refused.filter(
        (line) => !/^refused commit.*(; commit again|was removed while it was read)$/.test(line),
      ),
    ).toEqual([]);

    const committed = said.flatMap((line) => /^committed (\S+)/.exec(line)?.[1] ?? []);
    expect(committed.length + refused.length).toBe(9);
    const logged = (await store.log()).map(({ id }) => id);
    expect(logged).toHaveLength(1 + committed.length);
    expect(logged).toEqual(expect.arrayContaining(committed));
    expect((await store.fsck({ ...FAST, full: true })).problems).toEqual([]);
  });
}, 120_000);

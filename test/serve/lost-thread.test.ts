/** A thread that is lost takes the others along: what they were doing is done again, for everybody. */
import type { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { resolvePath, sharedModels, until, withServe } from '../helpers/serve-setting.js';

const models = sharedModels();

test('downloads that a thread was lost under are right, and so are those after it', async () => {
  const threads: Worker[] = [];
  const onWorker = (worker: Worker) => void threads.push(worker);
  process.on('worker', onWorker);
  try {
    await withServe({ store: models.now.storePath, threads: 2 }, async ({ ask }) => {
      const download = async (name: string) => {
        const address = resolvePath(name, 'main', 'model.safetensors');
        const { status, body } = await ask(address);
        const { files } = models.now.models.get(name)!;
        expect([name, status]).toEqual([name, 200]);
        expect(body.equals(files.get('model.safetensors')!)).toBe(true);
      };
      const names = ['chat', 'user/lossy', 'user/imported'];
      const downloads = Promise.all(names.map(download));
      downloads.catch(() => {});
      // They have their first jobs from the beginning.
      await until('threads run', () => threads.length === 2);
      await threads[0]!.terminate();
      await downloads;
      expect(threads).toHaveLength(4);
      await Promise.all(names.map(download));
    });
  } finally {
    process.off('worker', onWorker);
  }
});

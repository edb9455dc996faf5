/** The base of an archive is found among those that are at hand by what is in it, and by nothing else. */
import { cp, mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { encode } from '../../src/index.js';
import { QUICK, writeModel } from '../helpers/models.js';
import { resolvePath, restoredModels, until, withServe } from '../helpers/serve-setting.js';
import { servedModel } from '../helpers/served-models.js';

const withModels = restoredModels();
const WEIGHTS = resolvePath('chat', 'main', 'model.safetensors');

test('of several bases the one with the right tensors is taken, wherever it lies', async () => {
  await withModels(async ({ base, archives, archived }, folder) => {
    const other = join(folder, 'other');
    await writeModel(other, servedModel(8));
    const small = join(folder, 'small');
    await writeModel(small, { tensors: servedModel(0).tensors.slice(0, 2) });
    await rename(base, join(folder, 'moved'));
    const bases = [join(folder, 'none'), other, small, join(folder, 'moved')];
    await withServe({ archives, bases }, async ({ ask }) => {
      const { body } = await ask(WEIGHTS);
      expect(body.equals(archived.get('chat')!.files.get('model.safetensors')!)).toBe(true);
    });
  });
});

test('where none is right the log says of each what it is not, and clients that it is not at hand', async () => {
  await withModels(async ({ archives }, folder) => {
    const other = join(folder, 'other');
    await writeModel(other, servedModel(8));
    await withServe({ archives, bases: [join(folder, 'none'), other] }, async ({ ask, logs }) => {
      const { status, body } = await ask(WEIGHTS);
      expect(status).toBe(500);
      expect(JSON.parse(body.toString()).error).toMatch(
        /^something that it is rebuilt from is not at hand; .*[0-9a-f]{16}$/,
      );
      await until('it is logged', () => logs.length > 0);
      const [record] = logs;
      expect(record).toMatchObject({ level: 'error', status: 500 });
      const error = record!.event === 'request' ? record!.error! : '';
      expect(error).toContain('give its path with --base');
      for (const path of [join(folder, 'none'), other]) expect(error).toContain(path);
    });
  });
});

test('the base that an archive names by repository and revision is found in the cache of the Hub', async () => {
  await withModels(async ({ base, archives }, folder) => {
    const commit = 'c'.repeat(40);
    const hubCacheFolder = join(folder, 'hub');
    const snapshot = join(hubCacheFolder, 'models--org--base', 'snapshots', commit);
    await mkdir(snapshot, { recursive: true });
    await cp(base, snapshot, { recursive: true });
    const named = { ...QUICK, lossless: true, baseName: 'org/base' };
    const tuned = join(folder, 'tune2');
    await encode(tuned, { ...named, base, baseRevision: commit, output: join(archives, 'pinned.ere') });
    await encode(tuned, { ...named, base, baseRevision: 'd'.repeat(40), output: join(archives, 'gone.ere') });
    await encode(tuned, { ...named, base, baseName: '../../etc', output: join(archives, 'evil.ere') });
    await writeFile(join(folder, 'etc'), '');
    await withServe({ archives, hubCacheFolder }, async ({ ask }) => {
      const { body } = await ask(resolvePath('pinned', 'main', 'config.json'));
      expect(body.toString()).toBe('{"step":2}\n');
      for (const name of ['gone', 'evil', 'chat'])
        expect((await ask(resolvePath(name, 'main', 'config.json'))).status, name).toBe(500);
    });
  });
});

/** The recipe of docs/guide/hub.md for users of `hf upload` works as it is written there. */
import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { verify } from '../../src/index.js';
import { matrixPair, withModels } from '../helpers/models.js';
import { PROJECT_ROOT } from '../helpers/project.js';
import { listTree } from '../helpers/temp-folder.js';

test('the recipe fills a folder with a verified archive and the small files', async () => {
  const guide = await readFile(join(PROJECT_ROOT, 'docs/guide/hub.md'), 'utf8');
  const recipe = /<!-- prepush -->\n```sh\n([\s\S]*?)```/.exec(guide)![1]!;
  const pair = matrixPair('weight', [64, 48], 1);
  const models = {
    base: { tensors: [pair.base] },
    fineTuned: { tensors: [pair.fineTuned], sideFiles: { 'config.json': '{}' } },
  };
  await withModels(models, async (base, fineTuned, folder) => {
    const bin = join(folder, 'bin');
    await mkdir(bin);
    await symlink(join(PROJECT_ROOT, 'dist/cli/bin.js'), join(bin, 'ere'));
    await chmod(join(PROJECT_ROOT, 'dist/cli/bin.js'), 0o755);
    await writeFile(join(bin, 'ere-prepush'), recipe, { mode: 0o755 });
    const upload = join(folder, 'upload');
    const env = { ...process.env, PATH: [bin, process.env.PATH].join(delimiter) };
    await promisify(execFile)(join(bin, 'ere-prepush'), [base, fineTuned, upload], { env });
    expect(await listTree(upload)).toEqual(['config.json', 'model.ere']);
    expect((await verify(join(upload, 'model.ere'), { base })).decodedTensorCount).toBe(1);
  });
});

/** What a killed process leaves beside its output goes with the next run onto it; nothing else does. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { withAtomicFile, withAtomicFolder } from '../../src/io/atomic-output.js';
import { hasEnded, processTag } from '../../src/io/process-identity.js';
import { PROJECT_ROOT } from '../helpers/project.js';
import { listTree, withTempFolder, writeTree } from '../helpers/temp-folder.js';

const MODULE = pathToFileURL(join(PROJECT_ROOT, 'dist/src/io/atomic-output.js')).href;

/** Kills a process in the middle of a file `out` and a folder `model`. */
async function leaveBehind(folder: string): Promise<string[]> {
  const script = `
    const { withAtomicFile, withAtomicFolder } = await import('${MODULE}');
    await withAtomicFile('out', {}, async (file) => {
      await file.write(new Uint8Array(100));
      await withAtomicFolder('model', {}, async (output) => {
        await output.createFile('sub/weights');
        process.kill(process.pid, 'SIGKILL');
        await new Promise(() => setInterval(() => {}, 1000));
      });
    });`;
  const argv = ['--input-type=module', '-e', script];
  const [, signal] = await once(spawn(process.execPath, argv, { cwd: folder, stdio: 'ignore' }), 'exit');
  expect(signal).toBe('SIGKILL');
  return (await readdir(folder)).sort();
}

test('temporary outputs of a killed process are removed by the next run onto the same output', async () => {
  await withTempFolder(async (folder) => {
    const left = await leaveBehind(folder);
    expect(left).toEqual([
      expect.stringMatching(/^\.model\.ere-tmp-/),
      expect.stringMatching(/^\.out\.ere-tmp-/),
    ]);
    await withAtomicFile(join(folder, 'other'), {}, async () => {});
    expect((await readdir(folder)).sort()).toEqual([...left, 'other']);
    await withAtomicFile(join(folder, 'out'), {}, async () => {});
    await withAtomicFolder(join(folder, 'model'), {}, async () => {});
    expect((await readdir(folder)).sort()).toEqual(['model', 'other', 'out']);
  });
});

test('those of running processes, of other places and of another shape stay', async () => {
  await withTempFolder(async (folder) => {
    const others = ['.out.ere-tmp-00000000-1-1-000000000000', '.out.ere-tmp-0123456789ab', '.out.ere-tmp-'];
    for (const name of others) await writeFile(join(folder, name), '');
    await writeFile(join(folder, 'out'), '');
    await withAtomicFile(join(folder, 'out'), { overwrite: true }, async (file) => {
      await withAtomicFile(join(folder, 'out'), { overwrite: true }, async () => {});
      expect(await readdir(folder)).toContain(file.path.slice(folder.length + 1));
    });
    expect((await listTree(folder)).sort()).toEqual([...others, 'out'].sort());
  });
});

test('nothing is removed beside a folder that was put aside to be replaced', async () => {
  await withTempFolder(async (folder) => {
    const left = await leaveBehind(folder);
    await writeTree(folder, { '.model.ere-old-0-1-1-0/weights': 'the only ones' });
    await withAtomicFolder(join(folder, 'model'), {}, async () => {});
    expect((await readdir(folder)).sort()).toEqual(['.model.ere-old-0-1-1-0', ...left, 'model'].sort());
  });
});

test('a process has not ended while it runs, and a number that is given again is another', () => {
  const tag = processTag();
  expect(hasEnded(tag)).toBe(false);
  expect(hasEnded(tag.replace(/\d+$/, '1'))).toBe(process.platform === 'linux');
  expect(hasEnded(tag.replace(/^.{8}/, '00000000'))).toBe(false);
  expect(hasEnded('')).toBe(false);
});

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findStore, pathExists } from '../../src/store/find-store.js';
import { withTempFolder } from '../helpers/temp-folder.js';

test('the store of a folder is its own, else the nearest one above', async () => {
  await withTempFolder(async (folder) => {
    await mkdir(join(folder, '.ere-store'));
    await mkdir(join(folder, 'a/b/.ere-store'), { recursive: true });
    await mkdir(join(folder, 'a/b/c/d'), { recursive: true });
    expect(await findStore(folder)).toBe(join(folder, '.ere-store'));
    expect(await findStore(join(folder, 'a'))).toBe(join(folder, '.ere-store'));
    expect(await findStore(join(folder, 'a/b/c/d'))).toBe(join(folder, 'a/b/.ere-store'));
  });
});

test('a file of that name is no store, and a folder that is not there looks in those above', async () => {
  await withTempFolder(async (folder) => {
    await mkdir(join(folder, '.ere-store'));
    await mkdir(join(folder, 'a'));
    await writeFile(join(folder, 'a/.ere-store'), '');
    expect(await findStore(join(folder, 'a'))).toBe(join(folder, '.ere-store'));
    expect(await findStore(join(folder, 'missing/too'))).toBe(join(folder, '.ere-store'));
  });
});

test('outside of any store there is none', async () => {
  await withTempFolder(async (folder) => expect(await findStore(folder)).toBeUndefined());
});

test('a path exists whatever it is; one through a file does not', async () => {
  await withTempFolder(async (folder) => {
    await writeFile(join(folder, 'file'), '');
    expect(await Promise.all([folder, join(folder, 'file')].map(pathExists))).toEqual([true, true]);
    const missing = [join(folder, 'missing'), join(folder, 'file/below'), 'x'.repeat(5000)];
    expect(await Promise.all(missing.map(pathExists))).toEqual([false, false, false]);
  });
});

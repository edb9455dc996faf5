/** The archives of a folder: those in it and in folders in it, and nothing else. */
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { NotFoundError } from '../../formats/errors.js';
import { listArchiveFiles } from '../../src/io/archive-files.js';
import { withTempFolder, writeTree } from '../helpers/temp-folder.js';

test('name.ere and user/name.ere, sorted by name, with length and time of the last change', async () => {
  await withTempFolder(async (folder) => {
    await writeTree(folder, {
      'b.ere': 'bb',
      'a.ere': 'a',
      'user/c.ere': 'ccc',
      'user/notes.txt': 'x',
      'user/deep/d.ere': 'too deep',
      'a.ere.old': 'x',
      '.hidden.ere': 'x',
      '.git/e.ere': 'x',
      'x.safetensors': 'x',
    });
    const files = await listArchiveFiles(folder);
    expect(files.map(({ name, byteLength }) => [name, byteLength])).toEqual([
      ['a', 1],
      ['b', 2],
      ['user/c', 3],
    ]);
    expect(files[2]!.path).toBe(join(folder, 'user', 'c.ere'));
    for (const { changedAt } of files) expect(new Date(changedAt).toISOString()).toBe(changedAt);
  });
});

test('an empty folder has none; one that is not there, or is a file, is an error that names it', async () => {
  await withTempFolder(async (folder) => {
    expect(await listArchiveFiles(folder)).toEqual([]);
    await expect(listArchiveFiles(join(folder, 'none'))).rejects.toBeInstanceOf(NotFoundError);
    await writeFile(join(folder, 'file'), 'x');
    await expect(listArchiveFiles(join(folder, 'file'))).rejects.toThrow(join(folder, 'file'));
  });
});

test('links are followed to files; folders by that name, and links to nothing, to folders or in circles are left out', async () => {
  await withTempFolder(async (folder) => {
    await writeTree(folder, { 'real/a.ere': 'abc' });
    await symlink(join(folder, 'real', 'a.ere'), join(folder, 'link.ere'));
    await symlink(join(folder, 'none'), join(folder, 'dangling.ere'));
    await symlink(join(folder, 'circle.ere'), join(folder, 'circle.ere'));
    await symlink(join(folder, 'real'), join(folder, 'linked folder.ere'));
    await mkdir(join(folder, 'real', 'folder.ere'));
    const names = async () =>
      (await listArchiveFiles(folder)).map(({ name, byteLength }) => [name, byteLength]);
    expect(await names()).toEqual([
      ['link', 3],
      ['real/a', 3],
    ]);
    await rm(join(folder, 'real', 'a.ere'));
    expect(await names()).toEqual([]);
  });
});

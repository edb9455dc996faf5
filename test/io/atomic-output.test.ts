import { link, mkdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { removeTemporaryOutputs, withAtomicFile, withAtomicFolder } from '../../src/io/atomic-output.js';
import { handleOutput } from '../../src/io/output-file.js';
import { countingBytes } from '../helpers/safetensors-bytes.js';
import { listTree, withTempFolder, writeTree } from '../helpers/temp-folder.js';

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (path: string) => readFile(path, 'utf8');

describe('an atomic file', () => {
  it('appears when the work is done, and not before', async () => {
    await withTempFolder(async (folder) => {
      const path = join(folder, 'out.ere');
      const result = await withAtomicFile(path, {}, async (file) => {
        await file.write(bytes('head'));
        await file.write(bytes('tail'));
        await file.writeAt(0, bytes('H'));
        expect(file.position).toBe(8);
        const [temporary, ...others] = await listTree(folder);
        expect(temporary).toMatch(/^\.out\.ere\.ere-tmp-[0-9a-f]{8}-\d+-\d+-[0-9a-f]{12}$/);
        expect(file.path).toBe(join(folder, temporary));
        expect(others).toEqual([]);
        return 7;
      });
      expect(result).toBe(7);
      expect(await listTree(folder)).toEqual(['out.ere']);
      expect(await text(path)).toBe('Headtail');
      expect((await stat(path)).nlink).toBe(1);
    });
  });

  it('can be sized first and filled in any order', async () => {
    await withTempFolder(async (folder) => {
      const path = join(folder, 'out');
      await withAtomicFile(path, {}, async (file) => {
        await file.truncate(300);
        const parts = [2, 0, 1].map((i) =>
          file.writeAt(i * 100, countingBytes(300).subarray(i * 100, i * 100 + 100)),
        );
        await Promise.all(parts);
      });
      expect(new Uint8Array(await readFile(path))).toEqual(countingBytes(300));
    });
  });

  it('leaves nothing when the work fails', async () => {
    await withTempFolder(async (folder) => {
      const failure = new Error('work');
      const writing = withAtomicFile(join(folder, 'out'), {}, async (file) => {
        await file.write(bytes('half'));
        throw failure;
      });
      await expect(writing).rejects.toBe(failure);
      expect(await listTree(folder)).toEqual([]);
    });
  });

  it('leaves what was there when overwriting fails', async () => {
    await withTempFolder(async (folder) => {
      await writeTree(folder, { out: 'old' });
      const writing = withAtomicFile(join(folder, 'out'), { overwrite: true }, async (file) => {
        await file.write(bytes('half'));
        throw new Error('work');
      });
      await expect(writing).rejects.toThrow('work');
      expect(await listTree(folder)).toEqual(['out']);
      expect(await text(join(folder, 'out'))).toBe('old');
    });
  });

  it('replaces a file with overwrite, and follows a symbolic link to it', async () => {
    await withTempFolder(async (folder) => {
      await writeTree(folder, { 'real/out': 'old' });
      await symlink('real/out', join(folder, 'link'));
      await withAtomicFile(join(folder, 'link'), { overwrite: true }, (file) => file.write(bytes('new')));
      expect(await text(join(folder, 'real/out'))).toBe('new');
      expect(await readlink(join(folder, 'link'))).toBe('real/out');
    });
  });

  it('does not write through a hard link of what it replaces', async () => {
    await withTempFolder(async (folder) => {
      await writeTree(folder, { out: 'old' });
      await link(join(folder, 'out'), join(folder, 'other'));
      await withAtomicFile(join(folder, 'out'), { overwrite: true }, (file) => file.write(bytes('new')));
      expect(await text(join(folder, 'other'))).toBe('old');
    });
  });

  const mustNotRun = async () => {
    throw new Error('the work ran');
  };

  it.each<[string, string, object, string, RegExp]>([
    ['a file that is there', 'file', {}, 'ERE_CONFLICT', /file: exists already/],
    ['a dangling link', 'dangling', {}, 'ERE_CONFLICT', /exists already/],
    [
      'a folder that is there',
      'sub',
      { overwrite: true },
      'ERE_CONFLICT',
      /the output is a file, and something else/,
    ],
    [
      'a device',
      '/dev/null',
      { overwrite: true },
      'ERE_CONFLICT',
      /something else is there; it is not replaced/,
    ],
    [
      'a parent that is missing',
      'none/out',
      {},
      'ERE_NOT_FOUND',
      /the folder .*none does not exist; create it first/,
    ],
    ['a parent that is a file', 'file/out', {}, 'ERE_CONFLICT', /file is not a folder/],
    ['an abort', 'out', { signal: AbortSignal.abort() }, 'ERE_ABORTED', /aborted, nothing was written/],
  ])('%s is refused before any work', async (_what, name, options, code, message) => {
    await withTempFolder(async (folder) => {
      await writeTree(folder, { file: 'old', 'sub/x': '' });
      await symlink('nowhere', join(folder, 'dangling'));
      const path = name.startsWith('/') ? name : join(folder, name);
      await expect(withAtomicFile(path, options, mustNotRun)).rejects.toMatchObject({
        code,
        message: expect.stringMatching(message),
      });
      expect(await listTree(folder)).toEqual(['dangling', 'file', 'sub/x']);
      expect(await text(join(folder, 'file'))).toBe('old');
    });
  });

  it('an input is never replaced', async () => {
    await withTempFolder(async (folder) => {
      await writeTree(folder, { 'base.safetensors': 'base' });
      await symlink('base.safetensors', join(folder, 'link'));
      const path = join(folder, 'link');
      const writing = withAtomicFile(
        path,
        { overwrite: true, inputs: [join(folder, 'base.safetensors')] },
        mustNotRun,
      );
      await expect(writing).rejects.toMatchObject({
        code: 'ERE_CONFLICT',
        message: expect.stringContaining('input'),
      });
    });
  });

  it('an abort during the work leaves nothing', async () => {
    await withTempFolder(async (folder) => {
      const controller = new AbortController();
      const writing = withAtomicFile(join(folder, 'out'), { signal: controller.signal }, async (file) => {
        await file.write(bytes('x'));
        controller.abort();
      });
      await expect(writing).rejects.toMatchObject({ code: 'ERE_ABORTED' });
      expect(await listTree(folder)).toEqual([]);
    });
  });

  it('a file that came meanwhile is not replaced', async () => {
    await withTempFolder(async (folder) => {
      const path = join(folder, 'out');
      const writing = withAtomicFile(path, {}, () => writeFile(path, 'theirs'));
      await expect(writing).rejects.toMatchObject({ code: 'ERE_CONFLICT' });
      expect(await listTree(folder)).toEqual(['out']);
      expect(await text(path)).toBe('theirs');
    });
  });

  it('works for the longest file name', async () => {
    await withTempFolder(async (folder) => {
      const name = 'é'.repeat(127);
      await withAtomicFile(join(folder, name), {}, (file) => file.write(bytes('x')));
      expect(await listTree(folder)).toEqual([name]);
    });
  });

  it('temporary outputs can be removed at once, for an exit in the middle', async () => {
    await withTempFolder(async (folder) => {
      const writing = withAtomicFile(join(folder, 'out'), {}, async () => {
        expect(await listTree(folder)).toHaveLength(1);
        removeTemporaryOutputs();
        expect(await listTree(folder)).toEqual([]);
        throw new Error('interrupted');
      });
      await expect(writing).rejects.toThrow('interrupted');
    });
  });
});

describe('an atomic folder', () => {
  it('appears whole, with files in sub-folders', async () => {
    await withTempFolder(async (folder) => {
      const path = join(folder, 'model');
      await withAtomicFolder(path, {}, async (output) => {
        const config = await output.createFile('config.json');
        const nested = await output.createFile('a/b/c.txt');
        await config.write(bytes('{}'));
        await nested.write(bytes('c'));
        await writeFile(join(output.path, 'a', 'direct.txt'), 'd');
        expect(await stat(path).catch(() => 'none')).toBe('none');
      });
      expect(await listTree(folder)).toEqual(['model/a/b/c.txt', 'model/a/direct.txt', 'model/config.json']);
      expect(await text(join(path, 'a/b/c.txt'))).toBe('c');
    });
  });

  it('leaves nothing when the work fails', async () => {
    await withTempFolder(async (folder) => {
      const writing = withAtomicFolder(join(folder, 'model'), {}, async (output) => {
        await (await output.createFile('x')).write(bytes('half'));
        throw new Error('work');
      });
      await expect(writing).rejects.toThrow('work');
      expect(await listTree(folder)).toEqual([]);
    });
  });

  it('with overwrite the old folder is there until the new one is, and gone after', async () => {
    await withTempFolder(async (folder) => {
      await writeTree(folder, { 'model/old.txt': 'old' });
      await withAtomicFolder(join(folder, 'model'), { overwrite: true }, async (output) => {
        await output.createFile('new.txt');
        expect(await text(join(folder, 'model/old.txt'))).toBe('old');
      });
      expect(await listTree(folder)).toEqual(['model/new.txt']);
    });
  });

  it('with overwrite a failure keeps the old folder', async () => {
    await withTempFolder(async (folder) => {
      await writeTree(folder, { 'model/old.txt': 'old' });
      const writing = withAtomicFolder(join(folder, 'model'), { overwrite: true }, async (output) => {
        await output.createFile('new.txt');
        throw new Error('work');
      });
      await expect(writing).rejects.toThrow('work');
      expect(await listTree(folder)).toEqual(['model/old.txt']);
    });
  });

  it.each(['../x', '/x', 'a/../../x', 'NUL', ''])('a file at %j is refused', async (relativePath) => {
    await withTempFolder(async (folder) => {
      const writing = withAtomicFolder(join(folder, 'model'), {}, (output) =>
        output.createFile(relativePath),
      );
      await expect(writing).rejects.toMatchObject({ code: 'ERE_FORMAT' });
      expect(await listTree(folder)).toEqual([]);
    });
  });

  it('a file that is created twice is a ConflictError', async () => {
    await withTempFolder(async (folder) => {
      const writing = withAtomicFolder(join(folder, 'model'), {}, async (output) => {
        await output.createFile('x');
        await output.createFile('x');
      });
      await expect(writing).rejects.toMatchObject({
        code: 'ERE_CONFLICT',
        message: expect.stringContaining(join(folder, 'model', 'x')),
      });
    });
  });

  it.each<[string, string, object, RegExp]>([
    ['a folder that is there', 'model', {}, /model: exists already/],
    ['an empty folder', 'empty', {}, /empty: exists already/],
    ['a file', 'file', { overwrite: true }, /the output is a folder, and something else is there/],
    ['the current folder', '.', { overwrite: true }, /holds the current folder/],
    ['the root', '/', { overwrite: true }, /holds the current folder/],
  ])('%s is refused before any work', async (_what, name, options, message) => {
    await withTempFolder(async (folder) => {
      await writeTree(folder, { 'model/x': '', file: '' });
      await mkdir(join(folder, 'empty'));
      const path = name === '.' || name === '/' ? name : join(folder, name);
      const writing = withAtomicFolder(path, options, async () => {
        throw new Error('the work ran');
      });
      await expect(writing).rejects.toMatchObject({
        code: 'ERE_CONFLICT',
        message: expect.stringMatching(message),
      });
      expect(await listTree(folder)).toEqual(['empty/', 'file', 'model/x']);
    });
  });

  it('a folder that holds an input is never replaced', async () => {
    await withTempFolder(async (folder) => {
      await writeTree(folder, { 'models/base/model.safetensors': '' });
      const inputs = [join(folder, 'models/base/model.safetensors'), join(folder, 'not there')];
      const writing = withAtomicFolder(join(folder, 'models'), { overwrite: true, inputs }, async () => {});
      await expect(writing).rejects.toMatchObject({
        code: 'ERE_CONFLICT',
        message: expect.stringContaining('input'),
      });
    });
  });

  it('a folder that came meanwhile is not replaced', async () => {
    await withTempFolder(async (folder) => {
      const writing = withAtomicFolder(join(folder, 'model'), {}, () =>
        writeTree(folder, { 'model/theirs': '' }),
      );
      await expect(writing).rejects.toMatchObject({ code: 'ERE_CONFLICT' });
      expect(await listTree(folder)).toEqual(['model/theirs']);
    });
  });

  it("a system error of the work's own writes names the output; one of another path stays as it is", async () => {
    await withTempFolder(async (folder) => {
      const path = join(folder, 'model');
      const own = withAtomicFolder(path, {}, (output) => writeFile(join(output.path, 'none/x'), ''));
      await expect(own).rejects.toMatchObject({
        code: 'ERE_NOT_FOUND',
        message: expect.stringContaining(path),
      });
      const other = withAtomicFolder(path, {}, () => writeFile(join(folder, 'none/x'), ''));
      await expect(other).rejects.toMatchObject({ code: 'ENOENT' });
    });
  });
});

describe('an output file', () => {
  it('finishes short writes', async () => {
    const target = new Uint8Array(10);
    const handle = {
      async write(buffer: Uint8Array, offset: number, length: number, position: number) {
        const part = buffer.subarray(offset, offset + Math.min(length, 3));
        target.set(part, position);
        return { bytesWritten: part.byteLength };
      },
      async truncate() {},
      async datasync() {},
    };
    const file = handleOutput(handle, 'x');
    await file.write(countingBytes(10));
    expect(target).toEqual(countingBytes(10));
  });

  it('a full disk is an IoError that names what the user asked for', async () => {
    const full = async () => {
      throw Object.assign(new Error('write'), { code: 'ENOSPC' });
    };
    const file = handleOutput({ write: full, truncate: full, datasync: full }, '.out.ere-tmp-1', 'out');
    const expected = { code: 'ERE_IO', message: 'out: cannot write: no space left on the device (ENOSPC)' };
    await expect(file.write(bytes('x'))).rejects.toMatchObject(expected);
    await expect(file.truncate(9)).rejects.toMatchObject(expected);
    await expect(file.flush()).rejects.toMatchObject(expected);
    expect(file.position).toBe(0);
  });
});

import { chmod, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { handleSource, openFileSource, type ReadableHandle } from '../../src/io/file-source.js';
import { toIoError } from '../../src/io/io-error.js';
import { countingBytes } from '../helpers/safetensors-bytes.js';
import { withTempFolder } from '../helpers/temp-folder.js';

/** A handle over bytes that gives at most `step` of them a call. */
function shortHandle(bytes: Uint8Array, step: number): ReadableHandle {
  return {
    async read(buffer, offset, length, position) {
      const part = bytes.subarray(position, position + Math.min(length, step));
      buffer.set(part, offset);
      return { bytesRead: part.byteLength };
    },
    async close() {},
  };
}

const systemError = (code: string) => Object.assign(new Error(`${code}: system text`), { code });

describe('a file source', () => {
  it('reads ranges, also at once', async () => {
    await withTempFolder(async (folder) => {
      const path = join(folder, 'x');
      await writeFile(path, countingBytes(200));
      const source = await openFileSource(path);
      expect(source).toMatchObject({ name: path, byteLength: 200 });
      const parts = await Promise.all(Array.from({ length: 50 }, (_, i) => source.read(i * 4, 4)));
      expect(parts.flatMap((part) => [...part])).toEqual([...countingBytes(200)]);
      expect((await source.read(200, 0)).byteLength).toBe(0);
      await expect(source.read(199, 2)).rejects.toThrow(RangeError);
      await expect(source.read(-1, 1)).rejects.toThrow(RangeError);
      await source.close();
      await source.close();
      await expect(source.read(0, 1)).rejects.toMatchObject({ code: 'ERE_IO' });
    });
  });

  it('finishes short reads', async () => {
    const source = handleSource('short', 10, shortHandle(countingBytes(10), 3));
    expect([...(await source.read(1, 8))]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('a file that became shorter is an IoError that names the byte', async () => {
    await withTempFolder(async (folder) => {
      const path = join(folder, 'x');
      await writeFile(path, countingBytes(10));
      const source = await openFileSource(path);
      await truncate(path, 6);
      await expect(source.read(4, 4)).rejects.toMatchObject({
        code: 'ERE_IO',
        message: `${path}: ends at byte 6, had 10 bytes when it was opened`,
      });
      await source.close();
    });
  });

  it('a result never shares memory with another', async () => {
    const source = handleSource('x', 10, shortHandle(countingBytes(10), 10));
    const [a, b] = [await source.read(0, 4), await source.read(4, 4)];
    expect(a.buffer).not.toBe(b.buffer);
    expect(a.buffer.byteLength).toBe(4);
  });

  it.each([
    ['a file that is not there', 'missing', 'ERE_NOT_FOUND', /missing: cannot open: no such file/],
    ['a path through a file', 'file/x', 'ERE_NOT_FOUND', /file\/x: cannot open: no such file/],
    ['a folder', '.', 'ERE_IO', /expected a regular file/],
  ])('%s is refused', async (_what, name, code, message) => {
    await withTempFolder(async (folder) => {
      await writeFile(join(folder, 'file'), '');
      await expect(openFileSource(join(folder, name))).rejects.toMatchObject({
        code,
        message: expect.stringMatching(message),
      });
    });
  });

  it('a file without permission is an IoError, unless the system lets us read it', async () => {
    await withTempFolder(async (folder) => {
      const path = join(folder, 'x');
      await writeFile(path, 'x');
      await chmod(path, 0);
      const outcome = await openFileSource(path).then(
        (source) => source.close().then(() => 'read'),
        (error) => error.code,
      );
      expect(outcome).toBe(process.getuid?.() === 0 ? 'read' : 'ERE_IO');
    });
  });
});

describe('a system error', () => {
  it.each([
    ['ENOENT', 'ERE_NOT_FOUND', 'p: cannot write: no such file or folder'],
    ['EEXIST', 'ERE_CONFLICT', 'p: cannot write: it exists already'],
    ['ENOSPC', 'ERE_IO', 'p: cannot write: no space left on the device (ENOSPC)'],
    ['EACCES', 'ERE_IO', 'p: cannot write: permission denied (EACCES)'],
    ['EWEIRD', 'ERE_IO', 'p: cannot write: EWEIRD: system text (EWEIRD)'],
  ])('%s becomes %s, with the path and the cause', (code, ereCode, message) => {
    const cause = systemError(code);
    expect(toIoError(cause, 'write', 'p')).toMatchObject({ code: ereCode, message, cause });
  });

  it('any other error comes back unchanged', () => {
    for (const error of [
      new RangeError('x'),
      'text',
      undefined,
      systemError('ERR_INVALID_ARG_TYPE'),
      new DOMException('', 'AbortError'),
    ]) {
      expect(toIoError(error, 'write', 'p')).toBe(error);
    }
  });
});

/** What a folder promises beside the suite: other processes, kill -9, full disks, and what others put into it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, open, readdir, readFile, rm, symlink, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { StoreBackend } from '../../../src/store/backend.js';
import { openFolderBackend } from '../../../src/store/backends/file-system.js';
import { newWriterName } from '../../../src/store/backends/writer-names.js';
import { collect } from '../../conformance/backend-fixture.js';
import { describeBackend } from '../../conformance/backend-suite.js';
import { PROJECT_ROOT, spawnNode } from '../../helpers/project.js';
import { listTree, withTempFolder, writeTree } from '../../helpers/temp-folder.js';

const PROCESS = join(PROJECT_ROOT, 'dist/test/helpers/backend-process.js');
/** What a process of another host writes. */
const FOREIGN = `${Buffer.from(JSON.stringify(['elsewhere', 1, '1', '1'])).toString('base64url')}.0123456789abcdef`;
const bytes = (text: string) => new TextEncoder().encode(text);
const textOf = async (backend: StoreBackend, key: string) =>
  new TextDecoder().decode(await backend.read(key));

describeBackend('file system', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ere-test-'));
  return {
    backend: await openFolderBackend(join(folder, 'deep', 'store'), { create: true }),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
});

describe('opening a folder', () => {
  it('makes it and those on the way with `create`, and is NotFoundError without', async () => {
    await withTempFolder(async (folder) => {
      const path = join(folder, 'a', 'b');
      await expect(openFolderBackend(path)).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
      expect(await listTree(folder)).toEqual([]);
      const backend = await openFolderBackend(path, { create: true });
      expect(backend).toMatchObject({ location: path, folder: path, isReadOnly: false });
      expect(await listTree(folder)).toEqual(['a/b/']);
      await openFolderBackend(path, { create: true });
    });
  });

  it('where a file is, is refused', async () => {
    await withTempFolder(async (folder) => {
      await writeTree(folder, { file: 'x' });
      await expect(openFolderBackend(join(folder, 'file'))).rejects.toThrow('expected a folder');
      await expect(openFolderBackend(join(folder, 'file', 'in'), { create: true })).rejects.toMatchObject({
        code: 'ERE_NOT_FOUND',
      });
    });
  });

  it('goes through a symbolic link to a folder', async () => {
    await withTempFolder(async (folder) => {
      await mkdir(join(folder, 'real'));
      await symlink(join(folder, 'real'), join(folder, 'link'));
      await (await openFolderBackend(join(folder, 'link'))).write('a', bytes('x'));
      expect(await listTree(join(folder, 'real'))).toContain('a');
    });
  });
});

describe('files of a folder', () => {
  it('are the values, at the path of the key, and nothing else is left', async () => {
    await withTempFolder(async (folder) => {
      const backend = await openFolderBackend(folder);
      await backend.write('objects/ab/cd', bytes('x'));
      await backend.compareAndSwap('refs/a', undefined, bytes('y'));
      expect(await listTree(folder)).toEqual(['objects/ab/cd', 'refs/a', 'tmp/']);
    });
  });

  it('that are none of the store are neither listed nor read', async () => {
    await withTempFolder(async (folder) => {
      await writeTree(folder, {
        'README.md': '',
        '.hidden': '',
        'a/.nfs0001': '',
        'A/b': '',
        'tmp/x': '',
        'a/b': 'v',
      });
      await symlink('b', join(folder, 'a', 'link'));
      const backend = await openFolderBackend(folder);
      expect((await collect(backend.list(''))).map(({ key }) => key)).toEqual(['a/b']);
      expect(await backend.stat('a/link')).toBeUndefined();
      await expect(backend.read('a/link')).rejects.toThrow('is a symbolic link, which a value never is');
    });
  });

  it('are never a folder of others: a key inside of a value, or around values, is a conflict', async () => {
    await withTempFolder(async (folder) => {
      const backend = await openFolderBackend(folder);
      await backend.write('a/b', bytes('x'));
      for (const key of ['a', 'a/b/c']) {
        await expect(backend.write(key, bytes('y'))).rejects.toMatchObject({ code: 'ERE_CONFLICT' });
        await expect(backend.compareAndSwap(key, undefined, bytes('y'))).rejects.toMatchObject({
          code: 'ERE_CONFLICT',
        });
      }
      expect(await listTree(folder)).toEqual(['a/b', 'tmp/']);
    });
  });

  it('are written again where somebody removed their folder meanwhile', async () => {
    await withTempFolder(async (folder) => {
      const backend = await openFolderBackend(folder);
      await backend.write('a/b/c', bytes('x'));
      await rm(join(folder, 'a'), { recursive: true });
      await rm(join(folder, 'tmp'), { recursive: true });
      await backend.write('a/b/c', bytes('y'));
      expect(await textOf(backend, 'a/b/c')).toBe('y');
    });
  });
});

describe('a full disk', () => {
  it('is one IoError that names the value, and leaves nothing', async () => {
    await withTempFolder(async (folder) => {
      const backend = await openFolderBackend(folder);
      await backend.write('a', bytes('old'));
      for (const code of ['ENOSPC', 'EDQUOT']) {
        for (const name of ['write', 'sync']) {
          await withFailing(folder, name, code, async () => {
            const expected = {
              code: 'ERE_IO',
              message: expect.stringContaining(`${join(folder, 'a')}: cannot write: `),
            };
            await expect(backend.write('a', bytes('new'))).rejects.toMatchObject(expected);
            await expect(backend.compareAndSwap('a', bytes('old'), bytes('new'))).rejects.toMatchObject(
              expected,
            );
          });
          expect(await textOf(backend, 'a')).toBe('old');
          expect(await listTree(folder)).toEqual(['a', 'tmp/']);
        }
      }
    });
  });
});

describe('processes that share a folder', () => {
  it('lose no increment of a counter', async () => {
    await withTempFolder(async (folder) => {
      const runs = Array.from({ length: 4 }, () =>
        spawnNode(folder, PROCESS, 'increment', folder, 'refs/n', '25'),
      );
      for (const { status, stderr } of await Promise.all(runs)) expect([status, stderr]).toEqual([0, '']);
      expect(await textOf(await openFolderBackend(folder), 'refs/n')).toBe('100');
      expect(await listTree(folder)).toEqual(['refs/n', 'tmp/']);
    });
  });

  it('wait for a lock that is held, no longer than they are told, and name its holder', async () => {
    await withTempFolder(async (folder) => {
      const backend = await openFolderBackend(folder, { lockTimeoutMs: 300 });
      const holder = await holdLockOf(folder, backend, 'a');
      try {
        const waiting = backend.compareAndSwap('a', undefined, bytes('x'));
        const pid = new RegExp(
          `${join(folder, 'a')}: another process is changing it: .*,${holder.pid},.*remove .*lock-`,
        );
        await expect(waiting).rejects.toThrow(pid);
        await expect(waiting).rejects.toMatchObject({ code: 'ERE_CONFLICT' });
        const signal = AbortSignal.timeout(50);
        const aborted = backend.compareAndSwap('a', undefined, bytes('x'), { signal });
        await expect(aborted).rejects.toMatchObject({ code: 'ERE_ABORTED' });
        expect(await backend.removeLeftovers()).toBe(0);
        await expect(backend.compareAndSwap('a', undefined, bytes('x'))).rejects.toThrow('another process');
        // Reads, and changes of other keys, go on.
        expect(await backend.stat('a')).toBeUndefined();
        expect(await backend.compareAndSwap('b', undefined, bytes('x'))).toBe(true);
      } finally {
        await killed(holder);
      }
      const takers = Array.from({ length: 8 }, (_, i) =>
        backend.compareAndSwap('a', undefined, bytes(`${i}`)),
      );
      expect((await Promise.all(takers)).filter((isWon) => isWon).length).toBe(1);
      expect(await listTree(folder)).toEqual(['a', 'b', 'tmp/']);
    });
  });

  it('wait for the lock of another host, and take it for left when it is ten minutes old', async () => {
    await withTempFolder(async (folder) => {
      const backend = await openFolderBackend(folder, { lockTimeoutMs: 50 });
      const lock = join(folder, 'tmp', await lockNameOf(folder, backend, 'a'));
      await writeTree(lock, { [FOREIGN]: '' });
      const ago = (minutes: number) => Date.now() / 1000 - 60 * minutes;
      await utimes(lock, ago(9), ago(9));
      await expect(backend.compareAndSwap('a', undefined, bytes('x'))).rejects.toThrow('"elsewhere",1');
      expect(await backend.removeLeftovers()).toBe(0);
      await utimes(lock, ago(11), ago(11));
      expect(await backend.compareAndSwap('a', undefined, bytes('x'))).toBe(true);
      expect(await listTree(folder)).toEqual(['a', 'tmp/']);
    });
  });

  it('change nothing when they have lost their lock meanwhile', async () => {
    await withTempFolder(async (folder) => {
      const backend = await openFolderBackend(folder);
      const lock = join(folder, 'tmp', await lockNameOf(folder, backend, 'a'));
      await backend.write('a', bytes('old'));
      // Others take it for left while its content is on the way to the disk.
      const losing = withSync(
        folder,
        () => rm(lock, { recursive: true }),
        async () => {
          await backend.compareAndSwap('a', bytes('old'), bytes('new'));
        },
      );
      const message = `${join(folder, 'a')}: cannot write: took so long that another process changed it`;
      await expect(losing).rejects.toMatchObject({ code: 'ERE_CONFLICT', message });
      expect(await textOf(backend, 'a')).toBe('old');
      expect(await listTree(folder)).toEqual(['a', 'tmp/']);
    });
  });

  it('leave what another host has half-written for a day', async () => {
    await withTempFolder(async (folder) => {
      const backend = await openFolderBackend(folder);
      await writeTree(join(folder, 'tmp'), { [FOREIGN]: 'half a value' });
      expect(await backend.removeLeftovers()).toBe(0);
      const yesterday = Date.now() / 1000 - 25 * 60 * 60;
      await utimes(join(folder, 'tmp', FOREIGN), yesterday, yesterday);
      expect(await backend.removeLeftovers()).toBe('half a value'.length);
      expect(await listTree(folder)).toEqual(['tmp/']);
    });
  });

  it('leave alone what running ones write', async () => {
    await withTempFolder(async (folder) => {
      const backend = await openFolderBackend(folder);
      const own = newWriterName();
      await writeTree(join(folder, 'tmp'), { [own]: 'half' });
      await utimes(join(folder, 'tmp', own), 1, 1);
      expect(await backend.removeLeftovers()).toBe(0);
      expect(await readdir(join(folder, 'tmp'))).toEqual([own]);
    });
  });
});

describe('kill -9', () => {
  it('before any change of the file system leaves each key with its old value or the new one', async () => {
    const seen = new Set<string>();
    let isDone = false;
    for (let call = 1; !isDone; call++) {
      await withTempFolder(async (folder) => {
        await writeTree(folder, { 'refs/a': 'old', 'refs/removed': 'old' });
        const argv = [PROCESS, 'die-at', folder, 'refs/a', String(call)];
        const { stdout, stderr } = await spawnNode(folder, ...argv);
        expect(stderr).toBe('');
        isDone = stdout === 'done\n';
        const backend = await openFolderBackend(folder);
        const keys = ['objects/new/one', 'refs/a', 'refs/removed'];
        const found: string[] = [];
        for (const key of keys) {
          found.push((await backend.stat(key)) === undefined ? '' : await textOf(backend, key));
        }
        seen.add(found.join());
        expect((await collect(backend.list(''))).map(({ key }) => key).sort()).toEqual(
          keys.filter((_, i) => found[i] !== ''),
        );
        // The next process goes on at once.
        const start = performance.now();
        expect(await backend.compareAndSwap('refs/a', bytes(found[1]), bytes('next'))).toBe(true);
        expect(performance.now() - start).toBeLessThan(5000);
        await backend.removeLeftovers();
        expect(await readdir(join(folder, 'tmp')).catch(() => [])).toEqual([]);
      });
    }
    expect([...seen]).toEqual([',old,old', 'new,old,old', 'new,new,old', 'new,new,']);
  });

  it('at random points of parallel writers loses nothing that was acknowledged', async () => {
    await withTempFolder(async (folder) => {
      const backend = await openFolderBackend(folder);
      let acknowledged = 0;
      for (let round = 0; round < 6; round++) {
        const writers = [0, 1].map(() => spawn(process.execPath, [PROCESS, 'churn', folder, 'refs/n']));
        const counts = writers.map((writer) => {
          let output = '';
          writer.stdout.on('data', (chunk) => {
            output += chunk;
          });
          return () => output.split('\n').length - 1;
        });
        await Promise.all(
          writers.map((writer) => new Promise((resolve) => writer.stdout.once('data', resolve))),
        );
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 40));
        await Promise.all(writers.map(killed));
        acknowledged += counts.reduce((sum, count) => sum + count(), 0);
        const number = Number(await textOf(backend, 'refs/n'));
        // Each killed writer may have counted one more than it could tell.
        expect(number).toBeGreaterThanOrEqual(acknowledged);
        expect(number).toBeLessThanOrEqual(acknowledged + 2 * (round + 1));
        for (const { key, byteLength } of await collect(backend.list('objects'))) {
          const value = await readFile(join(folder, key));
          expect(byteLength).toBe(150_000);
          expect(value.every((byte) => byte === value[0])).toBe(true);
        }
      }
      await backend.removeLeftovers();
      expect(await readdir(join(folder, 'tmp'))).toEqual([]);
    });
  });
});

/** Does something before each flush of a file or folder. */
async function withSync(
  folder: string,
  before: () => Promise<void>,
  use: () => Promise<void>,
): Promise<void> {
  const handle = await open(folder, 'r');
  const prototype = Object.getPrototypeOf(handle);
  const sync = prototype.sync;
  const spy = vi.spyOn(prototype, 'sync').mockImplementation(async function (this: unknown) {
    await before();
    return sync.call(this);
  });
  try {
    await use();
  } finally {
    spy.mockRestore();
    await handle.close();
  }
}

/** The name of a key's lock, which is made for a moment. */
async function lockNameOf(folder: string, backend: StoreBackend, key: string): Promise<string> {
  const names = new Set<string>();
  const look = async () => {
    for (const name of await readdir(join(folder, 'tmp'))) names.add(name);
  };
  await withSync(folder, look, async () => {
    await backend.compareAndSwap(key, undefined, bytes('x'));
    await backend.compareAndSwap(key, bytes('x'), undefined);
  });
  return [...names].find((name) => name.startsWith('lock-'))!;
}

/** Another process that holds the lock of a key. */
async function holdLockOf(folder: string, backend: StoreBackend, key: string): Promise<ChildProcess> {
  const name = await lockNameOf(folder, backend, key);
  const child = spawn(process.execPath, [PROCESS, 'hold', folder, name], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((resolve) => child.stdout!.once('data', resolve));
  return child;
}

function killed(child: ChildProcess): Promise<unknown> {
  const end = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGKILL');
  return end;
}

/** Makes a call of every open file fail. */
async function withFailing(
  folder: string,
  name: string,
  code: string,
  use: () => Promise<void>,
): Promise<void> {
  const handle = await open(folder, 'r');
  const error = Object.assign(new Error(`${code}: ${name}`), { code });
  const spy = vi.spyOn(Object.getPrototypeOf(handle), name).mockRejectedValue(error);
  try {
    await use();
  } finally {
    spy.mockRestore();
    await handle.close();
  }
}

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  type CacheBlob,
  fillHubCacheBlob,
  hubCacheSnapshot,
  linkHubCacheFile,
  listHubCacheFiles,
  readHubCacheRef,
  writeHubCacheRef,
} from '../../src/io/hub-cache-files.js';
import { processTag } from '../../src/io/process-identity.js';
import { gitHash } from '../helpers/hub-repos.js';
import { withTempFolder } from '../helpers/temp-folder.js';

const BYTES = new TextEncoder().encode('the bytes of a blob');
const SHA256 = createHash('sha256').update(BYTES).digest('hex');

const blobOf = (folder: string, etag = SHA256): CacheBlob => ({
  folder,
  etag,
  byteLength: BYTES.byteLength,
  shown: 'org/model/file',
});

/** Gives out the right bytes in pieces of three, and notes from where. */
function fetching(offsets: number[]) {
  return async (offset: number, sink: (piece: Uint8Array) => Promise<void>): Promise<void> => {
    offsets.push(offset);
    for (let at = offset; at < BYTES.byteLength; at += 3) await sink(BYTES.subarray(at, at + 3));
  };
}

const blobs = (folder: string) => readdir(join(folder, 'blobs'));
const contents = async (folder: string, name: string) =>
  new Uint8Array(await readFile(join(folder, 'blobs', name)));

/** Number of a process that has ended. */
function endedProcess(): Promise<number> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, ['-e', '']);
    child.on('close', () => resolve(child.pid!));
  });
}

describe('fillHubCacheBlob', () => {
  test('checks SHA-256 of LFS objects and the blob hash of files of git', async () => {
    await withTempFolder(async (folder) => {
      for (const etag of [SHA256, gitHash(BYTES), 'opaque']) {
        await fillHubCacheBlob(blobOf(folder, etag), fetching([]));
        expect(await contents(folder, etag)).toEqual(BYTES);
      }
      expect(await blobs(folder)).toHaveLength(3);
    });
  });

  test('goes on behind what a run has left that failed', async () => {
    await withTempFolder(async (folder) => {
      const offsets: number[] = [];
      const failing = fillHubCacheBlob(blobOf(folder), async (_, sink) => {
        await sink(BYTES.subarray(0, 7));
        throw new Error('away');
      });
      await expect(failing).rejects.toThrow('away');
      await fillHubCacheBlob(blobOf(folder), fetching(offsets));
      expect(offsets).toEqual([7]);
      expect(await contents(folder, SHA256)).toEqual(BYTES);
      expect(await blobs(folder)).toEqual([SHA256]);
    });
  });

  test('goes on with what a killed process has left, and leaves alone what a running one works on', async () => {
    await withTempFolder(async (folder) => {
      const offsets: number[] = [];
      const running = `${SHA256}.${processTag()}.00000000.ere.incomplete`;
      const ended = `${SHA256}.${processTag(await endedProcess())}.00000000.ere.incomplete`;
      await mkdir(join(folder, 'blobs'), { recursive: true });
      for (const [i, name] of [running, ended, `${SHA256}.incomplete`].entries())
        await writeFile(join(folder, 'blobs', name), BYTES.subarray(0, 5 + i));
      await fillHubCacheBlob(blobOf(folder), fetching(offsets));
      expect(offsets).toEqual([6]);
      expect((await blobs(folder)).sort()).toEqual([SHA256, running, `${SHA256}.incomplete`].sort());
      expect(await contents(folder, SHA256)).toEqual(BYTES);
    });
  });

  test('several at once each write their own file, and the blob is whole', async () => {
    await withTempFolder(async (folder) => {
      await Promise.all([1, 2, 3].map(() => fillHubCacheBlob(blobOf(folder), fetching([]))));
      expect(await blobs(folder)).toEqual([SHA256]);
      expect(await contents(folder, SHA256)).toEqual(BYTES);
    });
  });

  test.each([
    ['another byte', (bytes: Uint8Array) => bytes.map((byte, i) => (i === 4 ? byte ^ 1 : byte))],
    ['too few bytes', (bytes: Uint8Array) => bytes.subarray(1)],
    ['too many bytes', (bytes: Uint8Array) => Uint8Array.of(...bytes, 0)],
  ])('%s is an IntegrityError that leaves nothing', async (_, damage) => {
    await withTempFolder(async (folder) => {
      const filling = fillHubCacheBlob(blobOf(folder), (_offset, sink) => sink(damage(BYTES)));
      await expect(filling).rejects.toMatchObject({ code: 'ERE_INTEGRITY' });
      expect(await blobs(folder)).toEqual([]);
    });
  });

  test('what was left of something longer is thrown away', async () => {
    await withTempFolder(async (folder) => {
      await mkdir(join(folder, 'blobs'), { recursive: true });
      await writeFile(join(folder, 'blobs', `${SHA256}.ere.incomplete`), 'x'.repeat(100));
      const offsets: number[] = [];
      await fillHubCacheBlob(blobOf(folder), fetching(offsets));
      expect(offsets).toEqual([0]);
      expect(await contents(folder, SHA256)).toEqual(BYTES);
    });
  });
});

test('a file of a snapshot is a relative link to its blob, and a later one takes its place', async () => {
  await withTempFolder(async (folder) => {
    const commit = 'c'.repeat(40);
    await fillHubCacheBlob(blobOf(folder), fetching([]));
    await linkHubCacheFile(blobOf(folder, 'gone'), commit, 'sub/file');
    const link = await linkHubCacheFile(blobOf(folder), commit, 'sub/file');
    expect(await readlink(link)).toBe(join('..', '..', '..', 'blobs', SHA256));
    expect(new Uint8Array(await readFile(link))).toEqual(BYTES);
    expect(await listHubCacheFiles(hubCacheSnapshot(folder, commit))).toEqual(['sub/file']);
  });
});

test('a ref comes back as it was written, and what is no commit is no ref', async () => {
  await withTempFolder(async (folder) => {
    const commit = 'c'.repeat(40);
    await writeHubCacheRef(folder, 'refs/pr/1', commit);
    expect(await readHubCacheRef(folder, 'refs/pr/1')).toBe(commit);
    expect(await readHubCacheRef(folder, 'main')).toBeUndefined();
    await writeHubCacheRef(folder, 'main', '../../elsewhere');
    expect(await readHubCacheRef(folder, 'main')).toBeUndefined();
  });
});

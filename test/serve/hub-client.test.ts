/** The real client of the Hub, @huggingface/hub, unmodified, downloads whole models from a store and from archives. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  downloadFile,
  downloadFileToCacheDir,
  fileDownloadInfo,
  fileExists,
  listCommits,
  listFiles,
  listModels,
  modelInfo,
  parseSafetensorsMetadata,
  pathsInfo,
  snapshotDownload,
} from '@huggingface/hub';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { gitHash, sha256 } from '../helpers/hub-repos.js';
import { type ServeSetting, sharedModels, sharedServe, TOKEN, withServe } from '../helpers/serve-setting.js';
import { type ExpectedVersion, readTree } from '../helpers/served-models.js';
import { withTempFolder } from '../helpers/temp-folder.js';

const models = sharedModels();
// The client tells what it downloads.
beforeAll(() => void vi.spyOn(console, 'debug').mockImplementation(() => {}));
afterAll(() => void vi.restoreAllMocks());

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

const ofStore = sharedServe(() => ({ store: models.now.storePath }));
const ofArchives = sharedServe(() => ({ archives: models.now.archives, bases: [models.now.base] }));

const withStoreServed = (use: (setting: ServeSetting) => Promise<void>) => use(ofStore.now);

/** What a snapshot has: every file as it was committed, in the layout that other clients look in. */
async function expectSnapshot(
  hubUrl: string,
  model: string,
  { commit, files }: ExpectedVersion,
  revision?: string,
): Promise<void> {
  await withTempFolder(async (cacheDir) => {
    const snapshot = await snapshotDownload({ repo: model, hubUrl, cacheDir, ...(revision && { revision }) });
    const repo = join(cacheDir, `models--${model.replaceAll('/', '--')}`);
    const [name] = await readdir(join(repo, 'snapshots'));
    expect(name).toMatch(/^[0-9a-f]{40}$/);
    if (commit !== undefined) expect(name).toBe(commit);
    expect(snapshot).toBe(join(repo, 'snapshots', name!));
    if (revision !== commit)
      expect(await readFile(join(repo, 'refs', revision ?? 'main'), 'utf8')).toBe(name);
    const found = await readTreeThroughLinks(snapshot, files.keys());
    for (const [path, bytes] of files) expect(found.get(path)!.equals(bytes), `${model} ${path}`).toBe(true);
    // Blobs are named by what they hold: files that are equal in several versions are there once.
    for (const blob of await readdir(join(repo, 'blobs')))
      expect(blob).toMatch(/^[0-9a-f]{40}(?:[0-9a-f]{24})?$/);
  });
}

/** Files of a snapshot, which are links. */
async function readTreeThroughLinks(folder: string, paths: Iterable<string>): Promise<Map<string, Buffer>> {
  const expected = [...paths];
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  expect(entries.filter((entry) => !entry.isDirectory())).toHaveLength(expected.length);
  return new Map(
    await Promise.all(expected.map(async (path) => [path, await readFile(join(folder, path))] as const)),
  );
}

describe('snapshotDownload', () => {
  test('the newest version of every model of a store, byte for byte', async () => {
    await withStoreServed(async ({ url }) => {
      for (const [name, version] of models.now.models) await expectSnapshot(url, name, version);
    });
  });

  test('older versions by tag, by a tag with a slash, and by commit', async () => {
    await withStoreServed(async ({ url }) => {
      const [first, second] = models.now.chat;
      await expectSnapshot(url, 'chat', first!, 'v1.0');
      await expectSnapshot(url, 'chat', second!, 'release/v2');
      await expectSnapshot(url, 'chat', second!, second!.commit);
    });
  });

  test('archives in a folder, exact and lossy, as decode gives them', async () => {
    for (const [name, version] of models.now.archived)
      await expectSnapshot(ofArchives.now.url, name, version);
  });

  test('with a token that the server asks for', async () => {
    await withServe({ store: models.now.storePath, tokens: [TOKEN] }, async ({ url }) => {
      await withTempFolder(async (cacheDir) => {
        const params = { repo: 'chat', hubUrl: url, cacheDir };
        await expect(snapshotDownload(params)).rejects.toMatchObject({ statusCode: 401 });
        const other = snapshotDownload({ ...params, accessToken: 'hf_another_that_is_wrong' });
        await expect(other).rejects.toMatchObject({ statusCode: 401 });
        const snapshot = await snapshotDownload({ ...params, accessToken: TOKEN });
        const weights = await readFile(join(snapshot, 'model.safetensors'));
        expect(weights.equals(models.now.chat[2]!.files.get('model.safetensors')!)).toBe(true);
      });
    });
  });
});

describe('models and revisions', () => {
  test('listModels has every model once; search and owner choose among them', async () => {
    await withStoreServed(async ({ url }) => {
      const names = async (search?: { query?: string; owner?: string }) =>
        (await collect(listModels({ hubUrl: url, ...(search && { search }) }))).map(({ name }) => name);
      expect(await names()).toEqual(['chat', 'user/imported', 'user/lossy', 'user/sharded']);
      expect(await names({ query: 'SHARD' })).toEqual(['user/sharded']);
      expect(await names({ owner: 'user' })).toEqual(['user/imported', 'user/lossy', 'user/sharded']);
      expect(await names({ owner: 'use' })).toEqual([]);
      expect(await collect(listModels({ hubUrl: url, limit: 2 }))).toHaveLength(2);
    });
  });

  test('modelInfo without a revision asks for HEAD and is told of the newest version', async () => {
    await withStoreServed(async ({ url }) => {
      const info = await modelInfo({
        name: 'chat',
        hubUrl: url,
        additionalFields: ['sha', 'filePaths', 'tags'],
      });
      const { commit, files } = models.now.chat[2]!;
      expect(info).toMatchObject({ name: 'chat', sha: commit, private: false, gated: false });
      expect(info.filePaths).toEqual([...files.keys()]);
      expect(info.tags).toContain('base_model:finetune:tiny');
      expect(info.updatedAt.getTime()).toBeGreaterThan(Date.now() - 3_600_000);
    });
  });

  test('every way to name a revision leads to its commit', async () => {
    await withStoreServed(async ({ url }) => {
      const shaAt = async (revision: string) =>
        (await modelInfo({ name: 'chat', hubUrl: url, revision, additionalFields: ['sha'] })).sha;
      const [first, second, third] = models.now.chat.map(({ commit }) => commit!);
      expect(await shaAt('main')).toBe(third);
      expect(await shaAt('refs/heads/main')).toBe(third);
      expect(await shaAt('v1.0')).toBe(first);
      expect(await shaAt('release/v2')).toBe(second);
      expect(await shaAt(first!)).toBe(first);
      expect(await shaAt(first!.slice(0, 7))).toBe(first);
    });
  });

  test('what is not there is 404: models, revisions, and those of another model', async () => {
    await withStoreServed(async ({ url: hubUrl }) => {
      const sharded = models.now.models.get('user/sharded')!.commit!;
      const unknown: [string, string | undefined][] = [
        ['nobody/none', undefined],
        ['chat', 'v9'],
        ['chat', '0'.repeat(40)],
        ['chat', sharded],
        ['user/sharded', 'v1.0'],
      ];
      for (const [name, revision] of unknown) {
        const asked = modelInfo({ name, hubUrl, ...(revision && { revision }) });
        await expect(asked, `${name} ${revision}`).rejects.toMatchObject({ statusCode: 404 });
        const path = 'config.json';
        expect(await fileExists({ repo: name, path, hubUrl, revision: revision ?? 'main' })).toBe(false);
      }
    });
  });

  test('listCommits goes from the newest to the oldest, over pages', async () => {
    await withStoreServed(async ({ url: hubUrl }) => {
      const commits = await collect(listCommits({ repo: 'chat', hubUrl, batchSize: 2 }));
      expect(commits.map(({ oid }) => oid)).toEqual(models.now.chat.map(({ commit }) => commit).reverse());
      expect(commits[0]).toMatchObject({ title: 'from 3', message: 'more', authors: [] });
      expect(commits[0]!.date.getTime()).toBeGreaterThanOrEqual(commits[2]!.date.getTime());
      const older = await collect(listCommits({ repo: 'chat', hubUrl, revision: 'release/v2' }));
      expect(older.map(({ oid }) => oid)).toEqual([models.now.chat[1]!.commit, models.now.chat[0]!.commit]);
    });
  });
});

describe('files', () => {
  test('listFiles gives the files and folders of a folder, or all, and commits where they are asked for', async () => {
    await withStoreServed(async ({ url: hubUrl }) => {
      const paths = async (options: { recursive?: boolean; path?: string }) =>
        (await collect(listFiles({ repo: 'chat', hubUrl, ...options }))).map(
          ({ path, type }) => `${type} ${path}`,
        );
      expect(await paths({})).toEqual([
        'file config.json',
        'file empty.txt',
        'file model.safetensors',
        'directory tokenizer',
      ]);
      expect(await paths({ path: 'tokenizer' })).toEqual([
        'directory tokenizer/notes',
        'file tokenizer/vocab.txt',
      ]);
      expect((await paths({ recursive: true })).filter((line) => line.startsWith('file'))).toHaveLength(5);
      const expanded = await collect(listFiles({ repo: 'chat', hubUrl, recursive: true, expand: true }));
      for (const { lastCommit } of expanded) expect(lastCommit!.id).toBe(models.now.chat[2]!.commit);
      await expect(paths({ path: 'nothing' })).rejects.toMatchObject({ statusCode: 404 });
    });
  });

  test('sizes, git hashes and large-file digests of pathsInfo and listFiles are those of the bytes', async () => {
    await withStoreServed(async ({ url: hubUrl }) => {
      for (const [repo, { files }] of models.now.models) {
        const entries = new Map(
          (await collect(listFiles({ repo, hubUrl, recursive: true }))).map((entry) => [entry.path, entry]),
        );
        const asked = await pathsInfo({ repo, hubUrl, paths: [...files.keys(), 'nothing.txt', 'tokenizer'] });
        expect(asked.filter(({ type }) => type === 'file')).toHaveLength(files.size);
        for (const { path, size, oid, lfs } of asked) {
          expect(entries.get(path)).toMatchObject({ size, oid });
          const bytes = files.get(path);
          if (bytes === undefined) continue;
          expect(size).toBe(bytes.byteLength);
          if (lfs !== undefined) {
            expect(lfs).toMatchObject({ oid: sha256(bytes), size: bytes.byteLength });
            expect(entries.get(path)!.lfs).toEqual(lfs);
          } else if (!path.endsWith('.safetensors')) {
            expect(oid).toBe(gitHash(bytes));
          }
        }
        const expanded = await pathsInfo({ repo, hubUrl, paths: ['config.json'], expand: true });
        expect(expanded[0]!.lastCommit.id).toMatch(/^[0-9a-f]{40}$/);
      }
    });
  });

  test('weight files have the digest of the whole, where anybody has had them whole', async () => {
    await withStoreServed(async ({ url: hubUrl }) => {
      const weights = async (repo: string) =>
        (await pathsInfo({ repo, hubUrl, paths: ['model.safetensors'] }))[0]!;
      expect((await weights('chat')).lfs).toBeDefined();
      expect(await weights('user/imported')).toMatchObject({
        lfs: undefined,
        oid: expect.stringMatching(/^[0-9a-f]{40}$/),
      });
    });
  });

  test('downloadFile gives the bytes, of a range too; what is not there is null', async () => {
    await withStoreServed(async ({ url: hubUrl }) => {
      for (const [repo, { files }] of models.now.models) {
        for (const [path, bytes] of files) {
          const blob = await downloadFile({ repo, path, hubUrl });
          expect(Buffer.from(await blob!.arrayBuffer()).equals(bytes), `${repo} ${path}`).toBe(true);
          if (bytes.byteLength < 3) continue;
          const part = await blob!.slice(1, bytes.byteLength - 1).arrayBuffer();
          expect(Buffer.from(part).equals(bytes.subarray(1, -1)), `${repo} ${path}`).toBe(true);
        }
      }
      expect(await downloadFile({ repo: 'chat', path: 'none.json', hubUrl })).toBeNull();
      expect(await fileDownloadInfo({ repo: 'chat', path: 'none.json', hubUrl })).toBeNull();
    });
  });

  test('fileDownloadInfo has the size and the digest of the file; raw ones those of the pointer', async () => {
    await withStoreServed(async ({ url: hubUrl }) => {
      const bytes = models.now.chat[2]!.files.get('model.safetensors')!;
      const params = { repo: 'chat', path: 'model.safetensors', hubUrl };
      expect(await fileDownloadInfo(params)).toMatchObject({
        size: bytes.byteLength,
        etag: `"${sha256(bytes)}"`,
      });
      expect(await fileExists(params)).toBe(true);
      const pointer = await downloadFile({ ...params, raw: true });
      expect(await pointer!.text()).toContain(`oid sha256:${sha256(bytes)}\nsize ${bytes.byteLength}\n`);
    });
  });

  test('parseSafetensorsMetadata reads headers of one file and of shards', async () => {
    await withServe({ store: models.now.storePath }, async ({ url: hubUrl, metric }) => {
      const single = await parseSafetensorsMetadata({ repo: 'chat', hubUrl, computeParametersCount: true });
      expect(single.sharded).toBe(false);
      expect(single.parameterCount).toMatchObject({ F32: 512 * 700 + 48, BF16: 64 * 48 + 33 * 17 });
      const shards = await parseSafetensorsMetadata({ repo: 'user/sharded', hubUrl });
      expect(shards.sharded).toBe(true);
      expect(Object.keys(shards.sharded ? shards.headers : {})).toHaveLength(2);
      // Two side files, no tensor.
      expect(await metric('ere_rebuilt_bytes_total')).toBeLessThan(2000);
    });
  });

  test('files that are equal in two versions are downloaded once', async () => {
    await withStoreServed(async ({ url: hubUrl, logs }) => {
      await withTempFolder(async (cacheDir) => {
        const download = (path: string, revision: string) =>
          downloadFileToCacheDir({ repo: 'chat', path, revision, hubUrl, cacheDir });
        const before = logs.length;
        const [first, third] = [models.now.chat[0]!.commit!, models.now.chat[2]!.commit!];
        for (const path of ['tokenizer/vocab.txt', 'config.json']) {
          await download(path, first);
          await download(path, third);
        }
        const downloads = logs
          .slice(before)
          .filter((record) => record.event === 'request' && /\/resolve\/.*vocab/.test(record.path));
        // The size by a byte, and the file: of one version.
        expect(downloads).toHaveLength(2);
        expect([...(await readTree(join(cacheDir, 'models--chat', 'blobs'))).keys()]).toHaveLength(3);
      });
    });
  });
});

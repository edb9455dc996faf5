import { lstat, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { pull, push } from '../../src/hub/index.js';
import { decode, encode, inspect } from '../../src/index.js';
import { TOKEN } from '../helpers/hub-double.js';
import { sha256 } from '../helpers/hub-repos.js';
import { BASE, filesOf, type HubSetting, withHub } from '../helpers/hub-setting.js';
import { tinylm } from '../helpers/tinylm.js';

const REPO = 'user/tuned';
const SHARDS = [['model.layers.0.weight', 'head.weight'], ['model.layers.1.weight']];

/** Archives by what they were made of: the pair is always the same. */
const encoded = new Map<string, Uint8Array>();

/** Encodes the pair, and puts the archive where push would. */
async function pushed(
  { hub, base, tuned, folder, commit }: HubSetting,
  options: Partial<Parameters<typeof encode>[1]> = {},
): Promise<string> {
  const output = join(folder, 'local.ere');
  const all = {
    baseName: BASE,
    baseRevision: commit,
    budget: { kind: 'rank', rank: 2 },
    ...options,
  } as const;
  const key = JSON.stringify(all);
  let bytes = encoded.get(key);
  if (bytes === undefined) {
    await encode(tuned, { base, output, ...all });
    bytes = new Uint8Array(await readFile(output));
    encoded.set(key, bytes);
  } else {
    await writeFile(output, bytes);
  }
  hub.addFiles(REPO, { 'model.ere': bytes });
  return output;
}

/** Files of a model, less what ERE itself notes in the folder. */
async function modelFiles(folder: string): Promise<Record<string, Uint8Array>> {
  const { '.ere-pull.json': _record, ...files } = await filesOf(folder);
  return files;
}

const digests = (files: Record<string, Uint8Array>): string[][] =>
  Object.entries(files).map(([path, bytes]) => [path, sha256(bytes)]);

async function expectLikeLocal({ base, folder }: HubSetting, archive: string, output: string): Promise<void> {
  const local = join(folder, 'locally');
  await decode(archive, { base, output: local, overwrite: true });
  expect(await modelFiles(output)).toEqual(await filesOf(local));
}

const settings: HubSetting[] = [];
afterEach(() => {
  for (const { hub } of settings.splice(0)) expect(hub.violations).toEqual([]);
});

function withSetting(use: (setting: HubSetting) => Promise<void>, shards?: typeof SHARDS): Promise<void> {
  return withHub(async (setting) => {
    settings.push(setting);
    await use(setting);
  }, shards);
}

describe('pull', () => {
  test('gives the files of a local decode, and leaves archive and base in the standard cache', async () => {
    await withSetting(async (setting) => {
      const archive = await pushed(setting);
      const output = join(setting.folder, 'out');
      const report = await pull(REPO, { ...setting.options, output });
      await expectLikeLocal(setting, archive, output);
      expect(report).toMatchObject({ repo: REPO, file: 'model.ere', isReused: false });
      expect(report.digest).toBe((await inspect(archive)).index.decoded.digest);
      expect(report.downloadedByteLength.base).toBeGreaterThan(0);

      const repo = join(setting.cache, 'models--org--base');
      const link = join(repo, 'snapshots', setting.commit, 'model.safetensors');
      expect((await lstat(link)).isSymbolicLink()).toBe(true);
      expect(await readFile(link)).toEqual(await readFile(join(setting.base, 'model.safetensors')));
      const tuned = join(setting.cache, 'models--user--tuned');
      expect(await readFile(join(tuned, 'refs', 'main'), 'utf8')).toBe(report.commit);
      expect(await readdir(join(tuned, 'blobs'))).toHaveLength(1);
    });
  });

  test('a sharded base is fetched by its index, and only what the archive needs', async () => {
    await withSetting(async (setting) => {
      setting.hub.addFiles(BASE, { 'pytorch_model.bin': 'x', 'notes.txt': 'x' });
      const archive = await pushed(setting);
      const output = join(setting.folder, 'out');
      await pull(REPO, { ...setting.options, output });
      await expectLikeLocal(setting, archive, output);
      const there = await readdir(join(setting.cache, 'models--org--base', 'snapshots', setting.commit));
      expect(there.sort()).toEqual([
        'model-00001-of-00002.safetensors',
        'model-00002-of-00002.safetensors',
        'model.safetensors.index.json',
        'tokenizer.json',
      ]);
    }, SHARDS);
  });

  test('a base in the cache is not asked for', async () => {
    await withSetting(async (setting) => {
      await pushed(setting);
      await pull(REPO, { ...setting.options, output: join(setting.folder, 'one') });
      setting.hub.requests.length = 0;
      const report = await pull(REPO, { ...setting.options, output: join(setting.folder, 'two') });
      expect(report.downloadedByteLength).toEqual({ archive: 0, base: 0 });
      expect(
        setting.hub.requests.filter((line) => line.includes('org/base') || line.includes('storage')),
      ).toEqual([]);
    });
  });

  test('what an earlier pull wrote is taken as it is, unless a file was changed', async () => {
    await withSetting(async (setting) => {
      await pushed(setting);
      const options = { ...setting.options, output: join(setting.folder, 'out') };
      const first = await pull(REPO, options);
      const again = await pull(REPO, options);
      expect(again).toMatchObject({ isReused: true, digest: first.digest });
      expect([...again.files].sort()).toEqual([...first.files].sort());
      await writeFile(join(options.output, 'config.json'), '{}');
      await expect(pull(REPO, options)).rejects.toMatchObject({ code: 'ERE_CONFLICT' });
      expect(await pull(REPO, { ...options, overwrite: true })).toMatchObject({ isReused: false });
    });
  });

  test('offline, archive and base of the cache do, and what is not there is named', async () => {
    await withSetting(async (setting) => {
      await pushed(setting);
      const { options, folder, hub } = setting;
      const environment = { ...options.environment, HF_HUB_OFFLINE: '1' };
      const offline = { ...options, environment, output: join(folder, 'offline') };
      await expect(pull(REPO, offline)).rejects.toMatchObject({
        code: 'ERE_HUB',
        message: expect.stringContaining('HF_HUB_OFFLINE'),
      });
      await pull(REPO, { ...options, output: join(folder, 'out') });
      hub.requests.length = 0;
      await pull(REPO, offline);
      expect(await modelFiles(offline.output)).toEqual(await modelFiles(join(folder, 'out')));
      expect(hub.requests).toEqual([]);
    });
  });

  test('--quality lossy downloads no exact terms, and --max-size no more than it says', async () => {
    await withSetting(async (setting) => {
      const { options, folder, hub } = setting;
      const archive = await pushed(setting, { exactOnTop: true, budget: { kind: 'ratio', ratio: 0.3 } });
      const { byteLength, index, prefixes } = await inspect(archive);
      await pull(REPO, { ...options, output: join(folder, 'warm-up') });
      await rm(join(setting.cache, 'models--user--tuned'), { recursive: true });
      const lossy = await pull(REPO, { ...options, output: join(folder, 'lossy'), quality: 'lossy' });
      expect(lossy.digest).toBe(index.decoded.lossyDigest);
      expect(lossy.usedByteLength).toBeLessThan(byteLength);
      expect(lossy.downloadedByteLength.archive).toBe(lossy.usedByteLength);

      const least = prefixes[0]!.byteLength;
      hub.requests.length = 0;
      const small = await pull(REPO, { ...options, output: join(folder, 'small'), maxByteLength: least });
      expect(small.usedByteLength).toBeLessThanOrEqual(least);
      expect(small.decoded?.quality).toBe('partial');
      const read = hub.requests.flatMap(
        (line) => /^GET storage.*bytes=(\d+)-(\d+)$/.exec(line)?.slice(2) ?? [],
      );
      // The index takes one read of 64 KiB, whatever is asked for.
      expect(Math.max(...read.map(Number))).toBeLessThan(Math.max(least, 65536));

      const tooFew = pull(REPO, { ...options, output: join(folder, 'none'), maxByteLength: 100 });
      await expect(tooFew).rejects.toMatchObject({ code: 'ERE_BUDGET' });
    });
  });

  test('exact quality of a lossy archive is refused before anything is downloaded', async () => {
    await withSetting(async (setting) => {
      await pushed(setting);
      const refused = pull(REPO, {
        ...setting.options,
        output: join(setting.folder, 'out'),
        quality: 'exact',
      });
      await expect(refused).rejects.toMatchObject({ code: 'ERE_UNSUPPORTED' });
      await expect(lstat(setting.cache)).rejects.toMatchObject({ code: 'ENOENT' });
    });
  });

  test('a wrong base is named, and no output is left', async () => {
    await withSetting(async (setting) => {
      const { options, folder, tuned } = setting;
      await pushed(setting);
      const output = join(folder, 'out');
      await expect(pull(REPO, { ...options, output, base: tuned })).rejects.toMatchObject({
        code: 'ERE_CHECKPOINT_MISMATCH',
      });
      await expect(lstat(output)).rejects.toMatchObject({ code: 'ENOENT' });
    });
  });

  test('an archive whose base is no repository asks for one, and takes a local folder', async () => {
    await withSetting(async (setting) => {
      const { options, folder, base } = setting;
      const archive = await pushed(setting, { baseName: 'my-base' });
      const output = join(folder, 'out');
      await expect(pull(REPO, { ...options, output })).rejects.toThrow(/"my-base".*--base/);
      await pull(REPO, { ...options, output, base });
      await expectLikeLocal(setting, archive, output);
    });
  });

  test('a revision is a branch or a commit, and a repository without archive or with several says so', async () => {
    await withSetting(async (setting) => {
      const { options, folder, hub } = setting;
      await pushed(setting);
      const old = hub.repos.get(REPO)!.branches.get('main')!;
      const output = join(folder, 'out');
      hub.addFiles(REPO, { 'other.ere': 'x' });
      await expect(pull(REPO, { ...options, output })).rejects.toThrow('model.ere, other.ere');
      expect(await pull(`${REPO}@${old}`, { ...options, output })).toMatchObject({ commit: old });
      await expect(pull(`${REPO}@nowhere`, { ...options, output })).rejects.toMatchObject({
        statusCode: 404,
      });
      await expect(pull(BASE, { ...options, output })).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
    });
  });
});

describe('pull over a bad network', () => {
  const OUT = 'out';
  /** The base has 40 kB, the archive 2. */
  const BASE_DOWNLOAD = /^GET storage.*bytes=0-4\d{4}$/;

  test.each([
    [
      '429 with Retry-After',
      { on: /revision/, fault: { status: 429, headers: { 'retry-after': '0' } }, times: 2 },
    ],
    ['503 of storage', { on: /^GET storage/, fault: { status: 503 }, times: 2 }],
    ['a dropped connection', { on: /^(GET|HEAD) \/.*resolve/, fault: 'drop', times: 3 }],
    ['answers that are cut off', { on: /^GET storage/, fault: 'cut', times: 5 }],
    ['JSON that is cut off', { on: /tree/, fault: 'cut', times: 1 }],
    ['JSON that is damaged', { on: /tree/, fault: 'short', times: 1 }],
    ['one corrupted body', { on: BASE_DOWNLOAD, fault: 'corrupt', times: 1 }],
  ] as const)('%s is got over', async (_, fault) => {
    await withSetting(async (setting) => {
      const archive = await pushed(setting);
      setting.hub.faults.push(fault);
      const output = join(setting.folder, OUT);
      await pull(REPO, { ...setting.options, output });
      expect(setting.hub.faultCount()).toBe(fault.times);
      await expectLikeLocal(setting, archive, output);
    });
  });

  test('a download that broke off goes on where it stopped', async () => {
    await withSetting(async (setting) => {
      const { hub, options, folder, cache, base } = setting;
      await pushed(setting);
      const length = (await lstat(join(base, 'model.safetensors'))).size;
      const retries = { attempts: 1 };
      hub.faults.push({ on: BASE_DOWNLOAD, fault: 'cut' });
      hub.faults.push({ on: /^GET storage.*bytes=[1-9]/, fault: { status: 500 }, times: 99 });
      const blobs = join(cache, 'models--org--base', 'blobs');
      await expect(pull(REPO, { ...options, retries, output: join(folder, OUT) })).rejects.toMatchObject({
        code: 'ERE_HUB',
        statusCode: 500,
        retryable: true,
      });
      const name = (await readdir(blobs)).find((entry) => entry.endsWith('.incomplete'))!;
      const { size } = await lstat(join(blobs, name));
      expect(size).toBeGreaterThan(0);
      hub.faults.length = 0;
      hub.requests.length = 0;
      await pull(REPO, { ...options, output: join(folder, OUT) });
      expect(hub.requests.join('\n')).toContain(`bytes=${size}-${length - 1}`);
    });
  });

  test('a part of a download that was damaged is thrown away and fetched again', async () => {
    await withSetting(async (setting) => {
      const archive = await pushed(setting);
      const { hub, options, folder, cache } = setting;
      const output = join(folder, OUT);
      await pull(REPO, { ...options, output });
      const blobs = join(cache, 'models--user--tuned', 'blobs');
      const [name] = await readdir(blobs);
      await rm(join(blobs, name!));
      await writeFile(join(blobs, `${name}.ere.incomplete`), 'not the archive');
      hub.requests.length = 0;
      await pull(REPO, { ...options, output, overwrite: true, sideFiles: false });
      expect(await readdir(blobs)).toEqual([name]);
      await pull(REPO, { ...options, output, overwrite: true });
      await expectLikeLocal(setting, archive, output);
    });
  });

  test('a body that is damaged every time is an error, and no file', async () => {
    await withSetting(async (setting) => {
      await pushed(setting);
      const { hub, options, folder, cache } = setting;
      hub.faults.push({ on: BASE_DOWNLOAD, fault: 'corrupt', times: 99 });
      const output = join(folder, OUT);
      await expect(pull(REPO, { ...options, output })).rejects.toMatchObject({ code: 'ERE_INTEGRITY' });
      await expect(lstat(output)).rejects.toMatchObject({ code: 'ENOENT' });
      const blobs = await readdir(join(cache, 'models--org--base', 'blobs'));
      expect(blobs.filter((name) => name.length !== 40)).toEqual([]); // small files only
    });
  });

  test('a wrong length is an error', async () => {
    await withSetting(async (setting) => {
      await pushed(setting);
      const { hub, options, folder } = setting;
      hub.faults.push({ on: /^GET storage/, fault: 'short', times: 99 });
      const output = join(folder, OUT);
      await expect(pull(REPO, { ...options, output })).rejects.toMatchObject({ code: 'ERE_HUB' });
      await expect(lstat(output)).rejects.toMatchObject({ code: 'ENOENT' });
    });
  });

  test('an expired token is a clear error that does not hold it', async () => {
    await withSetting(async (setting) => {
      await pushed(setting);
      const { hub, options, folder } = setting;
      hub.tokens.set(TOKEN, 'expired');
      const error = await pull(REPO, { ...options, output: join(folder, OUT) }).catch(
        (thrown: unknown) => thrown,
      );
      expect(error).toMatchObject({ code: 'ERE_HUB', statusCode: 401, retryable: false });
      const shown = `${(error as Error).message} ${JSON.stringify(error)} ${(error as Error).cause}`;
      expect(shown).toContain('expired');
      expect(shown).not.toContain(TOKEN);
    });
  });

  test('a private repository without a token is a hint to log in', async () => {
    await withSetting(async (setting) => {
      await pushed(setting);
      setting.hub.repos.get(REPO)!.isPrivate = true;
      const { HF_TOKEN: _token, ...environment } = setting.options.environment!;
      const anonymous = pull(REPO, { ...setting.options, environment, output: join(setting.folder, OUT) });
      await expect(anonymous).rejects.toThrow('hf auth login');
    });
  });
});

test('tinylm pushed and pulled has the digest of a local decode', async () => {
  await withSetting(async (setting) => {
    const { hub, folder, options } = setting;
    const { 'model.onnx': _onnx, ...files } = await filesOf(tinylm('base'));
    hub.addFiles('org/tinylm', files);
    await push(tinylm('python'), {
      ...options,
      to: 'user/tinylm-python',
      base: 'org/tinylm',
      preset: 'bitdelta',
      output: join(folder, 'tinylm.ere'),
    });
    const report = await pull('user/tinylm-python', { ...options, output: join(folder, 'out') });
    const local = await decode(join(folder, 'tinylm.ere'), {
      base: tinylm('base'),
      output: join(folder, 'local'),
    });
    expect(report.digest).toBe(local.digest);
    // By digests: comparing ten megabytes byte by byte takes a minute.
    expect(digests(await modelFiles(join(folder, 'out')))).toEqual(
      digests(await filesOf(join(folder, 'local'))),
    );
  });
}, 60_000);

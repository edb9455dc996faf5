import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { PushOptions } from '../../src/hub/api.js';
import { pull, push } from '../../src/hub/index.js';
import { encode, inspect } from '../../src/index.js';
import { initStore } from '../../src/store/index.js';
import { TOKEN } from '../helpers/hub-double.js';
import { BASE, filesOf, type HubSetting, withHub } from '../helpers/hub-setting.js';

const REPO = 'user/tuned';
/** Nothing to search for: quick. */
const CODING = { preset: 'bitdelta' } as const;

async function withPush(
  use: (setting: HubSetting, options: PushOptions, archive: string) => Promise<void>,
): Promise<void> {
  await withHub(async (setting) => {
    const { base, tuned, folder, commit, hub, options } = setting;
    const archive = join(folder, 'local.ere');
    await encode(tuned, { base, output: archive, baseName: BASE, baseRevision: commit, ...CODING });
    await use(setting, { ...options, to: REPO }, archive);
    expect(hub.violations).toEqual([]);
  });
}

const commits = ({ hub }: HubSetting): number => (hub.repos.get(REPO)?.commits.size ?? 0) - 1;
const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);

describe('push', () => {
  test('of an archive makes repository and one commit of archive, side files and card', async () => {
    await withPush(async (setting, options, archive) => {
      const report = await push(archive, { ...options, private: true });
      const { hub, commit } = setting;
      expect(hub.repos.get(REPO)?.isPrivate).toBe(true);
      expect(commits(setting)).toBe(1);
      expect(report).toMatchObject({ isNew: true, base: { name: BASE, revision: commit } });
      expect(report.commit).toBe(hub.repos.get(REPO)?.branches.get('main'));
      expect(hub.fileOf(REPO, 'model.ere')).toEqual(new Uint8Array(await readFile(archive)));
      // tokenizer.json is the base's own.
      expect(report.files.map(({ path }) => path)).toEqual(['model.ere', 'config.json', 'README.md']);
      expect(text(hub.fileOf(REPO, 'config.json'))).toBe('{"layers":2,"tuned":true}');
      const card = text(hub.fileOf(REPO, 'README.md'));
      expect(card).toMatch(
        /^---\nbase_model: org\/base\nbase_model_relation: finetune\nlibrary_name: ere\ntags:\n- ere\n- residual\n- code\nlicense: mit\n---\n/,
      );
      expect(card).toContain(`${report.archiveByteLength} bytes`);
      expect(card).toContain('npx ere pull user/tuned -o model');
      expect(card).toContain('What it is for.');
      const bytes = report.files.reduce((sum, { byteLength }) => sum + byteLength, 0);
      expect(report.uploadByteLength).toBe(bytes);
    });
  });

  test("of a checkpoint encodes it against the Hub's base, pinned to its commit", async () => {
    await withPush(async ({ hub, tuned, commit, folder, options: common }, options) => {
      const report = await push(tuned, {
        ...options,
        ...CODING,
        base: BASE,
        output: join(folder, 'kept.ere'),
      });
      expect(report.warnings).toEqual([]);
      const { index } = await inspect(join(folder, 'kept.ere'));
      expect(index.base).toMatchObject({ name: BASE, revision: commit });
      expect(hub.fileOf(REPO, 'model.ere')).toEqual(new Uint8Array(await readFile(join(folder, 'kept.ere'))));
      const pulled = await pull(REPO, { ...common, output: join(folder, 'out') });
      expect(pulled.digest).toBe(index.decoded.digest);
      expect(pulled.downloadedByteLength.base).toBe(0);
    });
  });

  test('of a version of a store exports it, and calls its base what the Hub calls it', async () => {
    await withPush(async ({ base, tuned, folder, commit, options: common }, options) => {
      const location = join(folder, 'store');
      const store = await initStore(location);
      await store.addBase('local-name', base);
      const { version } = await store.commit(tuned, { message: 'one', model: 'chat', ...CODING });
      await store.close();
      await push('chat', { ...options, store: location, base: `${BASE}@main` });
      const pulled = await pull(REPO, { ...common, output: join(folder, 'out') });
      expect(pulled.digest).toBe(version.digest);
      expect(pulled.base).toMatchObject({ name: BASE, revision: commit });
      expect((await filesOf(join(folder, 'out')))['config.json']).toBeDefined();
    });
  });

  test('--dry-run says the bytes that a push then sends, and sends nothing', async () => {
    await withPush(async ({ hub }, options, archive) => {
      const planned = await push(archive, { ...options, dryRun: true });
      expect(hub.repos.has(REPO)).toBe(false);
      expect(hub.requests.filter((line) => !line.startsWith('GET'))).toEqual([]);
      const done = await push(archive, options);
      expect(planned).toMatchObject({ isNew: true, isDryRun: true, commit: undefined, files: done.files });
      for (const { path, byteLength } of planned.files)
        expect(hub.fileOf(REPO, path)?.byteLength).toBe(byteLength);
    });
  });

  test('again makes no commit, and after a change sends only what changed', async () => {
    await withPush(async (setting, options, archive) => {
      const { hub } = setting;
      const first = await push(archive, options);
      const again = await push(archive, options);
      expect(again).toMatchObject({ commit: first.commit, uploadByteLength: 0 });
      expect(commits(setting)).toBe(1);
      hub.addFiles(REPO, { 'config.json': 'changed' });
      hub.requests.length = 0;
      const { files } = await push(archive, options);
      expect(files.filter(({ isThere }) => !isThere).map(({ path }) => path)).toEqual(['config.json']);
      expect(hub.requests.filter((line) => line.startsWith('PUT'))).toEqual([]);
    });
  });

  test('to a branch makes it, and as a pull request leaves the branch alone', async () => {
    await withPush(async ({ hub }, options, archive) => {
      await push(archive, { ...options, branch: 'four-bits' });
      expect(hub.fileOf(REPO, 'model.ere')).toBeUndefined();
      expect(hub.fileOf(REPO, 'model.ere', 'four-bits')).toBeDefined();
      const report = await push(archive, { ...options, pullRequest: true, message: 'A residual' });
      expect(report.pullRequestUrl).toContain('/discussions/1');
      expect(hub.fileOf(REPO, 'model.ere')).toBeUndefined();
      expect(hub.fileOf(REPO, 'model.ere', 'refs/pr/1')).toBeDefined();
    });
  });

  test('of an archive in parts sends each part once', async () => {
    await withPush(async ({ hub }, options, archive) => {
      hub.partByteLength = 1000;
      await push(archive, options);
      const bytes = new Uint8Array(await readFile(archive));
      expect(hub.fileOf(REPO, 'model.ere')).toEqual(bytes);
      const parts = hub.requests.filter((line) => line.startsWith('PUT storage'));
      expect(parts).toHaveLength(Math.ceil(bytes.byteLength / 1000));
    });
  });

  test('of an archive whose base on the Hub is another is refused', async () => {
    await withPush(async ({ hub, tuned, folder }, options, archive) => {
      await push(archive, options);
      hub.addFiles('org/other', await filesOf(tuned));
      await push(tuned, {
        ...options,
        ...CODING,
        base: 'org/other',
        to: 'user/other',
        output: join(folder, 'o.ere'),
      });
      const wrong = push(archive, { ...options, base: 'org/other', to: 'user/wrong' });
      await expect(wrong).rejects.toMatchObject({ code: 'ERE_CHECKPOINT_MISMATCH' });
      expect(hub.repos.has('user/wrong')).toBe(false);
    });
  });

  test('without a base, or without a token, says what to give', async () => {
    await withPush(async ({ tuned, options: common }, options, archive) => {
      await expect(push(tuned, options)).rejects.toThrow(TypeError);
      const { HF_TOKEN: _token, ...environment } = common.environment!;
      await expect(push(archive, { ...options, environment })).rejects.toThrow('hf auth login');
    });
  });
});

describe('push over a bad network', () => {
  test.each([
    [
      '429 with Retry-After',
      { on: /preupload/, fault: { status: 429, headers: { 'retry-after': '0' } }, times: 2 },
    ],
    ['a dropped batch', { on: /objects\/batch/, fault: 'drop', times: 2 }],
    ['a dropped upload', { on: /^PUT storage/, fault: 'drop', times: 2 }],
    ['an upload whose answer is lost', { on: /^PUT storage/, fault: 'lose', times: 1 }],
    ['500 of storage', { on: /^PUT storage/, fault: { status: 500 }, times: 2 }],
    ['a commit that is refused for a while', { on: /\/commit\//, fault: { status: 503 }, times: 2 }],
    ['a commit whose answer is lost', { on: /\/commit\//, fault: 'lose', times: 1 }],
    ['a commit whose answer is cut off', { on: /\/commit\//, fault: 'cut', times: 1 }],
    ['a repository whose making is not confirmed', { on: /repos\/create/, fault: 'lose', times: 1 }],
  ] as const)('%s ends in one commit of the right bytes', async (_, fault) => {
    await withPush(async (setting, options, archive) => {
      setting.hub.faults.push(fault);
      const { commit } = await push(archive, options);
      expect(setting.hub.faultCount()).toBe(fault.times);
      expect(commits(setting)).toBe(1);
      expect(commit).toBe(setting.hub.repos.get(REPO)?.branches.get('main'));
      expect(setting.hub.fileOf(REPO, 'model.ere')).toEqual(new Uint8Array(await readFile(archive)));
    });
  });

  test('what is uploaded when a push fails is not sent again', async () => {
    await withPush(async (setting, options, archive) => {
      const { hub } = setting;
      hub.faults.push({ on: /\/commit\//, fault: { status: 500 }, times: 99 });
      await expect(push(archive, options)).rejects.toMatchObject({ code: 'ERE_HUB', statusCode: 500 });
      hub.faults.length = 0;
      hub.requests.length = 0;
      await push(archive, options);
      expect(hub.requests.filter((line) => line.startsWith('PUT'))).toEqual([]);
      expect(commits(setting)).toBe(1);
    });
  });

  test('a token without write access, or one that has expired, is a clear error that does not hold it', async () => {
    await withPush(async ({ hub }, options, archive) => {
      for (const [right, statusCode] of [
        ['read', 403],
        ['expired', 401],
      ] as const) {
        hub.tokens.set(TOKEN, right);
        const error = await push(archive, options).catch((thrown: unknown) => thrown);
        expect(error).toMatchObject({ code: 'ERE_HUB', statusCode, retryable: false });
        expect(
          `${(error as Error).message} ${JSON.stringify(error)} ${(error as Error).cause}`,
        ).not.toContain(TOKEN);
      }
      expect(hub.repos.has(REPO)).toBe(false);
    });
  });

  test("somebody else's commit meanwhile is not overwritten", async () => {
    await withPush(async (setting, options, archive) => {
      const { hub } = setting;
      await push(archive, options);
      hub.addFiles(REPO, { 'config.json': 'changed' });
      const underneath: PushOptions = {
        ...options,
        fetch: async (input, init) => {
          if (String(input).includes('/preupload/')) hub.addFiles(REPO, { 'notes.txt': 'theirs' });
          return fetch(input, init);
        },
      };
      await expect(push(archive, underneath)).rejects.toMatchObject({ code: 'ERE_HUB', statusCode: 412 });
      expect(text(hub.fileOf(REPO, 'config.json'))).toBe('changed');
    });
  });
});

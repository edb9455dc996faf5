/** `ere serve` as people run it: a process that prints where it is, logs JSON, and ends in order when it is told to. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { BIN, spawnNodeWith } from '../helpers/project.js';
import { ask, openSocket } from '../helpers/raw-http.js';
import { resolvePath, sharedModels, TOKEN, until } from '../helpers/serve-setting.js';
import { listTree, withTempFolder } from '../helpers/temp-folder.js';

beforeAll(() => {
  delete process.env.ERE_SERVE_TOKEN;
});
const models = sharedModels();
const WEIGHTS = resolvePath('chat', 'main', 'model.safetensors');
const weights = () => models.now.chat[2]!.files.get('model.safetensors')!;

interface Running {
  readonly url: string;
  readonly child: ChildProcess;
  readonly cacheFolder: string;
  /** What was printed so far. */
  readonly printed: { stdout: string; stderr: string };
  /** Ends it by a signal, and gives its status. */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

/** Runs `ere serve --json` with the arguments, and `use` when it has said where it is. */
async function withRunning(
  argv: readonly string[],
  use: (running: Running) => Promise<void>,
  environment: Readonly<Record<string, string>> = {},
): Promise<void> {
  await withTempFolder(async (folder) => {
    const cacheFolder = join(folder, 'cache');
    const all = [
      BIN,
      'serve',
      '--json',
      '--port',
      '0',
      '--threads',
      '1',
      '--cache-dir',
      cacheFolder,
      ...argv,
    ];
    const env = { ...process.env, ...environment };
    const child = spawn(process.execPath, all, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const printed = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        printed[name] += text;
      });
    }
    const closed = once(child, 'close');
    try {
      await until('it listens', () => printed.stdout.includes('\n') || child.exitCode !== null);
      const { url } = JSON.parse(printed.stdout);
      const end = async (signal: NodeJS.Signals): Promise<number | null> => {
        child.kill(signal);
        const [status] = await closed;
        return status;
      };
      await use({ url, child, cacheFolder, printed, end });
      expect(await listTree(folder)).toEqual(['cache/']);
    } finally {
      child.kill('SIGKILL');
      await closed;
    }
  });
}

describe('ere serve', () => {
  test.each(['SIGINT', 'SIGTERM'] as const)(
    '%s lets a download finish, and ends it with status 0',
    async (signal) => {
      await withRunning(['--store', models.now.storePath], async ({ url, printed, end }) => {
        expect(JSON.parse(printed.stdout)).toEqual({
          url,
          modelCount: 4,
          location: models.now.storePath,
          isExposed: false,
        });
        const metrics = async () => (await ask(url, '/metrics')).body.toString();
        const download = ask(url, WEIGHTS);
        await until('it has begun', async () => !/^ere_cache_misses_total 0$/m.test(await metrics()));
        expect(await end(signal)).toBe(0);
        expect((await download).body.equals(weights())).toBe(true);
        const records = printed.stderr
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line));
        const found = records.find(({ path }) => path === WEIGHTS);
        expect(found).toMatchObject({
          event: 'request',
          status: 200,
          byteLength: weights().byteLength,
          isComplete: true,
        });
      });
    },
  );

  test('--token-file: only who has one of its tokens may read, and none is printed', async () => {
    await withTempFolder(async (folder) => {
      const file = join(folder, 'tokens');
      await writeFile(file, `# of the team\r\n${TOKEN}\r\n\r\n  another-token-of-somebody\n`);
      await withRunning(
        ['--store', models.now.storePath, '--token-file', file],
        async ({ url, printed, end }) => {
          expect((await ask(url, WEIGHTS)).status).toBe(401);
          for (const token of [TOKEN, 'another-token-of-somebody']) {
            const headers = { authorization: `Bearer ${token}` };
            expect((await ask(url, WEIGHTS, { headers })).body.equals(weights())).toBe(true);
          }
          expect(await end('SIGTERM')).toBe(0);
          expect(printed.stdout + printed.stderr).not.toContain(TOKEN);
        },
      );
    });
  });

  test('$ERE_SERVE_TOKEN is asked for, and archives are served beside their base', async () => {
    const argv = ['--archives', models.now.archives, '--base', models.now.base];
    await withRunning(
      argv,
      async ({ url, end }) => {
        expect((await ask(url, WEIGHTS)).status).toBe(401);
        const { body } = await ask(url, WEIGHTS, { headers: { authorization: `Bearer ${TOKEN}` } });
        expect(body.equals(models.now.archived.get('chat')!.files.get('model.safetensors')!)).toBe(true);
        expect(await end('SIGINT')).toBe(0);
      },
      { ERE_SERVE_TOKEN: TOKEN },
    );
  });

  test('a second signal ends it at once', async () => {
    await withRunning(['--store', models.now.storePath], async ({ url, child, end, cacheFolder }) => {
      // A request that is never sent whole keeps the server from ending.
      const socket = await openSocket(url);
      socket.write('GET / HTTP/1.1\r\n');
      child.kill('SIGINT');
      await until('no more connections', () =>
        ask(url, '/healthz').then(
          () => false,
          () => true,
        ),
      );
      expect(await end('SIGINT')).toBe(null);
      socket.destroy();
      // The next server removes what this one could not.
      await rm(cacheFolder, { recursive: true });
      await mkdir(cacheFolder);
    });
  });
});

describe('refused at the start', () => {
  const refused = (
    cwd: string,
    argv: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ) => spawnNodeWith(environment, cwd, BIN, 'serve', '--port', '0', ...argv);

  test('without a store, or without archives: status 10', async () => {
    await withTempFolder(async (folder) => {
      await mkdir(join(folder, 'empty'));
      const cache = ['--cache-dir', 'cache'];
      for (const argv of [
        [],
        ['--store', 'none'],
        ['--archives', 'none'],
        ['--archives', 'empty'],
        ['--token-file', 'none'],
      ]) {
        const { status, stdout, stderr } = await refused(folder, [...cache, ...argv]);
        expect([argv, status, stdout]).toEqual([argv, 10, '']);
        expect(stderr).toMatch(/^error: /);
      }
    });
  });

  test('a token that is too short, of the file or the environment, is refused and not repeated', async () => {
    await withTempFolder(async (folder) => {
      await writeFile(join(folder, 'short'), 'hf_short\n');
      await writeFile(join(folder, 'comments'), '# nothing\n\n');
      const common = ['--store', models.now.storePath, '--cache-dir', 'cache'];
      const short = await refused(folder, [...common, '--token-file', 'short']);
      expect([short.status, short.stderr.includes('hf_short')]).toEqual([2, false]);
      const environment = await refused(folder, common, { ERE_SERVE_TOKEN: 'hf_short' });
      expect([environment.status, environment.stderr.includes('hf_short')]).toEqual([2, false]);
      expect((await refused(folder, [...common, '--token-file', 'comments'])).status).toBe(10);
      // As of a secret that was not there when the variable was made from it.
      const empty = await refused(folder, common, { ERE_SERVE_TOKEN: ' ' });
      expect([empty.status, empty.stderr]).toEqual([10, expect.stringContaining('is set, but empty')]);
      expect((await refused(folder, [...common, '--port', '-1'])).status).toBe(2);
    });
  });
});

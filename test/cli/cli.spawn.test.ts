/** The executable end to end: exit statuses, what goes to which stream, and what is left behind. */
import { spawn } from 'node:child_process';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadOperations } from '../../cli/context.js';
import { exitStatus } from '../../cli/exit-codes.js';
import type { DecodeOptions, EncodeOptions } from '../../src/residual/api.js';
import { BIN, createWorkspace, spawnEre, spawnNode, type Workspace } from '../helpers/project.js';
import { runWith } from './doubles.js';

// One workspace with a good archive serves all tests; each leaves it as it was.
let workspace: Workspace;
let folder: string;

beforeAll(async () => {
  workspace = await createWorkspace();
  folder = workspace.folder;
  const { status, stderr } = await spawnEre(
    folder,
    'encode',
    'base',
    'tuned',
    '-o',
    'good.ere',
    '--rank',
    '2',
  );
  expect([status, stderr]).toEqual([0, '']);
});
afterAll(() => workspace.remove());

const INITIAL = ['base', 'good.ere', 'node_modules', 'tuned'];

/** Runs `ere`, expects an error code, an empty stdout and no new file. */
async function expectError(code: Parameters<typeof exitStatus>[0], argv: string[], inputs: string[] = []) {
  const { status, stdout, stderr } = await spawnEre(folder, ...argv, '--json');
  expect(JSON.parse(stderr)).toMatchObject({ code });
  expect([status, stdout]).toEqual([exitStatus(code), '']);
  expect((await readdir(folder)).sort()).toEqual([...INITIAL, ...inputs].sort());
  return JSON.parse(stderr);
}

/** Runs `use` with a changed copy of the good archive. */
async function withDamaged(
  change: (bytes: Buffer) => Buffer,
  use: (name: string) => Promise<unknown>,
): Promise<void> {
  await writeFile(join(folder, 'bad.ere'), change(await readFile(join(folder, 'good.ere'))));
  try {
    await use('bad.ere');
  } finally {
    await rm(join(folder, 'bad.ere'));
  }
}

describe('results', () => {
  test('inspect --json is the index, on stdout alone', async () => {
    const { status, stdout, stderr } = await spawnEre(folder, 'inspect', 'good.ere', '--json');
    expect([status, stderr]).toEqual([0, '']);
    const report = JSON.parse(stdout);
    expect(report.index.base.name).toBe('base');
    expect(
      report.tensors.find((tensor: { name: string }) => tensor.name === 'model.norm.weight').relativeError,
    ).toBe(0);
  });

  test('verify compares with the original and reports the loss with status 0', async () => {
    const { status, stdout } = await spawnEre(
      folder,
      'verify',
      'good.ere',
      '--base',
      'base',
      '--against',
      'tuned',
      '--json',
    );
    expect(status).toBe(0);
    const { comparison } = JSON.parse(stdout);
    expect(comparison.differentCount).toBeGreaterThan(0);
    expect(comparison.relativeError).toBeGreaterThan(0);
    expect(comparison.relativeError).toBeLessThan(1);
  });

  test('a reader that closes stdout early ends the run quietly', async () => {
    const child = spawn(
      'sh',
      ['-c', `"${process.execPath}" "${BIN}" inspect good.ere --json | head -c 1; exit`],
      { cwd: folder },
    );
    let stderr = '';
    child.stderr.on('data', (bytes) => {
      stderr += bytes;
    });
    await new Promise((resolve) => child.on('close', resolve));
    expect(stderr).toBe('');
  });
});

describe('errors', () => {
  test('a file that is not there', async () => {
    await expectError('ERE_NOT_FOUND', ['inspect', 'missing.ere']);
    await expectError('ERE_NOT_FOUND', ['encode', 'missing', 'tuned', '-o', 'x.ere']);
    await expectError('ERE_NOT_FOUND', ['decode', 'missing', 'good.ere', '-o', 'x']);
  });

  test('a file that is no archive, and a truncated one', async () => {
    await withDamaged(
      () => Buffer.from('this is no archive at all, but it is long enough to be read as one'),
      (name) => expectError('ERE_FORMAT', ['inspect', name], [name]),
    );
    await withDamaged(
      (bytes) => bytes.subarray(0, bytes.length - 1),
      (name) => expectError('ERE_FORMAT', ['decode', 'base', name, '-o', 'x'], [name]),
    );
  });

  test('a flipped bit in the last chunk', () =>
    withDamaged(
      (bytes) => {
        bytes[bytes.length - 1]! ^= 1;
        return bytes;
      },
      async (name) => {
        await expectError('ERE_INTEGRITY', ['verify', name], [name]);
        await expectError('ERE_INTEGRITY', ['decode', 'base', name, '-o', 'x'], [name]);
      },
    ));

  test('another base', async () => {
    const { expected, found } = await expectError('ERE_CHECKPOINT_MISMATCH', [
      'decode',
      'tuned',
      'good.ere',
      '-o',
      'x',
    ]);
    expect(expected).not.toBe(found);
  });

  test('an output that exists is kept', async () => {
    const before = await readFile(join(folder, 'good.ere'));
    await expectError('ERE_CONFLICT', ['encode', 'base', 'tuned', '-o', 'good.ere']);
    await expectError('ERE_CONFLICT', ['decode', 'base', 'good.ere', '-o', 'tuned']);
    expect((await readFile(join(folder, 'good.ere'))).equals(before)).toBe(true);
  });

  test('a budget below what must be stored exactly', async () => {
    const { asked, reachable } = await expectError('ERE_BUDGET', [
      'encode',
      'base',
      'tuned',
      '-o',
      'x.ere',
      '--size',
      '100B',
    ]);
    expect(asked).toBe(100);
    expect(reachable).toBeGreaterThan(100);
  });

  test('a command line that is not understood', async () => {
    await expectError('ERE_USAGE', [
      'encode',
      'base',
      'tuned',
      '-o',
      'x.ere',
      '--rank',
      '1',
      '--size',
      '1MB',
    ]);
  });
});

describe('interruption', () => {
  // Sends a signal to its own process, some milliseconds after `ere` began to listen for it.
  const raise = (signal: string, delayMs: number) =>
    `data:text/javascript,const timer = setInterval(() => {
      if (process.listenerCount('${signal}') === 0) return;
      clearInterval(timer);
      setTimeout(() => process.kill(process.pid, '${signal}'), ${delayMs});
    }, 1);`;

  test.each([
    ['SIGINT', 0, 130],
    ['SIGINT', 200, 130],
    ['SIGTERM', 0, 143],
  ])('%s after %i ms of encoding ends with %i and leaves nothing behind', async (signal, delayMs, status) => {
    const encode = ['encode', 'base', 'tuned', '-o', 'x.ere'];
    const result = await spawnNode(folder, '--import', raise(signal, delayMs), BIN, ...encode);
    expect([result.status, result.stdout]).toEqual([status, '']);
    expect(result.stderr).toMatch(/; nothing was written\n$/);
    expect((await readdir(folder)).sort()).toEqual(INITIAL);
  });

  test.each([
    ['encode', ['encode', 'tuned', '-o', 'x.ere']],
    ['decode', ['decode', 'good.ere', '-o', 'x']],
  ] as const)(
    'an abort after the first tensor of %s leaves nothing behind',
    async (name, [command, subject, flag, output]) => {
      const controller = new AbortController();
      const onProgress = () => controller.abort('SIGINT');
      const operations = await loadOperations();
      const interrupted = {
        ...operations,
        encode: (path: string, options: EncodeOptions) => operations.encode(path, { ...options, onProgress }),
        decode: (path: string, options: DecodeOptions) => operations.decode(path, { ...options, onProgress }),
      };
      const paths = [join(folder, 'base'), join(folder, subject), flag, join(folder, output)];
      const { status } = await runWith([command, ...paths], interrupted, { signal: controller.signal });
      expect([name, status]).toEqual([name, 130]);
      expect((await readdir(folder)).sort()).toEqual(INITIAL);
    },
  );
});

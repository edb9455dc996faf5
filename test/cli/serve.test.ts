/** `ere serve` in process: what it passes on, what it prints and logs, and what it refuses. */
import { describe, expect, test } from 'vitest';
import { createLog } from '../../cli/output/serve.js';
import { IoError, NotFoundError } from '../../formats/errors.js';
import type { LogRecord, ServeOptions, Serving } from '../../src/serve/api.js';
import { runWith } from './doubles.js';
import { runWithStore } from './store-doubles.js';

const URL = 'http://127.0.0.1:8080';
const record: LogRecord = {
  time: '2026-11-22T02:10:33.104Z',
  level: 'info',
  event: 'request',
  id: '00ff',
  client: '127.0.0.1',
  method: 'GET',
  path: '/chat',
  status: 200,
  byteLength: 10,
  durationMs: 3,
  isComplete: true,
};
const warning: LogRecord = { time: record.time, level: 'warning', event: 'warning', message: 'x\ny' };

interface Served {
  options: ServeOptions | undefined;
  closed: number;
}

/** Operations of a server that is there at once; the run is interrupted as soon as it waits. */
function serving(fields: Partial<Serving> = {}, served: Served = { options: undefined, closed: 0 }) {
  const controller = new AbortController();
  return {
    served,
    signal: controller.signal,
    operations: {
      async serve(options: ServeOptions): Promise<Serving> {
        served.options = options;
        options.onLog?.(record);
        options.onLog?.(warning);
        setTimeout(() => controller.abort('SIGINT'), 5);
        const close = async (): Promise<void> => {
          served.closed++;
        };
        return { url: URL, port: 8080, modelCount: 2, close, ...fields };
      },
      readServeTokens: async () => [],
      hubCacheFolder: async () => '/cache/hub',
    },
  };
}

describe('ere serve', () => {
  test('serves the store that is found, says where, logs a line a request, and ends with 0 when it is interrupted', async () => {
    const { operations, signal, served } = serving();
    const result = await runWithStore(['serve'], {}, { signal }, operations);
    expect(result).toMatchObject({
      status: 0,
      stdout: `serving 2 models of /work/.ere-store at ${URL}\ndownload with HF_ENDPOINT=${URL} hf download NAME\n`,
      stderr: `${JSON.stringify(record)}\n${JSON.stringify(warning)}\n`,
    });
    expect(served).toMatchObject({ options: { store: '/work/.ere-store', tokens: [] }, closed: 1 });
  });

  test('passes its options on', async () => {
    const { operations, signal, served } = serving();
    const argv =
      'serve --archives a --base b c --host ::1 --port 0 --allow-host x y --cache 2GiB --cache-dir d ' +
      '--max-connections 9 --threads 3 --memory 1GiB';
    expect((await runWith(argv.split(' '), operations, { signal })).status).toBe(0);
    expect(served.options).toMatchObject({
      archives: 'a',
      hubCacheFolder: '/cache/hub',
      bases: ['b', 'c'],
      host: '::1',
      port: 0,
      allowedHosts: ['x', 'y'],
      maxCacheByteLength: 2 ** 31,
      cacheFolder: 'd',
      maxConnections: 9,
      threads: 3,
      memoryCap: 2 ** 30,
    });
    expect(served.options).not.toHaveProperty('store');
  });

  test('--json is one object; --quiet logs warnings and failures alone', async () => {
    const { operations, signal } = serving();
    const argv = ['serve', '--archives', 'a', '--json', '--quiet'];
    const { stdout, stderr } = await runWith(argv, operations, { signal });
    expect(JSON.parse(stdout)).toEqual({ url: URL, modelCount: 2, location: 'a', isExposed: false });
    expect(stderr).toBe(`${JSON.stringify(warning)}\n`);
  });

  test('an address that others reach, without a token, is warned of; with one, or on this machine, it is not', async () => {
    const printed = async (host: string, tokens: string[]) => {
      const { operations, signal } = serving();
      const all = { ...operations, readServeTokens: async () => tokens };
      return (await runWith(['serve', '--archives', 'a', '--host', host], all, { signal })).stdout;
    };
    expect(await printed('0.0.0.0', [])).toContain(
      'warning: everybody who reaches this address may download',
    );
    expect(await printed('::', [])).toContain('warning');
    expect(await printed('0.0.0.0', ['hf_0123456789abcdef'])).not.toContain('warning');
    for (const host of ['127.0.0.1', '127.8.8.8', 'localhost', '::1'])
      expect(await printed(host, [])).not.toContain('warning');
  });

  test('a folder without archives is NotFoundError, and the server is closed', async () => {
    const { operations, signal, served } = serving({ modelCount: 0 });
    const { status, stderr } = await runWith(['serve', '--archives', 'a'], operations, { signal });
    expect(status).toBe(10);
    expect(stderr).toContain('error: a: holds no archive; expected name.ere or user/name.ere');
    expect(served.closed).toBe(1);
  });

  test('an empty store is served: models may come', async () => {
    const { operations, signal } = serving({ modelCount: 0 });
    const result = await runWithStore(['serve'], {}, { signal }, operations);
    expect([result.status, result.stdout.split('\n')[0]]).toEqual([
      0,
      `serving 0 models of /work/.ere-store at ${URL}`,
    ]);
  });

  test.each([
    [['--port', '65536'], 'Expected a port from 0 to 65535'],
    [['--port', 'x'], 'Expected a port from 0 to 65535'],
    [['--max-connections', '0'], 'max-connections'],
    [['--cache', 'much'], 'cache'],
    [['--memory', '1MiB'], '--memory'],
    [['--store', 's', '--archives', 'a'], 'Expected --store or --archives, not both'],
    [['extra'], 'too many arguments'],
  ])('%j is a usage error', async (argv, message) => {
    const { operations, signal } = serving();
    const { status, stderr } = await runWith(['serve', ...argv], operations, { signal });
    expect([status, stderr.includes(message) ? message : stderr]).toEqual([2, message]);
  });

  test('errors of the library end with their status', async () => {
    const failing = async (error: Error) => {
      const { operations, signal } = serving();
      const serve = async () => {
        throw error;
      };
      return (await runWithStore(['serve'], {}, { signal }, { ...operations, serve })).status;
    };
    expect(await failing(new NotFoundError('no store'))).toBe(10);
    expect(await failing(new IoError('port 8080: another process has the port'))).toBe(12);
    expect(await failing(new RangeError('expected tokens of at least 16 characters'))).toBe(2);
  });

  test('--help says what is served, by whom it may be read, and how to begin', async () => {
    const { status, stdout } = await runWith(['serve', '--help']);
    expect(status).toBe(0);
    for (const words of [
      'HF_ENDPOINT',
      '--archives <dir>',
      '--token-file <file>',
      '--allow-host',
      'Ctrl-C',
      '/healthz',
    ])
      expect(stdout).toContain(words);
  });
});

test('a log that nobody reads is bounded, and says what it left out', () => {
  const lines: string[] = [];
  const taken: (() => void)[] = [];
  const log = createLog({
    write(line, done) {
      lines.push(line);
      taken.push(done);
      return false;
    },
  });
  const long = { ...record, path: 'x'.repeat(100_000) } as LogRecord;
  for (let i = 0; i < 15; i++) log(long);
  expect(lines).toHaveLength(11);
  for (const done of taken.splice(0)) done();
  log(record);
  expect(lines.slice(11).map((line) => JSON.parse(line))).toEqual([
    { time: record.time, level: 'warning', event: 'warning', message: expect.stringContaining('4 records') },
    record,
  ]);
});

import { describe, expect, test } from 'vitest';
import {
  BudgetError,
  CheckpointMismatchError,
  EreError,
  FormatError,
  IntegrityError,
  LimitError,
  UnsupportedError,
} from '../../formats/errors.js';
import { capturedStream, inspectReport, runWith } from './doubles.js';

/** Runs `ere inspect` against an operation that throws. */
function failWith(error: unknown, ...flags: string[]) {
  const inspect = async () => {
    throw error;
  };
  return runWith(['inspect', 'tuned.ere', ...flags], { inspect });
}

describe('errors', () => {
  test('are one line on stderr, and stdout stays empty', async () => {
    const error = new FormatError('ere', 'expected magic "ERE1"', { file: 'tuned.ere', offset: 0 });
    expect(await failWith(error)).toEqual({
      status: 3,
      stdout: '',
      stderr: 'error: tuned.ere, byte 0: expected magic "ERE1"\n',
    });
  });

  test.each([
    [
      new FormatError('ere', 'bad', { file: 'f', offset: 3, tensor: 't' }),
      { format: 'ere', file: 'f', offset: 3, tensor: 't' },
    ],
    [new UnsupportedError('codec "wavelet"', 'unknown'), { feature: 'codec "wavelet"' }],
    [new LimitError('too large', 10, 11), { limit: 10, actual: 11 }],
    [new IntegrityError('chunk 3', 'aa', 'bb'), { subject: 'chunk 3', expected: 'aa', actual: 'bb' }],
    [
      new CheckpointMismatchError('other base', { tensor: 't', expected: 'x', found: 'y' }),
      { tensor: 't', expected: 'x', found: 'y' },
    ],
    [new BudgetError('too small', 10, 20), { asked: 10, reachable: 20 }],
  ])('--json: %s is one object with code, message and typed fields', async (error, fields) => {
    const { stdout, stderr } = await failWith(error, '--json');
    expect(stdout).toBe('');
    expect(stderr.trimEnd()).not.toContain('\n');
    expect(JSON.parse(stderr)).toEqual({ code: error.code, message: error.message, ...fields });
  });

  test('--json keeps the message of the cause', async () => {
    const error = new UnsupportedError('x', 'no x', { cause: new Error('deeper') });
    expect(JSON.parse((await failWith(error, '--json')).stderr)).toMatchObject({ cause: 'deeper' });
  });

  test('an unexpected error shows its trace and exits with 1', async () => {
    const { status, stderr } = await failWith(new TypeError('x is not a function'));
    expect(status).toBe(1);
    expect(stderr).toContain('error: unexpected: x is not a function');
    expect(stderr).toMatch(/errors\.test\.[jt]s:\d+/);
    expect(JSON.parse((await failWith('a string', '--json')).stderr)).toEqual({
      code: 'ERE_UNEXPECTED',
      message: 'a string',
    });
  });

  test('escape sequences in a message are shown, not obeyed', async () => {
    const { stderr } = await failWith(new EreError('ERE_FORMAT', 'tensor "\u001b[2J"'));
    expect(stderr).toBe('error: tensor "\\u001b[2J"\n');
  });

  test('usage errors are one JSON object with --json', async () => {
    const { status, stdout, stderr } = await runWith(['encode', 'a', '--json']);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(JSON.parse(stderr)).toMatchObject({
      code: 'ERE_USAGE',
      message: expect.stringContaining('--output'),
    });
  });
});

describe('interruption', () => {
  test.each([
    ['SIGINT', 130, 'ERE_ABORTED'],
    ['SIGTERM', 143, 'ERE_TERMINATED'],
  ])('%s reaches the operation as an abort and ends with %i', async (name, status, code) => {
    const controller = new AbortController();
    const encode = async (_: string, { signal }: { signal?: AbortSignal }) => {
      controller.abort(name);
      signal!.throwIfAborted();
      throw new Error('not aborted');
    };
    const argv = ['encode', 'b', 'a', '-o', 'c', '--json'];
    const result = await runWith(argv, { encode }, { signal: controller.signal });
    expect(result.status).toBe(status);
    expect(JSON.parse(result.stderr)).toMatchObject({ code });
  });

  test('is reported as such when it makes something else fail', async () => {
    const controller = new AbortController();
    controller.abort('SIGINT');
    const inspect = async () => {
      throw new Error('worker terminated');
    };
    expect((await runWith(['inspect', 'a'], { inspect }, { signal: controller.signal })).status).toBe(130);
  });
});

describe('streams', () => {
  const failing = (code: string) => ({
    ...capturedStream(),
    write(_: string, done: (error?: Error) => void) {
      done(Object.assign(new Error(`write ${code}`), { code }));
      return false;
    },
  });

  test('a reader of stdout that went away is no error', async () => {
    const { status, stderr } = await runWith(
      ['inspect', 'a'],
      { inspect: async () => inspectReport() },
      { stdout: failing('EPIPE') },
    );
    expect([status, stderr]).toEqual([0, '']);
  });

  test('a full disk behind stdout is an IoError', async () => {
    const { status, stderr } = await runWith(
      ['inspect', 'a'],
      { inspect: async () => inspectReport() },
      { stdout: failing('ENOSPC') },
    );
    expect(status).toBe(12);
    expect(stderr).toContain('could not write the output: write ENOSPC');
  });
});

describe('help', () => {
  test('--help and --version go to stdout with status 0, without loading the library', async () => {
    const loadOperations = async () => {
      throw new Error('loaded');
    };
    for (const argv of [['--help'], ['help', 'encode'], ['decode', '--help'], ['--version']]) {
      const { status, stdout, stderr } = await runWith(argv, {}, { loadOperations });
      expect([status, stderr]).toEqual([0, '']);
      expect(stdout).not.toBe('');
    }
  });

  test('every command has examples in its help', async () => {
    for (const command of ['encode', 'decode', 'verify', 'inspect', 'diff']) {
      expect((await runWith([command, '--help'])).stdout).toContain(`  $ ere ${command} `);
    }
  });

  test('no command at all is a usage error that shows the help', async () => {
    const { status, stdout, stderr } = await runWith([]);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain('Archives:');
  });

  test('a mistyped command is answered with the nearest one', async () => {
    const { status, stderr } = await runWith(['encoed']);
    expect(status).toBe(2);
    expect(stderr).toContain('Did you mean encode?');
  });
});

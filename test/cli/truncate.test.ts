import { describe, expect, test } from 'vitest';
import type {
  DecodeOptions,
  EncodeOptions,
  TruncateOptions,
  TruncateReport,
} from '../../src/residual/api.js';
import { encodeReport, inspectReport, runWith } from './doubles.js';

const DIGEST = `sha256:${'a'.repeat(64)}` as const;

describe('ere truncate', () => {
  const report: TruncateReport = {
    output: 'small.ere',
    byteLength: 148_000,
    originalByteLength: 5_950_000,
    quality: 'partial',
    loss: { relativeError: 0.7569, isEstimated: true },
    digest: DIGEST,
    durationMs: 600,
  };
  const argv = ['truncate', 'tuned.ere', '-o', 'small.ere'];

  /** Runs with a truncate that notes what it was given. */
  async function run(rest: readonly string[], result = report) {
    let seen: TruncateOptions | undefined;
    const truncate = async (archive: string, options: TruncateOptions) => {
      expect(archive).toBe('tuned.ere');
      seen = options;
      return result;
    };
    return { ...(await runWith([...argv, ...rest], { truncate })), seen };
  }

  test('passes its options on and calls an estimate an estimate', async () => {
    const { status, stdout, seen } = await run(['--to', '150kB', '--base', 'llama', '--overwrite']);
    expect(status).toBe(0);
    expect(seen).toMatchObject({ to: 150_000, base: 'llama', output: 'small.ere', overwrite: true });
    expect(stdout).toBe(
      'small.ere: 148 kB, 2.5 % of 5.95 MB; partial: relative error 0.757 (estimated), kept energy 42.7 %\n',
    );
  });

  test('to lossy needs no base', async () => {
    const loss = { relativeError: 0.451, isEstimated: false };
    const { stdout, seen } = await run(['--to', 'lossy'], { ...report, quality: 'lossy', loss });
    expect(seen).toMatchObject({ to: 'lossy' });
    expect(seen).not.toHaveProperty('base');
    expect(stdout).toContain('; lossy: relative error 0.451, kept energy 79.7 %\n');
  });

  test('--json is the report', async () => {
    expect(JSON.parse((await run(['--to', 'lossy', '--json'])).stdout)).toEqual(report);
  });

  test.each([
    [['--to', '150kB'], /--to.*--base/],
    [[], /--to/],
    [['--to', 'exact', '--base', 'llama'], /Expected a size/],
  ])('refuses %o as a usage error', async (rest, message) => {
    const { status, stderr } = await runWith([...argv, ...rest]);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
  });
});

describe('ere encode', () => {
  const argv = ['encode', 'base', 'tuned', '-o', 'tuned.ere'];

  async function optionsOf(...rest: string[]): Promise<EncodeOptions | undefined> {
    let seen: EncodeOptions | undefined;
    const encode = async (_: string, options: EncodeOptions) => {
      seen = options;
      return encodeReport();
    };
    await runWith([...argv, ...rest], { encode });
    return seen;
  }

  test('--lossless asks for no budget', async () => {
    const options = await optionsOf('--lossless');
    expect(options).toMatchObject({ lossless: true });
    expect(options).not.toHaveProperty('budget');
  });

  test('--exact-on-top goes with a budget', async () => {
    expect(await optionsOf('--exact-on-top', '--size', '1MB')).toMatchObject({
      exactOnTop: true,
      budget: { kind: 'size', byteLength: 1_000_000 },
    });
  });

  test.each([
    ['--ratio', '6%'],
    ['--size', '1MB'],
    ['--rank', '4'],
    ['--energy', '90%'],
    ['--max-error', '0.1'],
    ['--preset', 'lora'],
    ['--allocation', 'uniform'],
    ['--bits', '4'],
    ['--prior', '0.1'],
    ['--exact-on-top'],
  ])('--lossless with %s is a usage error that names both', async (...option) => {
    const { status, stderr } = await runWith([...argv, '--lossless', ...option]);
    expect(status).toBe(2);
    expect(stderr).toMatch(/--lossless/);
    expect(stderr).toContain(option[0]);
  });

  test('says what is lossless, and what the first part of an exact archive is worth', async () => {
    const lossless = encodeReport({ allocation: 'lossless', bits: 0, relativeError: 0, durationMs: 1200 });
    const { stdout } = await runWith([...argv, '--lossless'], { encode: async () => lossless });
    expect(stdout).toContain('; bit-exact\n');
    expect(stdout).toMatch(/\nlossless, 1\.2 s\n$/);
    const lossy = { byteLength: 594_000, ratio: 0.06, relativeError: 0.45 };
    const exact = encodeReport({ relativeError: 0, lossy });
    const { stdout: line } = await runWith([...argv, '--exact-on-top', '--quiet'], {
      encode: async () => exact,
    });
    expect(line).toContain(
      '; bit-exact; its first 594 kB, 6.0 %: relative error 0.450, kept energy 79.8 %\n',
    );
  });
});

describe('ere decode', () => {
  const argv = ['decode', 'base', 'tuned.ere', '-o', 'rebuilt'];
  const report = {
    output: 'rebuilt',
    files: ['model.safetensors'],
    tensorCount: 54,
    byteLength: 9_909_200,
    quality: 'partial',
    loss: { relativeError: 0.7, isEstimated: true },
    incompleteTensorCount: 44,
    digest: DIGEST,
    durationMs: 100,
  } as const;

  test('--quality and --partial are passed on, and what could not be checked is said', async () => {
    let seen: DecodeOptions | undefined;
    const decode = async (_: string, options: DecodeOptions) => {
      seen = options;
      return report;
    };
    const { stdout } = await runWith([...argv, '--quality', 'lossy', '--partial'], { decode });
    expect(seen).toMatchObject({ quality: 'lossy', partial: true });
    expect(stdout).toContain('partial: relative error 0.700 (estimated), kept energy 51.0 %\n');
    expect(stdout).toContain(
      '44 of 54 tensors decoded from a part of their terms: their digests could not be checked',
    );
    expect(stdout).not.toContain('every tensor has the digest');
  });

  test('a loss that nobody knows is not made up', async () => {
    const unknown = { ...report, loss: { isEstimated: true } };
    const { stdout } = await runWith([...argv, '--partial'], { decode: async () => unknown });
    expect(stdout).toContain('partial: loss not known\n');
  });

  test('another quality is a usage error', async () => {
    expect((await runWith([...argv, '--quality', 'best'])).status).toBe(2);
  });
});

test('ere inspect lists usable prefixes, estimates marked', async () => {
  const { stdout } = await runWith(['inspect', 'tuned.ere'], { inspect: async () => inspectReport() });
  expect(stdout).toContain(
    'usable prefixes\n' +
      '  size  share  quality  relative error\n' +
      '148 kB  1.5 %  partial           0.810  estimated\n' +
      '594 kB  6.0 %  lossy             0.600\n',
  );
});

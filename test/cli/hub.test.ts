import { describe, expect, test } from 'vitest';
import { HubError } from '../../formats/errors.js';
import type { PullOptions, PullReport, PushOptions, PushReport } from '../../src/hub/api.js';
import { runWith, tensorReport } from './doubles.js';

const DIGEST = `sha256:${'a'.repeat(64)}` as const;
const COMMIT = 'c'.repeat(40);

const pullReport: PullReport = {
  repo: 'user/tuned',
  commit: COMMIT,
  file: 'model.ere',
  archiveByteLength: 594_000,
  usedByteLength: 594_000,
  base: { name: 'org/base', revision: COMMIT, path: '/cache/base' },
  downloadedByteLength: { archive: 594_000, base: 0 },
  isReused: false,
  output: 'out',
  files: ['model.safetensors'],
  digest: DIGEST,
  decoded: {
    output: 'out',
    files: ['model.safetensors'],
    tensorCount: 54,
    byteLength: 9_909_200,
    quality: 'exact',
    loss: { relativeError: 0, isEstimated: false },
    incompleteTensorCount: 0,
    digest: DIGEST,
    durationMs: 1200,
  },
  durationMs: 1500,
};

const pushReport: PushReport = {
  repo: 'user/tuned',
  branch: 'main',
  isNew: true,
  isDryRun: false,
  commit: COMMIT,
  url: `https://hub.test/user/tuned/commit/${COMMIT}`,
  pullRequestUrl: undefined,
  files: [
    { path: 'model.ere', byteLength: 594_000, isThere: false },
    { path: 'config.json', byteLength: 565, isThere: true },
  ],
  uploadByteLength: 594_000,
  archiveByteLength: 594_000,
  fineTunedByteLength: 9_909_200,
  relativeError: 0.612,
  base: { name: 'org/base', revision: COMMIT, digest: DIGEST },
  tensors: [tensorReport()],
  warnings: ['the base was not compared'],
  durationMs: 1500,
};

describe('ere pull', () => {
  const argv = ['pull', 'user/tuned@v1', '-o', 'out'];

  test('passes its options on and says what came from where', async () => {
    let seen: PullOptions | undefined;
    const pull = async (repo: string, options: PullOptions) => {
      expect(repo).toBe('user/tuned@v1');
      seen = options;
      return pullReport;
    };
    const flags = [
      '--max-size',
      '1MB',
      '--quality',
      'lossy',
      '--base',
      'b',
      '--token',
      'hf_x',
      '--threads',
      '1',
    ];
    const { status, stdout } = await runWith(
      [...argv, ...flags],
      { pull },
      { environment: { HF_HOME: '/hf' } },
    );
    expect(status).toBe(0);
    expect(seen).toMatchObject({
      output: 'out',
      maxByteLength: 1e6,
      quality: 'lossy',
      base: 'b',
      token: 'hf_x',
      threads: 1,
      environment: { HF_HOME: '/hf' },
    });
    expect(stdout).toContain('out: user/tuned@cccccccccccc\narchive: model.ere, 594 kB\n');
    expect(stdout).toContain('base: org/base@cccccccccccc in /cache/base\n');
    expect(stdout).toContain('downloaded: 594 kB of the archive, 0 B of the base\n');
    expect(stdout).toContain(`checkpoint ${DIGEST}`);
  });

  test('--json is the report; what was there already is one line', async () => {
    expect(JSON.parse((await runWith([...argv, '--json'], { pull: async () => pullReport })).stdout)).toEqual(
      pullReport,
    );
    const pull = async () => ({ ...pullReport, isReused: true, decoded: undefined });
    expect((await runWith(argv, { pull })).stdout).toBe('out: user/tuned@cccccccccccc, was there already\n');
  });

  test('an error of the Hub has its own status, and its fields in JSON', async () => {
    const pull = async () => {
      throw new HubError('user/tuned: busy', { statusCode: 503, retryable: true });
    };
    const { status, stderr } = await runWith([...argv, '--json'], { pull });
    expect(status).toBe(13);
    expect(JSON.parse(stderr)).toEqual({
      code: 'ERE_HUB',
      message: 'user/tuned: busy',
      statusCode: 503,
      retryable: true,
    });
  });

  test.each(['tuned', '../tuned', 'user/tuned@../x'])('%s is no repository: a usage error', async (repo) => {
    expect((await runWith(['pull', repo, '-o', 'out'])).status).toBe(2);
  });
});

describe('ere push', () => {
  const argv = ['push', 'tuned', '--to', 'user/tuned', '--base', 'org/base'];

  test('passes its options on and says what went where, with the loss', async () => {
    let seen: PushOptions | undefined;
    const push = async (subject: string, options: PushOptions) => {
      expect(subject).toBe('tuned');
      seen = options;
      return pushReport;
    };
    const flags = ['--ratio', '5%', '--pr', '--private', '-m', 'first', '--no-card'];
    const { status, stdout, stderr } = await runWith([...argv, ...flags], { push });
    expect(status).toBe(0);
    expect(seen).toMatchObject({
      to: 'user/tuned',
      base: 'org/base',
      budget: { kind: 'ratio', ratio: 0.05 },
      pullRequest: true,
      private: true,
      message: 'first',
      card: false,
    });
    expect(seen?.store).toBeUndefined();
    expect(stderr).toBe('warning: the base was not compared\n');
    expect(stdout).toContain('user/tuned: 594 kB, 6.0 % of 9.91 MB; relative error 0.612');
    expect(stdout).toMatch(/model\.ere +594000\n/);
    expect(stdout).toMatch(/config\.json +565 +is there already\n/);
  });

  test('--dry-run says the bytes and that nothing was sent', async () => {
    const push = async () => ({ ...pushReport, isDryRun: true, commit: undefined });
    const { stdout } = await runWith([...argv, '--dry-run', '--quiet'], { push });
    expect(stdout).toContain('594,000 bytes would be uploaded to a new repository, nothing was\n');
  });

  test('what is no path is a version of the nearest store', async () => {
    let seen: PushOptions | undefined;
    const push = async (_: string, options: PushOptions) => {
      seen = options;
      return pushReport;
    };
    const operations = { push, pathExists: async () => false, findStore: async () => '/work/.ere-store' };
    await runWith(['push', 'chat~1', '--to', 'user/tuned'], operations);
    expect(seen?.store).toBe('/work/.ere-store');
  });

  test('a target with a revision, a path that leaves the repository: usage errors', async () => {
    expect((await runWith(['push', 'tuned', '--to', 'user/tuned@main'])).status).toBe(2);
    expect((await runWith([...argv, '--path-in-repo', '../x.ere'])).status).toBe(2);
    expect((await runWith([...argv, '--branch', 'a..b'])).status).toBe(2);
  });

  test('a checkpoint without a base, and an archive with a budget: usage errors', async () => {
    expect((await runWith(['push', 'tuned', '--to', 'user/tuned'])).stderr).toContain("'--base org/model'");
    const archive = await runWith(['push', 'a.ere', '--to', 'user/tuned', '--ratio', '5%', '--exact-on-top']);
    expect(archive.stderr).toContain('not encoded again: there is nothing to do for budget, exactOnTop');
    expect(archive.status).toBe(2);
  });
});

import { describe, expect, test } from 'vitest';
import type { DecodeOptions, VerifyOptions, VerifyReport } from '../../src/residual/api.js';
import { inspectReport, runWith } from './doubles.js';

const DIGEST = `sha256:${'a'.repeat(64)}` as const;

describe('ere decode', () => {
  const report = {
    output: 'rebuilt',
    files: ['model.safetensors', 'config.json'],
    tensorCount: 54,
    byteLength: 9_909_200,
    quality: 'lossy',
    loss: { relativeError: 0.612, isEstimated: false },
    incompleteTensorCount: 0,
    digest: DIGEST,
    durationMs: 1200,
  } as const;
  const argv = ['decode', 'llama', 'tuned.ere', '-o', 'rebuilt'];

  test('passes its options on and says what was written and that it is verified', async () => {
    let seen: DecodeOptions | undefined;
    const decode = async (archive: string, options: DecodeOptions) => {
      expect(archive).toBe('tuned.ere');
      seen = options;
      return report;
    };
    const { status, stdout } = await runWith([...argv, '--overwrite', '--threads', '1'], { decode });
    expect(status).toBe(0);
    expect(seen).toMatchObject({ base: 'llama', output: 'rebuilt', overwrite: true, threads: 1 });
    expect(stdout).toBe(
      'rebuilt: 54 tensors, 9.91 MB of weights, 1.2 s\n' +
        'files (2): model.safetensors, config.json\n' +
        'lossy: relative error 0.612, kept energy 62.5 %\n' +
        `every tensor has the digest that the archive records; checkpoint ${DIGEST}\n`,
    );
  });

  test('--json is the report, --quiet is silence', async () => {
    const decode = async () => report;
    expect(JSON.parse((await runWith([...argv, '--json'], { decode })).stdout)).toEqual(report);
    expect(await runWith([...argv, '--quiet'], { decode })).toEqual({ status: 0, stdout: '', stderr: '' });
  });
});

describe('ere verify', () => {
  const report: VerifyReport = {
    chunkCount: 12,
    baseTensorCount: 54,
    decodedTensorCount: 54,
    lossyTensorCount: 0,
  };

  test('without a base says which checks were not made', async () => {
    const verify = async () => ({ ...report, baseTensorCount: 0, decodedTensorCount: 0 });
    const { stdout } = await runWith(['verify', 'tuned.ere'], { verify });
    expect(stdout).toContain('12 chunks: every checksum matches');
    expect(stdout).toContain('not checked without --base');
    expect(stdout).not.toContain('every digest matches');
  });

  test('with a base and another checkpoint reports digests and loss', async () => {
    let seen: VerifyOptions | undefined;
    const verify = async (_: string, options: VerifyOptions) => {
      seen = options;
      return { ...report, comparison: { equalCount: 13, differentCount: 41, relativeError: 0.6123 } };
    };
    const { stdout } = await runWith(['verify', 'tuned.ere', '--base', 'llama', '--against', 'tuned'], {
      verify,
    });
    expect(seen).toMatchObject({ base: 'llama', against: 'tuned' });
    expect(stdout).toContain('54 base tensors and 54 decoded tensors: every digest matches');
    expect(stdout).toContain('13 tensors equal to the byte, 41 different with relative error 0.612');
  });

  test('a comparison without differences says so', async () => {
    const verify = async () => ({
      ...report,
      comparison: { equalCount: 54, differentCount: 0, relativeError: 0 },
    });
    const { stdout } = await runWith(['verify', 'a.ere', '-b', 'llama', '--against', 'b'], { verify });
    expect(stdout).toContain('all 54 tensors equal to the byte');
  });

  test('--against without --base is a usage error that names both', async () => {
    const { status, stderr } = await runWith(['verify', 'tuned.ere', '--against', 'tuned']);
    expect(status).toBe(2);
    expect(stderr).toMatch(/--against.*--base/);
  });
});

describe('ere inspect', () => {
  const inspect = async () => inspectReport();

  test('shows base, digests, loss, tensors and files', async () => {
    const { stdout } = await runWith(['inspect', 'tuned.ere'], { inspect });
    expect(stdout).toContain('  size            594 kB, 6.0 % of 9.91 MB of weights\n');
    expect(stdout).toContain('  loss            relative error 0.600, kept energy 64.0 %\n');
    expect(stdout).toContain('  base            llama at main, 54 tensors\n');
    expect(stdout).toContain('  encoded with    allocation layerwise, bits 4\n');
    expect(stdout).toContain('model.layers.*.mlp.up_proj.weight');
    expect(stdout).toContain('carried files (1): config.json\nfiles taken from the base (1): model.onnx\n');
  });

  test('--tensors lists each, --json gives the whole index', async () => {
    expect((await runWith(['inspect', 'tuned.ere', '--tensors'], { inspect })).stdout).toContain(
      'model.layers.1.',
    );
    expect(JSON.parse((await runWith(['inspect', 'tuned.ere', '--json'], { inspect })).stdout)).toEqual(
      inspectReport(),
    );
  });
});

import { describe, expect, test } from 'vitest';
import type { EncodeOptions } from '../../src/residual/api.js';
import type { BaseRank } from '../../src/sketch/rank-bases.js';
import { capturedStream, encodeReport, runWith } from './doubles.js';

const ARGUMENTS = ['encode', 'llama', 'tuned', '-o', 'tuned.ere'];

/** The options that a command line turns into. */
async function optionsOf(...flags: string[]): Promise<EncodeOptions> {
  let seen: EncodeOptions | undefined;
  const { status, stderr } = await runWith([...ARGUMENTS, '--quiet', ...flags], {
    encode: async (fineTuned, options) => {
      expect(fineTuned).toBe('tuned');
      seen = options;
      return encodeReport({ warnings: [] });
    },
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return seen!;
}

describe('ere encode --or-base', () => {
  test('adds bases to choose from, in the order given', async () => {
    expect((await optionsOf()).base).toBe('llama');
    expect((await optionsOf('--or-base', 'qwen')).base).toEqual(['llama', 'qwen']);
    const two = await optionsOf('--or-base', 'qwen', '--lossless', '--or-base', 'mistral');
    expect(two.base).toEqual(['llama', 'qwen', 'mistral']);
  });

  test('names the one that was taken on stderr, and all of them with --json', async () => {
    const rank = { name: 'qwen', because: '44 of 44 matrices agree within 3 %' } as BaseRank;
    const report = encodeReport({ base: 'qwen', baseCandidates: [rank], warnings: [] });
    const operations = { encode: async () => report };
    const text = await runWith([...ARGUMENTS, '--or-base', 'qwen'], operations);
    expect(text.stderr).toBe('base: qwen, 44 of 44 matrices agree within 3 %\n');
    const json = await runWith([...ARGUMENTS, '--or-base', 'qwen', '--json'], operations);
    expect(json.stderr).toBe('');
    expect(JSON.parse(json.stdout)).toMatchObject({ base: 'qwen', baseCandidates: [rank] });
  });
});

describe('ere encode: options', () => {
  test('without a budget, 6 % of the fine-tuned bytes is asked for', async () => {
    const options = await optionsOf();
    expect(options).toMatchObject({
      base: 'llama',
      output: 'tuned.ere',
      budget: { kind: 'ratio', ratio: 0.06 },
    });
    expect(options.sideFiles).toBe(true);
    expect(options.signal).toBeInstanceOf(AbortSignal);
  });

  test('options that were not given are absent, so that the library sets its defaults', async () => {
    const options = await optionsOf();
    for (const name of [
      'allocation',
      'bits',
      'prior',
      'threads',
      'kernels',
      'force',
      'overwrite',
      'baseName',
    ]) {
      expect(options).not.toHaveProperty(name);
    }
  });

  test.each([
    [['--ratio', '10%'], { kind: 'ratio', ratio: 0.1 }],
    [['--size', '12MB'], { kind: 'size', byteLength: 12_000_000 }],
    [['--rank', '16'], { kind: 'rank', rank: 16 }],
    [['--energy', '90%'], { kind: 'energy', energy: 0.9 }],
    [['--max-error', '0.3'], { kind: 'max-error', relativeError: 0.3 }],
  ])('%j is one budget', async (flags, budget) => {
    expect((await optionsOf(...flags)).budget).toEqual(budget);
  });

  test('every other option reaches the library under its name', async () => {
    const flags = '--allocation uniform --bits 5 --base-name org/llama --base-revision v1 --no-side-files';
    const more = '--threads 2 --kernels scalar --force --overwrite';
    expect(await optionsOf(...flags.split(' '), ...more.split(' '))).toMatchObject({
      allocation: 'uniform',
      bits: 5,
      baseName: 'org/llama',
      baseRevision: 'v1',
      sideFiles: false,
      threads: 2,
      kernels: 'scalar',
      force: true,
      overwrite: true,
    });
    expect(await optionsOf('--prior', '0.25', '--bits', 'auto')).toMatchObject({ prior: 0.25, bits: 'auto' });
  });

  test('--fail-above takes an error as --max-error does', async () => {
    expect((await optionsOf('--fail-above', '40%')).failAbove).toBe(0.4);
    const { status, stderr } = await runWith([...ARGUMENTS, '--fail-above', '1.2']);
    expect(status).toBe(2);
    expect(stderr).toContain('Expected a relative error');
  });

  test('a preset goes to the library, and brings its own budget', async () => {
    const options = await optionsOf('--preset', 'delta-come');
    expect(options.preset).toBe('delta-come');
    expect(options).not.toHaveProperty('budget');
    const budget = { kind: 'rank', rank: 16 };
    expect(await optionsOf('--preset', 'lora', '--rank', '16')).toMatchObject({ preset: 'lora', budget });
  });

  test.each([
    ['--preset bitdelta --ratio 5%', 'no budget'],
    ['--preset delta-come --bits 4', 'no bits'],
    ['--preset lora --allocation layerwise', 'the allocation uniform'],
    ['--preset lora --importance weights.safetensors', 'importance needs rate-distortion allocation'],
    ['--preset gzip', 'Allowed choices are ere-paper, bitdelta, delta-come, lora'],
  ])('%s is refused: %s', async (flags, message) => {
    const { status, stderr } = await runWith([...ARGUMENTS, ...flags.split(' ')]);
    expect(status).toBe(2);
    expect(stderr).toContain(message);
  });

  const budgets = ['--ratio 5%', '--size 1MB', '--rank 4', '--energy 50%', '--max-error 0.5'];
  const pairs = budgets.flatMap((first, index) =>
    budgets.slice(index + 1).map((second) => [first, second] as const),
  );
  test.each(pairs)('%s with %s is a usage error that names both', async (first, second) => {
    const { status, stderr, stdout } = await runWith([
      ...ARGUMENTS,
      ...first.split(' '),
      ...second.split(' '),
    ]);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain(first.split(' ')[0]);
    expect(stderr).toContain(second.split(' ')[0]);
  });

  test.each([
    [['--rank', '4', '--allocation', 'layerwise'], "'--rank' implies '--allocation uniform'"],
    [['--energy', '0.9', '--allocation', 'uniform'], "'--energy' implies '--allocation energy'"],
    [['--rank', '4', '--prior', '0.5'], "'--prior' belongs to '--allocation layerwise'"],
    [['--allocation', 'uniform', '--prior', '0.5'], "'--prior' belongs to '--allocation layerwise'"],
    [['--allocation', 'best'], 'Allowed choices are rate-distortion, layerwise, uniform, energy'],
    [['--kernels', 'cuda'], 'Allowed choices are wasm, scalar'],
  ])('%j contradicts itself: a usage error', async (flags, message) => {
    const { status, stderr } = await runWith([...ARGUMENTS, ...flags]);
    expect(status).toBe(2);
    expect(stderr).toContain(message);
  });

  test.each([
    [['encode', 'llama', '-o', 'x.ere'], 'finetuned'],
    [['encode', 'llama', 'tuned'], '--output'],
    [['encode', '-o', 'x.ere'], 'base'],
    [[...ARGUMENTS, 'surplus'], 'too many arguments'],
  ])('%j lacks or exceeds what it needs: a usage error', async (argv, message) => {
    const { status, stderr } = await runWith(argv);
    expect(status).toBe(2);
    expect(stderr).toContain(message);
  });
});

describe('ere encode: output', () => {
  const encode = async () => encodeReport();

  test('says what was kept: totals, groups of tensors, files, removed tensors', async () => {
    const { status, stdout, stderr } = await runWith(ARGUMENTS, { encode });
    expect(status).toBe(0);
    expect(stdout).toBe(
      [
        'tuned.ere: 594 kB, 6.0 % of 9.91 MB; relative error 0.600, kept energy 64.0 %',
        '',
        'tensor                             case      count  shape     rank    bytes  bits/weight  relative error       dB           kept  over bound',
        'model.layers.*.mlp.up_proj.weight  residual      2  704×256  12–31  18.0 kB          0.4     0.580–0.610  4.3–4.7  62.8 %–66.4 %        0.25',
        'model.norm.weight                  vector        1  256          –    380 B        11.88           exact        –        100.0 %           –',
        '',
        'carried files (1): config.json (565 B)',
        'files taken from the base (1): model.onnx (285 kB)',
        'left out: optimizer.bin: larger than 64 MiB',
        'tensors of the base that the fine-tune does not have (1): lm_head.weight',
        'layerwise allocation, 4 bits per factor entry, matrix products by wasm, 4.2 s',
        '',
      ].join('\n'),
    );
    expect(stderr).toBe(
      'warning: onnxruntime-node is missing: encoding with the slower WebAssembly engine\n',
    );
  });

  test('--all lists every tensor', async () => {
    const { stdout } = await runWith([...ARGUMENTS, '--all'], { encode });
    expect(stdout).toContain('model.layers.0.mlp.up_proj.weight');
    expect(stdout).toContain('model.layers.1.mlp.up_proj.weight');
  });

  test('--quiet still states the loss', async () => {
    const { stdout } = await runWith([...ARGUMENTS, '--quiet'], { encode });
    expect(stdout).toBe('tuned.ere: 594 kB, 6.0 % of 9.91 MB; relative error 0.600, kept energy 64.0 %\n');
  });

  test('--json is one document on stdout, and nothing on stderr', async () => {
    const { stdout, stderr } = await runWith([...ARGUMENTS, '--json'], { encode });
    expect(JSON.parse(stdout)).toEqual(encodeReport());
    expect(stderr).toBe('');
  });

  test('an archive without loss is called bit-exact', async () => {
    const { stdout } = await runWith([...ARGUMENTS, '--quiet'], {
      encode: async () => encodeReport({ relativeError: 0 }),
    });
    expect(stdout).toMatch(/; bit-exact\n$/);
  });

  test('escape sequences in names of tensors, files and reasons never reach the terminal', async () => {
    const evil = '\u001b]0;owned\u0007\u202e';
    const report = encodeReport({
      tensors: [{ ...encodeReport().tensors[0]!, name: evil }],
      removed: [evil],
      sideFiles: [{ path: evil, byteLength: 1, from: 'archive' }],
      skippedFiles: [{ path: evil, reason: evil }],
      warnings: [evil],
    });
    const { stdout, stderr } = await runWith(ARGUMENTS, { encode: async () => report });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
    expect(stdout + stderr).not.toMatch(/[\u001b\u0007\u202e]/);
  });

  test('progress goes to a terminal on stderr, and is erased before the result', async () => {
    const stderr = capturedStream({ isTTY: true, columns: 60 });
    const { stdout } = await runWith(
      ARGUMENTS,
      {
        encode: async (_, options) => {
          options.onProgress!({
            phase: 'encode',
            doneByteLength: 50,
            totalByteLength: 100,
            tensor: 'a.weight',
          });
          return encodeReport({ warnings: [] });
        },
      },
      { stderr },
    );
    expect(stderr.text).toContain('encode [##########----------]   50 %  a.weight');
    expect(stderr.text.endsWith('\r\u001b[K')).toBe(true);
    expect(stdout).not.toContain('a.weight');
  });
});

test('a method without fixed widths states none', async () => {
  const encode = async () => encodeReport({ allocation: 'rate-distortion', bits: undefined });
  const { stdout } = await runWith(ARGUMENTS, { encode });
  expect(stdout).toContain('rate-distortion allocation, matrix products by wasm, ');
});

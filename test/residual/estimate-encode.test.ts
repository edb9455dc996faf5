/** What `estimateEncode` says before anything is encoded, beside what encoding then comes to; on a real fine-tune. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { encode, estimateEncode } from '../../src/index.js';
import { runWith } from '../cli/doubles.js';
import {
  type EncodeChoices,
  floatTensor,
  matrixPair,
  modelPair,
  QUICK,
  valuesOf,
  writeModel,
  writePair,
} from '../helpers/models.js';
import { failsCleanly } from '../helpers/nothing-left.js';
import type { TensorToWrite } from '../helpers/safetensors-bytes.js';
import { listTree, withTempFolder } from '../helpers/temp-folder.js';
import { tinylm } from '../helpers/tinylm.js';

const TUNED = tinylm('python');

describe('size within 3 % and error within 6 % of what is written', () => {
  test.each<[string, EncodeChoices]>([
    ['at 6 % of the bytes', { effort: 'fast' }],
    ['at one rank', { budget: { kind: 'rank', rank: 8 } }],
    ['at an energy', { budget: { kind: 'energy', energy: 0.5 } }],
    ["by the paper's method", { preset: 'ere-paper' }],
    ['as LoRA', { preset: 'lora' }],
    ['as signs', { preset: 'bitdelta' }],
    ['as bands', { preset: 'delta-come' }],
  ])('%s', async (_name, choices) => {
    await withTempFolder(async (folder) => {
      const options = { ...QUICK, ...choices, base: tinylm('base'), output: join(folder, 'a.ere') };
      const estimate = await estimateEncode(TUNED, options);
      expect(await listTree(folder)).toEqual([]);
      const report = await encode(TUNED, options);
      const ratios = [
        estimate.archiveByteLength / report.archiveByteLength,
        estimate.relativeError / report.relativeError,
      ];
      expect(Math.abs(ratios[0]! - 1)).toBeLessThan(0.03);
      expect(Math.abs(ratios[1]! - 1)).toBeLessThan(0.06);
      expect(estimate).toMatchObject({
        fineTunedByteLength: report.fineTunedByteLength,
        allocation: report.allocation,
        gemmEngine: 'wasm',
      });
      expect(estimate.ratio).toBeCloseTo(estimate.archiveByteLength / report.fineTunedByteLength, 6);
    });
  });
});

test('at an error asked for, the size within 8 %', async () => {
  await withTempFolder(async (folder) => {
    const budget = { kind: 'max-error', relativeError: 0.5 } as const;
    const options = { ...QUICK, effort: 'fast', budget, base: tinylm('base') } as const;
    const output = join(folder, 'a.ere');
    const estimate = await estimateEncode(TUNED, { ...options, output });
    const report = await encode(TUNED, { ...options, output });
    expect(estimate.relativeError).toBeLessThanOrEqual(0.5);
    expect(estimate.relativeError).toBeGreaterThan(0.49);
    expect(Math.abs(estimate.archiveByteLength / report.archiveByteLength - 1)).toBeLessThan(0.08);
  });
});

describe('lossless: what exact terms take, within 3 % from a sample of the rows', () => {
  const expectWithin = async ([base, fineTuned]: readonly [string, string]): Promise<void> => {
    await withTempFolder(async (folder) => {
      const options = { ...QUICK, base, lossless: true, output: join(folder, 'a.ere') } as const;
      const estimate = await estimateEncode(fineTuned, options);
      expect(await listTree(folder)).toEqual([]);
      const report = await encode(fineTuned, options);
      expect(estimate).toMatchObject({ allocation: 'lossless', relativeError: 0 });
      expect(Math.abs(estimate.archiveByteLength / report.archiveByteLength - 1)).toBeLessThan(0.03);
    });
  };

  test('of a real fine-tune', async () => {
    await expectWithin([tinylm('base'), TUNED]);
  });

  // Larger than the sample, which is 65,536 elements at least.
  const large = [1536, 160] as const;
  const zeroRows = (tensor: TensorToWrite, from: TensorToWrite): TensorToWrite => {
    // Three of four rows are the base's, in clusters, as with tokens that a fine-tune does not meet.
    const rowByteLength = tensor.data!.byteLength / large[0];
    const data = tensor.data!.slice();
    for (let row = 0; row < large[0]; row++) {
      if (row % 50 < 13) continue;
      const range = [row * rowByteLength, (row + 1) * rowByteLength] as const;
      data.set(from.data!.subarray(...range), range[0]);
    }
    return { ...tensor, data };
  };
  const bf16 = (name: string, seed: number, options = {}) =>
    matrixPair(name, large, seed, { dtype: 'BF16', ...options });

  test.each<[string, () => { base?: TensorToWrite; fineTuned: TensorToWrite }]>([
    ['a low-rank part and noise', () => bf16('w', 1, { strength: 0.01, noise: 0.5 })],
    ['noise alone', () => bf16('w', 2, { rank: 0, noise: 1 })],
    ['a product merged into the base', () => bf16('w', 3, { noise: 0 })],
    ['float32', () => matrixPair('w', large, 4, { noise: 1 })],
    [
      'rows that are the base’s',
      () => {
        const { base, fineTuned } = bf16('w', 5, { rank: 0, noise: 1 });
        return { base, fineTuned: zeroRows(fineTuned, base) };
      },
    ],
    [
      'a base of another dtype',
      () => {
        const { base, fineTuned } = matrixPair('w', large, 6, { dtype: 'BF16', noise: 0.5 });
        return { base: floatTensor('w', 'F32', large, valuesOf(base)), fineTuned };
      },
    ],
    ['a tensor that the base has not', () => ({ fineTuned: bf16('added', 7).fineTuned })],
    [
      'further rows',
      () => {
        const { base, fineTuned } = bf16('w', 8, { noise: 0.5 });
        const rows = large[0] / 2;
        const data = base.data!.subarray(0, base.data!.byteLength / 2);
        return { base: { ...base, shape: [rows, large[1]], data }, fineTuned };
      },
    ],
  ])('%s', async (_name, pair) => {
    const { base: same } = matrixPair('same', [1536, 320], 99);
    const anchor = { base: same, fineTuned: same }; // So that even an added tensor is of a model that belongs.
    await withTempFolder(async (folder) => {
      const { base, fineTuned } = await writePair(folder, modelPair([anchor, pair()]));
      await expectWithin([base, fineTuned]);
    });
  });
});

describe('exact terms on top: what they take, and what lies under them, within 3 %', () => {
  const expectWithin = async (base: string, fineTuned: string, choices: EncodeChoices): Promise<void> => {
    await withTempFolder(async (folder) => {
      const options = {
        ...QUICK,
        ...choices,
        base,
        exactOnTop: true,
        output: join(folder, 'a.ere'),
      } as const;
      const estimate = await estimateEncode(fineTuned, options);
      expect(await listTree(folder)).toEqual([]);
      const report = await encode(fineTuned, options);
      expect(estimate.relativeError).toBe(0);
      expect(Math.abs(estimate.archiveByteLength / report.archiveByteLength - 1)).toBeLessThan(0.03);
      const [expected, measured] = [estimate.lossy!, report.lossy!];
      expect(Math.abs(expected.byteLength / measured.byteLength - 1)).toBeLessThan(0.03);
      expect(expected.ratio).toBeCloseTo(expected.byteLength / report.fineTunedByteLength, 6);
      expect(Math.abs(expected.relativeError - measured.relativeError)).toBeLessThan(0.03);
    });
  };

  test.each<[string, EncodeChoices]>([
    ['at 6 % of the bytes', { effort: 'fast' }],
    ['at one rank', { budget: { kind: 'rank', rank: 8 } }],
    ['as signs', { preset: 'bitdelta' }],
  ])('%s, of a real fine-tune', async (_name, choices) => {
    await expectWithin(tinylm('base'), TUNED, choices);
  });

  test.each([0.1, 0.25])('of dense and low-rank terms at %f of the bytes', async (ratio) => {
    const pairs = [
      matrixPair('both', [320, 200], 1, { dtype: 'BF16', noise: 0.5 }),
      matrixPair('flat', [240, 280], 2, { dtype: 'BF16', rank: 0, noise: 1 }),
    ];
    await withTempFolder(async (folder) => {
      const { base, fineTuned } = await writePair(folder, modelPair(pairs));
      await expectWithin(base, fineTuned, { budget: { kind: 'ratio', ratio } });
    });
  });
});

describe('an estimate', () => {
  const models = modelPair([0, 1].map((i) => matrixPair(`w${i}`, [64, 48], i)));

  test('leaves no file, whether the output is possible or not', async () => {
    await withTempFolder(async (folder) => {
      await writeModel(join(folder, 'base'), models.base);
      await writeModel(join(folder, 'tuned'), models.fineTuned);
      const before = await listTree(folder);
      for (const output of ['a.ere', 'base', 'missing/a.ere']) {
        const options = { ...QUICK, base: join(folder, 'base'), output: join(folder, output) };
        await estimateEncode(join(folder, 'tuned'), { ...options, budget: { kind: 'ratio', ratio: 0.2 } });
      }
      expect(await listTree(folder)).toEqual(before);
    });
  });

  test('of a model that is its base has no error', async () => {
    await withTempFolder(async (folder) => {
      await writeModel(join(folder, 'base'), models.base);
      const options = { ...QUICK, base: join(folder, 'base'), output: join(folder, 'a.ere') };
      const estimate = await estimateEncode(join(folder, 'base'), options);
      const report = await encode(join(folder, 'base'), options);
      expect([estimate.relativeError, report.relativeError, estimate.gemmEngine]).toEqual([0, 0, 'none']);
      expect(Math.abs(estimate.archiveByteLength - report.archiveByteLength)).toBeLessThan(300);
    });
  });

  test('refuses another base, and options out of range as encode does', async () => {
    await withTempFolder(async (folder) => {
      await writeModel(join(folder, 'base'), models.base);
      await writeModel(join(folder, 'tuned'), modelPair([matrixPair('w0', [64, 48], 77)]).fineTuned);
      const options = { ...QUICK, base: join(folder, 'base'), output: join(folder, 'a.ere') };
      const tuned = join(folder, 'tuned');
      await expect(estimateEncode(tuned, { ...options, bits: 17 })).rejects.toThrow(RangeError);
      const error = await failsCleanly(folder, () => estimateEncode(tuned, options));
      expect(error.code).toBe('ERE_CHECKPOINT_MISMATCH');
    });
  });
});

describe('ere encode --dry-run', () => {
  const argv = ['encode', tinylm('base'), TUNED, '-o', 'out.ere', '--dry-run'];
  const estimate = {
    base: 'base',
    archiveByteLength: 594_000,
    fineTunedByteLength: 9_900_000,
    ratio: 0.06,
    relativeError: 0.41,
    allocation: 'rate-distortion',
    warnings: ['the engine is slow'],
    gemmEngine: 'wasm',
    durationMs: 1200,
  } as const;

  test('prints expected size and error; with --json the estimate as one document', async () => {
    const asked: unknown[] = [];
    const operations = {
      estimateEncode: async (...given: unknown[]) => {
        asked.push(given);
        return estimate;
      },
    };
    const text = await runWith(argv, operations);
    expect([text.status, text.stderr]).toEqual([0, 'warning: the engine is slow\n']);
    expect(text.stdout).toContain('594');
    expect(text.stdout).toContain('0.41');
    const operationsOnTop = {
      estimateEncode: async () => ({
        ...estimate,
        relativeError: 0,
        lossy: { byteLength: 300_000, ratio: 0.03, relativeError: 0.41 },
      }),
    };
    const onTop = await runWith([...argv, '--exact-on-top'], operationsOnTop);
    expect(onTop.stdout).toContain('bit-exact; its first 300 kB, 3.0 %: relative error 0.41');
    const json = await runWith([...argv, '--json', '--memory', '1GiB'], operations);
    expect([json.status, JSON.parse(json.stdout)]).toEqual([0, estimate]);
    expect(asked[1]).toEqual([
      TUNED,
      expect.objectContaining({ base: tinylm('base'), output: 'out.ere', memoryCap: 2 ** 30 }),
    ]);
  });

  test.each(['--resume', '--all', '--fail-above'])('is refused with %s', async (option) => {
    const value = option === '--fail-above' ? ['0.3'] : [];
    const { status, stderr } = await runWith([...argv, option, ...value]);
    expect(status).toBe(2);
    expect(stderr).toMatch(/option '--dry-run' cannot be used with option/);
    expect(stderr).toContain(option);
  });

  test('needs as much memory as encoding', async () => {
    const { status, stderr } = await runWith([...argv, '--memory', '300MiB']);
    expect([status, stderr]).toEqual([2, expect.stringContaining('Expected at least 320MiB')]);
  });
});

test('the guide states what is held here', async () => {
  const guide = await readFile(new URL('../../../docs/guide/cli.md', import.meta.url), 'utf8');
  expect(guide).toContain('within 3 % of the size and 6 % of the error');
  expect(guide).toContain('and the size comes within 3 %; so does');
});

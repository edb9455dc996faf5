/** The benchmark of scale: phases, sums of products, verdicts and tables from given figures, and a tiny run of it all. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { EncodeEstimate, EncodeReport } from '../../src/residual/api.js';
import { PROJECT_ROOT, spawnNode } from '../helpers/project.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { replaceBetweenMarks } from './compression/markdown.js';
import { chooseTensors } from './scale/choose-tensors.js';
import { meanPeak } from './scale/limits.js';
import { renderScale, SCALE_MARKS } from './scale/markdown.js';
import type { ModelFigures } from './scale/measure-model.js';
import { type MeasuredRun, median, timedProcess } from './scale/measured-run.js';
import { type Moment, PassRecorder, phasesOf } from './scale/phases.js';
import { flopsBetween, sumShapes, type ThreadProducts } from './scale/products.js';
import { decodeOverCopy, requirements } from './scale/requirements.js';

describe('phases', () => {
  /** Passes of two tensors each; every moment is 10 ms and 100 bytes read after the one before. */
  function passesOf(...phases: string[]): { recorder: PassRecorder; next: () => Moment } {
    let step = 0;
    const next = (): Moment => {
      step++;
      return { atMs: 10 * step, readByteLength: 100 * step, writtenByteLength: undefined };
    };
    const recorder = new PassRecorder(next);
    for (const phase of phases) {
      for (const doneByteLength of [3, 8]) recorder.add({ phase, doneByteLength, totalByteLength: 8 });
    }
    return { recorder, next };
  }

  test('a pass ends with its last tensor, and a phase that is told of again is another pass', () => {
    const { recorder } = passesOf('analyse', 'analyse', 'encode');
    expect(recorder.passes.map(({ phase, atMs }) => [phase, atMs])).toEqual([
      ['analyse', 20],
      ['analyse', 40],
      ['encode', 60],
    ]);
  });

  test('what is analysed again is predicted, what is encoded again corrected; there are no gaps', () => {
    const { recorder, next } = passesOf('analyse', 'analyse', 'analyse', 'encode', 'analyse', 'encode');
    const phases = phasesOf(recorder.passes, next(), 'write');
    expect(phases.map(({ name, startMs, endMs }) => [name, startMs, endMs])).toEqual([
      ['analyse', 0, 20],
      ['predict', 20, 60],
      ['encode', 60, 80],
      ['correct', 80, 120],
      ['write', 120, 130],
    ]);
    expect(phases.map(({ readByteLength }) => readByteLength)).toEqual([200, 400, 200, 400, 100]);
    expect(phases.every(({ writtenByteLength }) => writtenByteLength === undefined)).toBe(true);
  });

  test('other phases keep their names, and a run without any is all end', () => {
    const { recorder, next } = passesOf('decode');
    expect(phasesOf(recorder.passes, next(), 'finish').map(({ name }) => name)).toEqual(['decode', 'finish']);
    expect(phasesOf([], next(), 'finish')).toMatchObject([{ name: 'finish', startMs: 0, endMs: 40 }]);
  });
});

describe('matrix products', () => {
  const shape = { kind: 'gemm', m: 4, k: 3, n: 2 } as const;
  const threads: ThreadProducts[] = [
    {
      shapes: [
        { ...shape, flops: 48, durationMs: 2 },
        { ...shape, kind: 'gram', flops: 60, durationMs: 1 },
      ],
      slices: [
        { atEpochMs: 100, flops: 48 },
        { atEpochMs: 200, flops: 60 },
      ],
    },
    {
      shapes: [{ ...shape, flops: 96, durationMs: 3 }],
      slices: [{ atEpochMs: 150, flops: 96 }],
    },
  ];

  test('threads are summed by shape, the most operations first', () => {
    expect(sumShapes(threads)).toEqual([
      { ...shape, flops: 144, durationMs: 5 },
      { ...shape, kind: 'gram', flops: 60, durationMs: 1 },
    ]);
  });

  test('a phase has the operations that ended in it', () => {
    expect(flopsBetween(threads, 100, 200)).toBe(144);
    expect(flopsBetween(threads, 200, 300)).toBe(60);
  });

  test('the mean peak weighs shapes by the time they would take', () => {
    const peaks = [
      { ...shape, flops: 100, durationMs: 1, peakFlopsPerSecond: 100 },
      { ...shape, flops: 100, durationMs: 1, peakFlopsPerSecond: 50 },
    ];
    expect(meanPeak(peaks)).toBeCloseTo(200 / 3, 12);
    expect(meanPeak([])).toBeUndefined();
  });
});

describe('single tensors', () => {
  test('the smallest of the layers, a middle size and the largest, without embeddings', () => {
    const tensor = (name: string, fineTunedByteLength: number) => ({
      name,
      fineTunedByteLength,
      byteLength: fineTunedByteLength / 10,
    });
    const tensors = [
      tensor('model.embed_tokens.weight', 9000),
      tensor('model.layers.0.mlp.up_proj.weight', 800),
      tensor('model.layers.0.self_attn.k_proj.weight', 200),
      tensor('model.layers.0.self_attn.q_proj.weight', 400),
      tensor('model.layers.1.self_attn.q_proj.weight', 400),
      tensor('model.layers.0.input_layernorm.weight', 10),
    ];
    expect(chooseTensors(tensors).map(({ byteLength }) => byteLength)).toEqual([10, 400, 800]);
    expect(chooseTensors(tensors)[1]).toEqual({
      name: 'model.layers.0.self_attn.q_proj.weight',
      byteLength: 400,
      payloadByteLength: 40,
    });
    expect(chooseTensors([])).toEqual([]);
  });
});

const GIB = 2 ** 30;

function run(durationMs: number, peakByteLength = GIB, flops = 0): MeasuredRun {
  const phase = { readByteLength: 4e9, writtenByteLength: undefined, flops };
  return {
    durationMs,
    processorMs: 1.5 * durationMs,
    systemMs: 0.5 * durationMs,
    peakByteLength,
    readByteLength: 4e9,
    phases: [{ ...phase, name: 'analyse', startMs: 0, endMs: durationMs }],
    products: [{ kind: 'gemm', m: 512, k: 2048, n: 50, flops, durationMs }],
    report: undefined,
  };
}

function model(label: string, encodeMs: number, decodesMs: readonly number[]): ModelFigures {
  const archive = (encode: MeasuredRun, decodes: readonly number[]) => ({
    encode,
    report: { ratio: 0.06, relativeError: 0.25 } as EncodeReport,
    peaks: encode.products.map((product) => ({ ...product, peakFlopsPerSecond: 2e11 })),
    decodes: decodes.map((durationMs) => run(durationMs)),
    inspectMs: 150,
  });
  const estimate = { ratio: 0.06, relativeError: 0.26 } as EncodeEstimate;
  return {
    label,
    parameterCount: 1e9,
    byteLength: 2e9,
    readBytesPerSecond: 8e9,
    copies: [1000, 2000, 1000].map((durationMs) => ({ durationMs, systemMs: 0.9 * durationMs })),
    ballastByteLength: 1e10,
    byDefault: archive(run(encodeMs, 2 * GIB, 1e12), decodesMs),
    lowRank: archive(run(20_000), decodesMs),
    dryRun: { run: run(10_000), estimate },
    tensors: [
      { name: 'norm', byteLength: 1e3, payloadByteLength: 0, durationMs: 100, readByteLength: 2e6 },
      { name: 'q', byteLength: 1e7, payloadByteLength: 1e6, durationMs: 150, readByteLength: 1.3e7 },
      { name: 'up', byteLength: 3e7, payloadByteLength: 3e6, durationMs: 250, readByteLength: 3.5e7 },
    ],
  };
}

const startUp = { helpMs: 160, bareMs: 40 };

describe('requirements', () => {
  const verdictOf = (results: Parameters<typeof requirements>[0], what: string): string | undefined =>
    requirements(results).find((row) => row.what.startsWith(what))?.verdict;

  test('decoding counts as the median over rounds, and so does the copy', () => {
    const figures = model('1B', 60_000, [4000, 9000, 5000]);
    expect(decodeOverCopy(figures, figures.byDefault)).toBe(5);
  });

  test('1B and 7B are judged against the figures of the issue', () => {
    const results = {
      models: [model('1B', 60_000, [3000, 6000, 3000]), model('7B', 601_000, [4500, 9000, 4500])],
      startUp,
    };
    expect(verdictOf(results, '1B: encode at 6 %')).toBe('met');
    expect(verdictOf(results, '1B: encode, resident')).toBe('met');
    expect(verdictOf(results, '1B: encode `--preset lora')).toBe('met');
    expect(verdictOf(results, '7B: encode at 6 %, over the time of 1B')).toBe('missed by 0.2 %');
    expect(verdictOf(results, '1B: decode the low-rank')).toBe('met');
    expect(verdictOf(results, '7B: decode the low-rank')).toBe('missed by 12.5 %');
    expect(verdictOf(results, '7B: decode the default')).toBe('met');
    expect(verdictOf(results, '1B: decode, resident')).toBe('met');
    expect(verdictOf(results, '1B: encode at 6 %, over the time of its dry run')).toBe('met');
    expect(verdictOf(results, '7B: `ere inspect`')).toBe('met');
    expect(verdictOf(results, '`ere --help`')).toBe('missed by 6.7 %');
  });

  test('a tensor costs what it has beyond the smallest one', () => {
    const results = { models: [model('1B', 60_000, [3000])], startUp };
    const measured = requirements(results).filter(({ what }) => what.includes('one tensor'));
    expect(measured.map((row) => [row.measured.split(' ')[0], row.verdict])).toEqual([
      ['1.00', 'met'],
      ['1.00', 'met'],
    ]);
  });

  test('sizes that were not measured have rows all the same', () => {
    const rows = requirements({ models: [], startUp });
    expect(rows.filter(({ verdict }) => verdict === 'not measured').map(({ what }) => what)).toEqual([
      '1B: encode at 6 %',
      '1B: encode, resident',
      '1B: encode `--preset lora --rank 32`',
      '7B: encode at 6 %, over the time of 1B',
      '7B: encode, resident',
      '7B: `ere inspect` of the default archive, start-up included',
    ]);
  });
});

test('rates are over the time of their phase, and shares over the limits', () => {
  const document = renderScale({
    machine: 'A machine.',
    notes: ['7B was not measured: no room.'],
    models: [model('1B', 10_000, [3000, 6000, 3000])],
    startUp,
  });
  expect(document).toMatch(/^## Scale\n\nA machine\.\n\n/);
  expect(document).toContain('7B was not measured: no room.');
  expect(document).toContain('a warm file is read at 8.00 GB/s');
  // 4 GB in 10 s of 8 GB/s; 1 TFLOP in 10 s of 200 GFLOP/s.
  expect(document).toMatch(
    /\| encode +\| analyse \| 10\.0 s \| +400 MB\/s \| +5\.0 % \| +– \| +– \| 100 GFLOP\/s \| +50\.0 % \|/,
  );
  expect(document).toContain('a process holds 10.0 GB,');
  expect(document).toMatch(/\| 2 +\| +2\.0 s, 1\.8 s \| +6\.0 s, 3\.0 s \| +6\.0 s, 3\.0 s \|/);
  expect(document).toMatch(/\| encode --ratio 6% +\| 10\.0 s \| +15\.0 s \| +200 MB\/s \| +2048 MiB \|/);
});

test('a section goes between its own marks', () => {
  const [first, last] = SCALE_MARKS;
  const before = `a\n<!-- compression -->\nb\n<!-- /compression -->\n${first}\nold\n${last}\nc`;
  expect(replaceBetweenMarks(before, 'new', SCALE_MARKS)).toBe(
    `a\n<!-- compression -->\nb\n<!-- /compression -->\n${first}\n\nnew\n\n${last}\nc`,
  );
  expect(() => replaceBetweenMarks('a', 'new', SCALE_MARKS)).toThrow(/scale/);
});

test('the median of an even count is between both middle ones', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(() => median([])).toThrow(RangeError);
});

test('a process that fails is an error with what it said', async () => {
  await expect(
    timedProcess(process.execPath, ['-e', 'console.error("no such luck"); process.exitCode = 3']),
  ).rejects.toThrow(/status 3\nno such luck/);
});

test('a pair of two million parameters is measured whole, and nothing is left behind', async () => {
  await withTempFolder(async (folder) => {
    const script = join(PROJECT_ROOT, 'dist/test/bench/scale.js');
    const argv = [script, '--quick', '--models', folder, '--ballast', '16MiB'];
    const { status, stdout, stderr } = await spawnNode(folder, ...argv);
    expect(stderr).toMatch(/^2M: make: /);
    expect(status).toBe(0);
    expect(stdout).toContain('2,001,024 parameters');
    expect(stdout).toContain('a process holds 16.8 MB');
    for (const phase of ['analyse', 'encode', 'write', 'decode']) expect(stdout).toContain(`| ${phase} `);
    expect(stdout).toMatch(/2M: decode, resident +\| at most 2\.00 GiB +\| \d\.\d\d GiB +\| met/);
    expect(await readdir(folder)).toEqual([]);
  });
}, 180_000);

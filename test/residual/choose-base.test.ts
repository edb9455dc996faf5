/** Encoding against a base that was renamed by a prefix, saved in another type, or is one of several. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CheckpointMismatchError } from '../../formats/errors.js';
import {
  decode,
  diff,
  type EncodeOptions,
  encode,
  estimateEncode,
  inspect,
  verify,
} from '../../src/index.js';
import {
  floatTensor,
  type Model,
  matrixPair,
  modelPair,
  QUICK,
  readTensors,
  roundTrip,
  valuesOf,
  writeModel,
} from '../helpers/models.js';
import { failsCleanly } from '../helpers/nothing-left.js';
import type { TensorToWrite } from '../helpers/safetensors-bytes.js';
import { withTempFolder } from '../helpers/temp-folder.js';

const models = modelPair([
  matrixPair('model.layers.0.up.weight', [40, 32], 1, { dtype: 'BF16' }),
  matrixPair('model.layers.1.up.weight', [32, 48], 2, { dtype: 'BF16' }),
  matrixPair('lm_head.weight', [20, 16], 3, { dtype: 'BF16' }),
]);
const changed = ({ tensors }: Model, change: (tensor: TensorToWrite) => TensorToWrite): Model => ({
  tensors: tensors.map(change),
});
const renamed = (model: Model, from: string, to: string): Model =>
  changed(model, (tensor) =>
    tensor.name.startsWith(from) ? { ...tensor, name: to + tensor.name.slice(from.length) } : tensor,
  );
const inDtype = (model: Model, dtype: 'F32' | 'F16' | 'BF16'): Model =>
  changed(model, (tensor) => floatTensor(tensor.name, dtype, tensor.shape, valuesOf(tensor)));
const unrelated = modelPair(
  models.base.tensors.map(({ name, shape }, i) => matrixPair(name, shape, 1000 + 100 * i, { dtype: 'BF16' })),
).base;

/** What the fine-tune's tensors hold, by name. */
const contents = ({ tensors }: Model) => new Map(tensors.map(({ name, data }) => [name, data]));

describe('a base whose names have another prefix', () => {
  const cases: readonly (readonly [string, Model, Model])[] = [
    ['added by the fine-tune', models.base, renamed(models.fineTuned, '', 'language_model.')],
    ['removed by the fine-tune', renamed(models.base, '', 'transformer.'), models.fineTuned],
    ['changed but for the head', models.base, renamed(models.fineTuned, 'model.', 'model.language_model.')],
  ];
  it.each(cases)('%s: encodes, verifies and decodes as under the same names', async (_, base, fineTuned) => {
    await withTempFolder(async (folder) => {
      const exact = await roundTrip(folder, { base, fineTuned }, { lossless: true });
      expect(exact.tensors).toEqual(contents(fineTuned));
      expect(exact.report.tensors.map((tensor) => tensor.case)).toEqual(['residual', 'residual', 'residual']);
      expect(exact.report.warnings).toEqual([
        expect.stringMatching(
          /^tensors are paired by another prefix: the fine-tune's names (have|lack|begin)/,
        ),
      ]);
      expect(exact.report.removed).toEqual([]);
      const { index } = await inspect(exact.archive);
      const names = index.tensors.map(({ name, base: found }) => found?.name ?? name);
      expect(names.sort()).toEqual(base.tensors.map(({ name }) => name).sort());
      await verify(exact.archive, { base: exact.base, against: exact.fineTuned });
    });
    await withTempFolder(async (folder) => {
      const lossy = await roundTrip(folder, { base, fineTuned }, { budget: { kind: 'ratio', ratio: 0.6 } });
      const plain = await withTempFolder((other) =>
        roundTrip(other, models, { budget: { kind: 'ratio', ratio: 0.6 } }),
      );
      expect(lossy.report.relativeError).toBeLessThan(2 * plain.report.relativeError + 0.05);
    });
  });

  it('is compared by diff tensor by tensor', async () => {
    await withTempFolder(async (folder) => {
      const [base, tuned] = [join(folder, 'base'), join(folder, 'tuned')];
      await writeModel(base, models.base);
      await writeModel(tuned, renamed(models.fineTuned, '', 'language_model.'));
      const report = await diff(tuned, { base, threads: 1, gemm: 'wasm' });
      expect(report).toMatchObject({ added: [], removed: [], mismatches: [] });
      expect(report.warnings).toContainEqual(expect.stringContaining('"language_model." in front'));
      expect(report.relativeResidual).toBeGreaterThan(0.01);
    });
  });

  it('but other weights is refused', async () => {
    await withTempFolder(async (folder) => {
      const [base, tuned] = [join(folder, 'base'), join(folder, 'tuned')];
      await writeModel(base, renamed(unrelated, '', 'transformer.'));
      await writeModel(tuned, models.fineTuned);
      const error = await failsCleanly(folder, () =>
        encode(tuned, { ...QUICK, base, output: join(folder, 'a.ere') }),
      );
      expect(error.message).toMatch(/the weights are unrelated/);
    });
  });

  it('is not the base at decode, where the names it should have are told', async () => {
    await withTempFolder(async (folder) => {
      const { archive } = await roundTrip(folder, models, { lossless: true });
      const base = join(folder, 'other');
      await writeModel(base, renamed(models.base, 'model.', 'model.language_model.'));
      const error = await failsCleanly(folder, () => decode(archive, { base, output: join(folder, 'x') }));
      expect(error.message).toMatch(
        /expected BF16 \[40, 32\], found no such tensor .*; its names begin with "model\.language_model\." where the archive's begin with "model\."/,
      );
    });
  });
});

describe('a base in another float type', () => {
  const types = ['F32', 'F16', 'BF16'] as const;
  const cases = types.flatMap((base) =>
    types.flatMap((tuned) => (base === tuned ? [] : [[base, tuned] as const])),
  );
  it.each(cases)(
    '%s under a fine-tune in %s: lossless is lossless, and lossy as lossy as within one type',
    async (base, tuned) => {
      const pair = { base: inDtype(models.base, base), fineTuned: inDtype(models.fineTuned, tuned) };
      await withTempFolder(async (folder) => {
        const { tensors, report } = await roundTrip(folder, pair, { lossless: true });
        expect(tensors).toEqual(contents(pair.fineTuned));
        expect(report.tensors.every(({ dtype }) => dtype === tuned)).toBe(true);
      });
      await withTempFolder(async (folder) => {
        const budget = { kind: 'max-error', relativeError: 0.2 } as const;
        const { report, archive, base: path, fineTuned } = await roundTrip(folder, pair, { budget });
        expect(report.relativeError).toBeLessThanOrEqual(0.2);
        const { comparison } = await verify(archive, { base: path, against: fineTuned });
        expect(comparison!.relativeError).toBeGreaterThan(0);
      });
    },
  );

  it('that is otherwise the same costs next to nothing, exactly', async () => {
    await withTempFolder(async (folder) => {
      const pair = { base: inDtype(models.base, 'F32'), fineTuned: models.base };
      const { tensors, report } = await roundTrip(folder, pair, { lossless: true });
      expect(tensors).toEqual(contents(models.base));
      const payload = report.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
      expect(payload).toBeLessThan(300);
    });
  });
});

describe('of several bases', () => {
  async function withBases(
    use: (fixture: {
      readonly folder: string;
      readonly paths: Readonly<Record<'right' | 'wrong' | 'sibling', string>>;
      readonly tuned: string;
      readonly options: Omit<EncodeOptions, 'base'>;
    }) => Promise<void>,
  ): Promise<void> {
    await withTempFolder(async (folder) => {
      const paths = {
        right: join(folder, 'right'),
        wrong: join(folder, 'wrong'),
        sibling: join(folder, 'sibling'),
      };
      const tuned = join(folder, 'tuned');
      await writeModel(paths.right, inDtype(renamed(models.base, '', 'transformer.'), 'F32'));
      await writeModel(paths.wrong, unrelated);
      await writeModel(
        paths.sibling,
        changed(models.base, (tensor) =>
          floatTensor(
            tensor.name,
            'BF16',
            tensor.shape,
            valuesOf(tensor).map((value, i) => value * (1 + 0.3 * Math.sin(i))),
          ),
        ),
      );
      await writeModel(tuned, models.fineTuned);
      await use({
        folder,
        paths,
        tuned,
        options: { ...QUICK, output: join(folder, 'a.ere'), lossless: true },
      });
    });
  }

  it.each([
    ['wrong', 'right', 'sibling'],
    ['right', 'sibling', 'wrong'],
    ['sibling', 'wrong', 'right'],
  ] as const)('%s, %s, %s: the right one is taken, and named', async (...order) => {
    await withBases(async ({ folder, paths, tuned, options }) => {
      const report = await encode(tuned, { ...options, base: order.map((name) => paths[name]) });
      expect(report.base).toBe(paths.right);
      expect(report.baseCandidates!.map(({ name, verdict }) => [name, verdict])).toEqual([
        [paths.right, 'fine-tune'],
        [paths.sibling, 'fine-tune'],
        [paths.wrong, 'unrelated'],
      ]);
      expect((await inspect(options.output)).index.base.name).toBe('right');
      await decode(options.output, { base: paths.right, output: join(folder, 'out'), threads: 1 });
      expect(await readTensors(join(folder, 'out'))).toEqual(contents(models.fineTuned));
    });
  });

  it('none fits: each is told with its distance, nothing is written, and force takes the nearest', async () => {
    await withBases(async ({ folder, paths, tuned, options }) => {
      const other = join(folder, 'other');
      await writeModel(other, { tensors: unrelated.tensors.slice(0, 1) });
      const base = [paths.wrong, other];
      const error = await failsCleanly(folder, () => encode(tuned, { ...options, base }));
      expect(error).toBeInstanceOf(CheckpointMismatchError);
      expect(error.message).toContain(`none of 2 bases looks like the base of ${tuned}: no base fits: "`);
      expect(error.message).toMatch(
        /wrong": 3 of 3 tensors match by name and shape, but their weights are unrelated/,
      );
      expect(error.message).toContain('--force');
      expect(error).toMatchObject({
        expected: 'a base with related weights',
        found: expect.stringMatching(/wrong at distance [01]\.\d\d/),
      });
      const report = await encode(tuned, { ...options, base, force: true });
      expect(report.warnings).toContainEqual(expect.stringContaining('forced although none of 2 bases'));
    });
  });

  it('an estimate says which it is for, and a single one is not judged', async () => {
    await withBases(async ({ paths, tuned, options }) => {
      const { lossless: _, ...rest } = options;
      const lossy = { ...rest, budget: { kind: 'ratio', ratio: 0.6 } } as const;
      const estimate = await estimateEncode(tuned, { ...lossy, base: [paths.wrong, paths.right] });
      expect(estimate.base).toBe(paths.right);
      const one = await estimateEncode(tuned, { ...lossy, base: [paths.right] });
      expect(one.base).toBe(paths.right);
      expect(one).not.toHaveProperty('baseCandidates');
    });
  });

  it('none at all is a TypeError, and one that is not there is said', async () => {
    await withBases(async ({ folder, paths, tuned, options }) => {
      await expect(encode(tuned, { ...options, base: [] })).rejects.toThrow(TypeError);
      const base = [paths.right, join(folder, 'nowhere')];
      await expect(encode(tuned, { ...options, base })).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
    });
  });
});

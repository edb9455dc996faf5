/** Bases that do not belong, at encode and at decode: one clear error, and nothing written. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CheckpointMismatchError } from '../../formats/errors.js';
import { decode, encode, verify } from '../../src/index.js';
import {
  floatTensor,
  type Model,
  matrixPair,
  modelPair,
  QUICK,
  valuesOf,
  withModels,
  writeModel,
} from '../helpers/models.js';
import { failsCleanly } from '../helpers/nothing-left.js';
import type { TensorToWrite } from '../helpers/safetensors-bytes.js';
import { withTempFolder } from '../helpers/temp-folder.js';

const models = modelPair([matrixPair('a', [40, 30], 1), matrixPair('b', [30, 50], 2)]);
const tensors = models.base.tensors;
const changed = (change: (tensor: TensorToWrite) => TensorToWrite): Model => ({
  tensors: tensors.map(change),
});
const onlyLast = (change: (tensor: TensorToWrite) => TensorToWrite): Model =>
  changed((tensor) => (tensor.name === 'b' ? change(tensor) : tensor));

const flipped = (tensor: TensorToWrite): TensorToWrite => {
  const data = tensor.data!.slice();
  data[data.length - 1]! ^= 0x40;
  return { ...tensor, data };
};
const asBf16 = (tensor: TensorToWrite) => floatTensor(tensor.name, 'BF16', tensor.shape, valuesOf(tensor));

interface Fixture {
  readonly folder: string;
  readonly archive: string;
  /** Writes another base and gives its path. */
  write(model: Model): Promise<string>;
}

async function withArchive(use: (fixture: Fixture) => Promise<void>): Promise<void> {
  await withModels(models, async (base, tuned, folder) => {
    const archive = join(folder, 'a.ere');
    const budget = { kind: 'rank', rank: 2 } as const;
    await encode(tuned, {
      ...QUICK,
      base,
      output: archive,
      budget,
      baseName: 'the-base',
      baseRevision: 'r7',
    });
    await use({
      folder,
      archive,
      write: async (model) => {
        const path = join(folder, 'other');
        await writeModel(path, model);
        return path;
      },
    });
  });
}

describe('decode', () => {
  const cases: readonly (readonly [string, Model, RegExp, object])[] = [
    [
      'with other values in one tensor',
      onlyLast(flipped),
      /tensor "b" has the right dtype and shape but other values \(expected sha256:[0-9a-f]{64}, found sha256:/,
      { tensor: 'b' },
    ],
    [
      'saved in another dtype',
      changed(asBf16),
      /tensor "a": expected F32 \[40, 30\], found BF16 \[40, 30\] \(2 of 2 tensors differ\)/,
      { tensor: 'a', expected: 'F32 [40, 30]', found: 'BF16 [40, 30]' },
    ],
    [
      'with another shape',
      onlyLast((tensor) => ({ ...tensor, shape: [50, 30] })),
      /tensor "b": expected F32 \[30, 50\], found F32 \[50, 30\] \(1 of 2 tensors differ\)/,
      { tensor: 'b' },
    ],
    [
      'with other names',
      changed((tensor) => ({ ...tensor, name: `model.${tensor.name}` })),
      /tensor "a": expected F32 \[40, 30\], found no such tensor \(2 of 2 tensors differ\)/,
      { tensor: 'a', found: 'no such tensor' },
    ],
    ['without tensors', { tensors: [] }, /found no such tensor \(2 of 2 tensors differ\)/, { tensor: 'a' }],
  ];
  for (const [name, model, message, fields] of cases) {
    for (const threads of [1, 2]) {
      it(`a base ${name} is refused with ${threads} thread(s), and the right one is named`, async () => {
        await withArchive(async ({ folder, archive, write }) => {
          const base = await write(model);
          for (const output of ['out', 'out.safetensors']) {
            const run = () => decode(archive, { base, output: join(folder, output), threads });
            const error = await failsCleanly(folder, run);
            expect(error).toBeInstanceOf(CheckpointMismatchError);
            expect(error.message).toMatch(message);
            expect(error.message).toContain(`${base} is not the base of this archive`);
            expect(error.message).toMatch(/needs "the-base" at revision r7 \(sha256:[0-9a-f]{64}\)/);
            expect(error).toMatchObject(fields);
          }
          const verifying = await failsCleanly(folder, () => verify(archive, { base, threads }));
          expect(verifying).toBeInstanceOf(CheckpointMismatchError);
        });
      });
    }
  }

  it('a base with more tensors, in other files and another order, is the base all the same', async () => {
    await withArchive(async ({ folder, archive, write }) => {
      const extra = floatTensor('extra', 'F32', [3], [1, 2, 3]);
      const base = await write({ tensors: [...tensors, extra], shards: [['extra', 'b'], ['a']] });
      const report = await decode(archive, { base, output: join(folder, 'out'), threads: 1 });
      expect(report.tensorCount).toBe(2);
    });
  });
});

describe('encode', () => {
  const cases: readonly (readonly [string, Model, RegExp])[] = [
    [
      'with other names',
      changed((tensor) => ({ ...tensor, name: `${tensor.name}.old` })),
      /only 0\.0 % of the fine-tuned bytes have a counterpart; 2 tensors are not in the base \(a, b\); 2 base tensors have no counterpart \(a\.old, b\.old\)/,
    ],
    [
      'with other shapes',
      {
        tensors: tensors.map(({ name, dtype, shape, data }) => ({
          name,
          dtype,
          shape: [...shape].reverse(),
          data: data!,
        })),
      },
      /2 have another shape \(a: base \[30,40\], fine-tuned \[40,30\], b: base \[50,30\], fine-tuned \[30,50\]\)/,
    ],
    [
      'with unrelated weights',
      modelPair([matrixPair('a', [40, 30], 100), matrixPair('b', [30, 50], 200)]).base,
      /names and shapes match, but the weights are unrelated/,
    ],
  ];
  for (const [name, model, message] of cases) {
    it(`a base ${name} is refused unless forced, which is said`, async () => {
      await withTempFolder(async (folder) => {
        const [base, tuned, output] = [join(folder, 'base'), join(folder, 'tuned'), join(folder, 'a.ere')];
        await writeModel(base, model);
        await writeModel(tuned, models.fineTuned);
        const options = { ...QUICK, base, output, budget: { kind: 'rank', rank: 2 } } as const;
        const error = await failsCleanly(folder, () => encode(tuned, options));
        expect(error).toBeInstanceOf(CheckpointMismatchError);
        expect(error.message).toMatch(message);
        expect(error.message).toContain(`${base} does not look like the base of ${tuned}`);
        expect(error.message).toContain('--force');

        const report = await encode(tuned, { ...options, force: true });
        expect(report.warnings.join('\n')).toMatch(message);
        await decode(output, { base, output: join(folder, 'out'), threads: 1 });
      });
    });
  }

  it('a heavy fine-tune, half of whose energy is new, is no other model', async () => {
    await withTempFolder(async (folder) => {
      const heavy = modelPair([matrixPair('a', [40, 30], 1, { strength: 0.5 })]);
      await writeModel(join(folder, 'base'), heavy.base);
      await writeModel(join(folder, 'tuned'), heavy.fineTuned);
      const output = join(folder, 'a.ere');
      const budget = { kind: 'rank', rank: 2 } as const;
      const report = await encode(join(folder, 'tuned'), {
        ...QUICK,
        base: join(folder, 'base'),
        output,
        budget,
      });
      expect(report.warnings).toEqual([]);
    });
  });
});

import { writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import type { Dtype } from '../../formats/dtype.js';
import { BudgetError } from '../../formats/errors.js';
import { loadKernels } from '../../src/kernels/load-kernels.js';
import type { EncodeOptions } from '../../src/residual/api.js';
import { encode, estimateEncode } from '../../src/residual/encode.js';
import { type Importance, readImportance } from '../../src/residual/importance.js';
import type { TensorPair } from '../../src/residual/pair-tensors.js';
import { floatTensor, matrixPair, modelPair, QUICK, valuesOf, withModels } from '../helpers/models.js';
import { safetensorsBytes } from '../helpers/safetensors-bytes.js';
import { withTempFolder } from '../helpers/temp-folder.js';

const kernels = loadKernels('wasm');

function pair(name: string, shape: readonly number[], kind: TensorPair['kind'] = 'matrix'): TensorPair {
  const fineTuned = { name, dtype: 'F32' as const, shape, byteLength: 0, file: 0, byteOffset: 0 };
  const [rows, columns] = [shape[0]!, shape.slice(1).reduce((product, dimension) => product * dimension, 1)];
  return { fineTuned, base: fineTuned, rows, columns, commonRows: rows, kind };
}

const PAIRS = [
  pair('up.weight', [3, 4]),
  pair('conv.weight', [5, 2, 1, 3]),
  pair('norm.weight', [1, 4], 'exact'),
];

interface Weights {
  readonly name: string;
  readonly dtype?: Dtype;
  readonly shape?: readonly number[];
  readonly values: readonly number[];
}

function read(tensors: readonly Weights[]): Promise<Importance> {
  return withTempFolder(async (folder) => {
    const path = `${folder}/importance.safetensors`;
    const written = tensors.map(({ name, dtype = 'F32', shape, values }) => {
      const data = new Uint8Array(values.length * (dtype === 'F32' || dtype === 'I32' ? 4 : 2));
      if (dtype !== 'I32') kernels.fromFloat32(dtype as 'F32', Float32Array.from(values), data);
      return { name, dtype, shape: shape ?? [values.length], data };
    });
    await writeFile(path, safetensorsBytes(written));
    return readImportance(path, PAIRS, kernels);
  });
}

test('weights are read by the name of their matrix, in any float dtype', async () => {
  const importance = await read([
    { name: 'up.weight', values: [1, 0, 2.5, 4] },
    { name: 'conv.weight', dtype: 'BF16', values: [1, 2, 3, 4, 5, 6] },
  ]);
  expect([...importance.get('up.weight')!]).toEqual([1, 0, 2.5, 4]);
  expect([...importance.get('conv.weight')!]).toEqual([1, 2, 3, 4, 5, 6]);
  expect(importance.get('norm.weight')).toBeUndefined();
});

describe('what is no importance file', () => {
  test.each<[string, Weights, string, string]>([
    [
      'an unknown name',
      { name: 'down.weight', values: [1] },
      'ERE_CHECKPOINT_MISMATCH',
      'found no such tensor',
    ],
    [
      'a vector',
      { name: 'norm.weight', values: [1, 1, 1, 1] },
      'ERE_CHECKPOINT_MISMATCH',
      'found a tensor without a residual',
    ],
    [
      'another length',
      { name: 'up.weight', values: [1, 2, 3] },
      'ERE_CHECKPOINT_MISMATCH',
      'expected 4 weights, one an input channel of [3, 4], found 3',
    ],
    [
      'two dimensions',
      { name: 'up.weight', shape: [2, 2], values: [1, 2, 3, 4] },
      'ERE_FORMAT',
      'found F32 [2, 2]',
    ],
    ['integers', { name: 'up.weight', dtype: 'I32', values: [1, 2, 3, 4] }, 'ERE_FORMAT', 'found I32 [4]'],
    ['a negative value', { name: 'up.weight', values: [1, -2, 3, 4] }, 'ERE_FORMAT', 'found -2 at 1'],
    ['NaN', { name: 'up.weight', values: [1, 2, Number.NaN, 4] }, 'ERE_FORMAT', 'found NaN at 2'],
    [
      'infinity',
      { name: 'up.weight', values: [1, 2, 3, Number.POSITIVE_INFINITY] },
      'ERE_FORMAT',
      'found Infinity at 3',
    ],
    ['nothing but 0', { name: 'up.weight', values: [0, 0, 0, 0] }, 'ERE_FORMAT', 'of which one is over 0'],
  ])('%s is an error that names file and tensor', async (_, weights, code, message) => {
    const error = await read([weights]).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code, tensor: weights.name });
    expect((error as Error).message).toContain('importance.safetensors');
    expect((error as Error).message).toContain(message);
  });
});

test('allocations that do not weigh errors refuse them', async () => {
  for (const options of [{ allocation: 'layerwise' }, { preset: 'lora' }, { preset: 'bitdelta' }] as const) {
    await expect(
      encode('tuned', { base: 'base', output: 'never.ere', importance: 'weights.safetensors', ...options }),
    ).rejects.toThrow(TypeError);
  }
});

describe('columns of weight 0', () => {
  const columns = 64;
  /** A fine-tune that differs in the columns from `first` on, and weights of 0 from `firstZero` on. */
  const withWeights = async (
    [first, firstZero]: readonly [number, number],
    use: (fineTuned: string, options: EncodeOptions) => Promise<void>,
  ): Promise<void> => {
    const { base, fineTuned } = matrixPair('w', [96, columns], 5, { noise: 0.3 });
    const [from, values] = [valuesOf(base), valuesOf(fineTuned)];
    for (let i = 0; i < values.length; i++) if (i % columns < first) values[i] = from[i]!;
    const changed = floatTensor('w', 'F32', [96, columns], values);
    await withModels(modelPair([{ base, fineTuned: changed }]), async (basePath, tuned, folder) => {
      const importance = `${folder}/importance.safetensors`;
      const weights = Float32Array.from({ length: columns }, (_, j) => (j < firstZero ? 1 : 0));
      await writeFile(importance, safetensorsBytes([floatTensor('w', 'F32', [columns], weights)]));
      await use(tuned, { ...QUICK, base: basePath, output: `${folder}/a.ere`, importance });
    });
  };

  test('count in the error that is stated, written or not: all of it where no other column changed', async () => {
    await withWeights([32, 32], async (tuned, options) => {
      const budget = { kind: 'ratio', ratio: 0.2 } as const;
      const estimate = await estimateEncode(tuned, { ...options, budget });
      expect(estimate.relativeError).toBe(1);
      expect((await encode(tuned, { ...options, budget })).relativeError).toBeCloseTo(1, 6);
    });
  });

  test('are left out, and the rest is coded: the estimate says so within 6 %', async () => {
    await withWeights([0, 32], async (tuned, options) => {
      const budget = { kind: 'ratio', ratio: 0.2 } as const;
      const estimate = await estimateEncode(tuned, { ...options, budget });
      const report = await encode(tuned, { ...options, budget });
      expect(report.relativeError).toBeGreaterThan(0.5);
      expect(Math.abs(estimate.relativeError / report.relativeError - 1)).toBeLessThan(0.06);
    });
  });

  test('are why an error is out of reach', async () => {
    await withWeights([0, 16], async (tuned, options) => {
      const budget = { kind: 'max-error', relativeError: 0.1 } as const;
      for (const operation of [encode, estimateEncode]) {
        const error: BudgetError = await operation(tuned, { ...options, budget }).then(
          () => expect.fail('expected an error'),
          (cause) => cause,
        );
        expect(error).toBeInstanceOf(BudgetError);
        expect(error.asked).toBe(0.1);
        expect(error.reachable).toBeGreaterThan(0.7);
        expect(error.reachable).toBeLessThan(1);
        expect(error.message).toMatch(
          /^the least relative error that is reached is 0\.\d+, over the asked 0\.1;/,
        );
        expect(error.message).toContain('columns of weight 0 are left out');
      }
    });
  });
});

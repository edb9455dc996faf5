/** The default: one step for the whole model, measured from end to end. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { serializeSafetensorsHeader } from '../../formats/safetensors/serialize-header.js';
import { decode, encode, verify } from '../../src/index.js';
import {
  floatTensor,
  matrixPair,
  modelPair,
  QUICK,
  readTensors,
  valuesOf,
  withModels,
} from '../helpers/models.js';

const models = modelPair([
  matrixPair('low', [96, 80], 1, { dtype: 'BF16', rank: 6 }),
  matrixPair('flat', [80, 96], 2, { dtype: 'BF16', rank: 0, noise: 1 }),
  matrixPair('both', [90, 90], 3, { rank: 4, noise: 0.3 }),
]);

describe('rate–distortion', () => {
  it('gives one archive for any threads and both kernel paths', async () => {
    await withModels(models, async (base, tuned, folder) => {
      const archives: Buffer[] = [];
      for (const [threads, kernels] of [
        [1, 'wasm'],
        [2, 'wasm'],
        [1, 'scalar'],
      ] as const) {
        const output = join(folder, `${threads}-${kernels}.ere`);
        await encode(tuned, {
          ...QUICK,
          base,
          output,
          threads,
          kernels,
          budget: { kind: 'ratio', ratio: 0.1 },
        });
        archives.push(await readFile(output));
      }
      expect(archives[1]!.equals(archives[0]!)).toBe(true);
      expect(archives[2]!.equals(archives[0]!)).toBe(true);
    });
  });

  it('takes factors for low rank, dense codes for a flat spectrum, and the loss it states is the measured one', async () => {
    await withModels(models, async (base, tuned, folder) => {
      const output = join(folder, 'a.ere');
      const report = await encode(tuned, {
        ...QUICK,
        base,
        output,
        budget: { kind: 'max-error', relativeError: 0.15 },
      });
      const codecs = new Map(report.tensors.map((tensor) => [tensor.name, tensor.codecs]));
      expect(codecs.get('low')).toContain('coded-subspace');
      expect(codecs.get('flat')).toEqual(['coded-dense']);
      expect(report.relativeError).toBeLessThanOrEqual(0.15);
      expect(report.relativeError).toBeGreaterThan(0.14);
      const { comparison } = await verify(output, { base, against: tuned });
      expect(comparison!.relativeError).toBeCloseTo(report.relativeError, 4);
    });
  });

  it('takes numeral systems for a large matrix, one archive for both kernel paths', async () => {
    const large = modelPair([matrixPair('large', [512, 515], 4, { dtype: 'BF16', rank: 0, noise: 1 })]);
    await withModels(large, async (base, tuned, folder) => {
      const archives: Buffer[] = [];
      for (const kernels of ['wasm', 'scalar'] as const) {
        const output = join(folder, `${kernels}.ere`);
        const budget = { kind: 'max-error', relativeError: 0.4 } as const;
        const report = await encode(tuned, { ...QUICK, base, output, kernels, budget });
        expect(report.tensors.map(({ codecs }) => codecs)).toEqual([['ans-dense']]);
        archives.push(await readFile(output));
        const { comparison } = await verify(output, { base, against: tuned, kernels });
        expect(comparison!.relativeError).toBeCloseTo(report.relativeError, 4);
      }
      expect(archives[1]!.equals(archives[0]!)).toBe(true);
    });
  });

  it('needs fewer bytes than the paper\u2019s method at the same error, and more effort never more', async () => {
    await withModels(models, async (base, tuned, folder) => {
      const budget = { kind: 'max-error', relativeError: 0.2 } as const;
      const sizeOf = async (name: string, options: object): Promise<number> => {
        const output = join(folder, `${name}.ere`);
        const { tensors } = await encode(tuned, { ...QUICK, base, output, budget, ...options });
        return tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);
      };
      const [paper, standard, most] = [
        await sizeOf('paper', { preset: 'ere-paper' }),
        await sizeOf('default', {}),
        await sizeOf('max', { effort: 'max' }),
      ];
      // Matrices this small learn little; docs/benchmarks.md has real ones.
      expect(standard).toBeLessThan(0.85 * paper);
      expect(most).toBeLessThan(1.01 * standard);
    });
  });

  it('importance moves the error away from the columns that count', async () => {
    await withModels(models, async (base, tuned, folder) => {
      const weights = Float32Array.from({ length: 90 }, (_, j) => (j < 45 ? 50 : 1));
      const data = new Uint8Array(weights.buffer);
      const header = serializeSafetensorsHeader([{ name: 'both', dtype: 'F32', shape: [90] }]);
      const importance = join(folder, 'importance.safetensors');
      await writeFile(importance, Buffer.concat([header, data]));
      const original = valuesOf(models.fineTuned.tensors.find(({ name }) => name === 'both')!);
      const halves = async (name: string, options: object): Promise<[number, number]> => {
        const archive = join(folder, `${name}.ere`);
        const output = join(folder, name);
        const budget = { kind: 'ratio', ratio: 0.06 } as const;
        await encode(tuned, { ...QUICK, base, output: archive, budget, ...options });
        await decode(archive, { base, output, threads: 1 });
        const decoded = valuesOf(
          floatTensor(
            'both',
            'F32',
            [90, 90],
            new Float32Array((await readTensors(output)).get('both')!.slice().buffer),
          ),
        );
        const errors: [number, number] = [0, 0];
        for (let i = 0; i < decoded.length; i++)
          errors[i % 90 < 45 ? 0 : 1] += (decoded[i]! - original[i]!) ** 2;
        return errors;
      };
      const plain = await halves('plain', {});
      const weighed = await halves('weighed', { importance });
      expect(weighed[0]).toBeLessThan(0.9 * plain[0]);
      expect(weighed[1]).toBeGreaterThan(plain[1]);
    });
  });
});

/** The same bytes whatever the threads and the kernels: on a real pair, for archives and for what they decode to. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decode, encode, verify } from '../../src/index.js';
import { digestOf } from '../helpers/archive-builder.js';
import { matrixPair, modelPair, QUICK, readTensors, withModels } from '../helpers/models.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { tinylm } from '../helpers/tinylm.js';

describe('the tinylm pair', () => {
  it('gives one archive for 1 and 2 threads, and one model for 1 and 2 threads and both kernel paths', async () => {
    await withTempFolder(async (folder) => {
      const base = tinylm('base');
      const digests = [];
      for (const threads of [1, 2]) {
        const output = join(folder, `${threads}.ere`);
        const report = await encode(tinylm('python'), {
          base,
          output,
          threads,
          budget: { kind: 'rank', rank: 4 },
        });
        expect(report.ratio).toBeLessThan(0.02);
        digests.push(digestOf(await readFile(output)));
      }
      expect(digests[1]).toBe(digests[0]);

      const archive = join(folder, '2.ere');
      const decoded = [];
      for (const kernels of ['wasm', 'scalar'] as const) {
        for (const threads of [1, 2]) {
          const output = join(folder, `${kernels}-${threads}`);
          const report = await decode(archive, { base, output, threads, kernels });
          expect(report.files).toEqual(['model.safetensors', 'config.json', 'model.onnx']);
          decoded.push(digestOf(await readFile(join(output, 'model.safetensors'))));
        }
      }
      expect(new Set(decoded).size).toBe(1);
      const original = await readFile(tinylm('python', 'model.safetensors'));
      expect(decoded[0]).not.toBe(digestOf(original)); // rank 4 loses something

      const against = tinylm('python');
      const { comparison } = await verify(archive, { base, against, threads: 2 });
      const { comparison: same } = await verify(archive, { base, against: join(folder, 'wasm-1') });
      expect(comparison!.relativeError).toBeGreaterThan(0.5);
      expect(comparison!.differentCount).toBeGreaterThan(0);
      expect(same).toMatchObject({ differentCount: 0, relativeError: 0 });
    });
  });
});

describe('a small pair', () => {
  const models = modelPair([
    matrixPair('a', [60, 50], 1),
    matrixPair('b', [30, 70], 2, { dtype: 'BF16' }),
    matrixPair('c', [64, 64], 3, { noise: 2 }),
    matrixPair('d', [9, 4, 3, 3], 4, { dtype: 'F16' }),
  ]);

  it('gives one archive for every number of threads and both kernel paths, whatever the budget', async () => {
    await withModels(models, async (base, tuned, folder) => {
      for (const [k, budget] of [
        { kind: 'size', byteLength: 9000 } as const,
        { kind: 'max-error', relativeError: 0.4 } as const,
        { kind: 'energy', energy: 0.8 } as const,
      ].entries()) {
        const archives = [];
        for (const [i, variant] of [
          { threads: 1 },
          { threads: 2 },
          { threads: 3 },
          { threads: 1, kernels: 'scalar' as const },
        ].entries()) {
          const output = join(folder, `${k}-${i}.ere`);
          await encode(tuned, { ...QUICK, ...variant, base, output, budget });
          archives.push(digestOf(await readFile(output)));
        }
        expect(new Set(archives).size).toBe(1);
      }
    });
  });

  it('decodes into one file or a folder alike', async () => {
    await withModels(models, async (base, tuned, folder) => {
      const archive = join(folder, 'a.ere');
      await encode(tuned, { ...QUICK, base, output: archive, budget: { kind: 'rank', rank: 3 } });
      const file = join(folder, 'one.safetensors');
      // The base may be named by its file, too.
      const single = await decode(archive, {
        base: join(base, 'model.safetensors'),
        output: file,
        threads: 1,
      });
      const whole = await decode(archive, { base, output: join(folder, 'out'), threads: 2 });
      expect(single.files).toEqual([file]);
      expect(whole.digest).toBe(single.digest);
      expect(await readFile(file)).toEqual(await readFile(join(folder, 'out', 'model.safetensors')));
      expect((await readTensors(file)).size).toBe(4);
    });
  });
});

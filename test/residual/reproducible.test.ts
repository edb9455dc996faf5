/** The same bytes whatever the threads and the kernels: on a real pair, for archives and for what they decode to. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decode, encode, verify } from '../../src/index.js';
import { openWorkerPool } from '../../src/io/worker-pool.js';
import type {
  AnalyseResult,
  EncodeJob,
  EncodeJobResult,
  EncodeJobsInit,
} from '../../src/residual/encode-job.js';
import { digestOf } from '../helpers/archive-builder.js';
import { matrixPair, modelPair, QUICK, readTensors, withModels } from '../helpers/models.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { tinylm } from '../helpers/tinylm.js';

/** A tensor of five blocks of the residual's stream, and two small ones. */
function dominatedPair(): ReturnType<typeof modelPair> {
  const [rows, columns] = [4500, 2048];
  const base = new Uint16Array(rows * columns);
  const fineTuned = new Uint16Array(rows * columns);
  for (let i = 0, state = 1; i < base.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    // Numbers of magnitude 1/64 to 1/32 with either sign, some of which change by a few units of the last place.
    base[i] = 0x3c80 | ((state >>> 16) & 0x807f);
    const row = Math.floor(i / columns);
    fineTuned[i] =
      base[i]! ^ (((row * 7 + (i % columns) * (1 + (row % 3))) >>> 3) & 3) ^ ((state >>> 12) & 1);
  }
  const tensor = (values: Uint16Array) => ({
    name: 'embedding',
    dtype: 'BF16' as const,
    shape: [rows, columns],
    data: new Uint8Array(values.buffer),
  });
  const large = { base: tensor(base), fineTuned: tensor(fineTuned) };
  return modelPair([large, matrixPair('a', [60, 50], 1), matrixPair('b', [70, 64], 2)]);
}

const POOL_INIT: Omit<EncodeJobsInit, 'base' | 'fineTuned' | 'importance'> = {
  kernels: 'wasm',
  gemm: 'wasm',
  device: { name: undefined, warning: undefined },
  memoryShare: 2 ** 29,
};

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

describe('a pair with one tensor that dominates', () => {
  const dominated = dominatedPair();

  it('gives one archive for every number of threads', async () => {
    await withModels(dominated, async (base, tuned, folder) => {
      const archives = [];
      for (const threads of [1, 2, 3, 5]) {
        const output = join(folder, `${threads}.ere`);
        const budget = { kind: 'rank', rank: 6 } as const;
        await encode(tuned, { base, output, budget, threads, memoryCap: 4 * 2 ** 30 });
        archives.push(digestOf(await readFile(output)));
      }
      expect(new Set(archives).size).toBe(1);
    });
  });

  it.each([
    ['', undefined],
    [', weighted', new Map([['embedding', Float32Array.from({ length: 2048 }, (_, j) => 1 + (j % 3))]])],
  ])(
    'is analysed by threads that have no pair of their own, with the same result%s',
    async (_, importance) => {
      await withModels(dominated, async (base, tuned) => {
        const spectra = [];
        for (const threads of [1, 3]) {
          const pool = await openWorkerPool<EncodeJobsInit, EncodeJob, EncodeJobResult>({
            module: new URL('../../src/residual/encode-jobs.js', import.meta.url),
            init: { ...POOL_INIT, base, fineTuned: tuned, importance },
            threads,
          });
          try {
            const spectrum = { maxRank: 6, recover: false, sample: true };
            const { result } = await pool.run({ kind: 'analyse', pair: 0, compare: false, spectrum });
            expect(pool.takenOffers > 0).toBe(threads > 1);
            spectra.push((result as AnalyseResult).spectrum);
          } finally {
            await pool.close();
          }
        }
        expect(spectra[1]).toEqual(spectra[0]);
      });
    },
  );
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

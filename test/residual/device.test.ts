/** Encoding on a device: what is not there is said and done on the CPU, and whatever encodes, the archive is exact. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { diff, encode, verify } from '../../src/index.js';
import { openWorkerPool } from '../../src/io/worker-pool.js';
import { openDeviceThread } from '../../src/linalg/device-thread.js';
import type {
  AnalyseResult,
  EncodeJob,
  EncodeJobResult,
  EncodeJobsInit,
} from '../../src/residual/encode-jobs.js';
import { matrixPair, modelPair, withModels } from '../helpers/models.js';

/** Large enough that products with its leading directions are worth the journey to a device. */
const models = modelPair([matrixPair('w', [640, 600], 1)]);
const options = { budget: { kind: 'rank', rank: 64 }, threads: 2 } as const;

const fallback = (device: string) =>
  new RegExp(`^device "${device}" is not available: [^\\n]+; matrix products run on the CPU$`);

describe.each(['webgpu', 'cuda'] as const)('device %s', (device) => {
  test('is used or replaced by the CPU with a warning, and the archive decodes to what it states', async () => {
    await withModels(models, async (base, tuned, folder) => {
      const output = join(folder, 'a.ere');
      const report = await encode(tuned, { ...options, base, output, device });
      const { decodedTensorCount } = await verify(output, { base, threads: 1 });
      expect(decodedTensorCount).toBe(1);
      if (report.gemmEngine.includes(device)) {
        expect(report.warnings).toEqual([]);
        return;
      }
      expect(report.warnings).toEqual([expect.stringMatching(fallback(device))]);
      const onCpu = join(folder, 'cpu.ere');
      const { gemmEngine, warnings } = await encode(tuned, {
        ...options,
        base,
        output: onCpu,
        device: 'cpu',
      });
      expect([gemmEngine, warnings]).toEqual([report.gemmEngine, []]);
      expect(await readFile(output)).toEqual(await readFile(onCpu));
    });
  });

  test('diff says the same', async () => {
    await withModels(models, async (base, tuned) => {
      const { gemmEngine, warnings } = await diff(tuned, { base, device, threads: 1 });
      if (gemmEngine.includes(device)) expect(warnings).toEqual([]);
      else expect(warnings).toEqual([expect.stringMatching(fallback(device))]);
    });
  });
});

test('a device beside the WebAssembly products is refused before anything is read', async () => {
  const output = 'never.ere';
  await expect(encode('a', { base: 'b', output, device: 'cuda', gemm: 'wasm' })).rejects.toThrow(TypeError);
  await expect(diff('a', { base: 'b', device: 'cuda', gemm: 'wasm' })).rejects.toThrow(TypeError);
});

describe('jobs over a device thread', () => {
  // The CPU provider in the device's thread rounds as the one in the worker does.
  let thread: Extract<Awaited<ReturnType<typeof openDeviceThread>>, { readonly name: unknown }>;
  beforeAll(async () => {
    const opened = await openDeviceThread({ device: 'cpu' });
    if ('failure' in opened) throw new Error(opened.failure);
    thread = opened;
  });
  afterAll(() => thread.close());

  test.each([1, 2])(
    'give the singular values that they give without one, with %i threads',
    async (threads) => {
      await withModels(models, async (base, fineTuned) => {
        const run = async (name: string | undefined) => {
          const pool = await openWorkerPool<EncodeJobsInit, EncodeJob, EncodeJobResult>({
            module: new URL('../../src/residual/encode-jobs.js', import.meta.url),
            init: {
              base,
              fineTuned,
              kernels: 'wasm',
              gemm: 'auto',
              device: { name, warning: 'a warning' },
              importance: undefined,
              memoryShare: 2 ** 26,
            },
            threads,
            ...(name === undefined ? {} : { connect: thread.connect }),
          });
          try {
            const job = {
              kind: 'analyse',
              pair: 0,
              compare: false,
              spectrum: { maxRank: 64, recover: false },
            } as const;
            const { spectrum } = (await pool.run(job)).result as AnalyseResult;
            return { spectrum, engine: (await pool.run({ kind: 'engine', pair: 0 })).result };
          } finally {
            await pool.close();
          }
        };
        const [local, remote] = [await run(undefined), await run('the device')];
        expect(remote.engine).toEqual({ engine: 'the device', warnings: ['a warning'] });
        expect(remote.spectrum?.singularValues).toHaveLength(64);
        expect(remote.spectrum).toEqual(local.spectrum);
      });
    },
  );
});

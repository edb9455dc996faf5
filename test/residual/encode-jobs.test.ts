/** Jobs of the encoder's threads: what they give does not depend on what memory made them forget. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { RateDistortionChoice } from '../../src/allocation/operating-points.js';
import { EFFORTS, LAMBDA } from '../../src/rate-distortion/efforts.js';
import { type EncodeJob, type EncodeJobsInit, openJobs } from '../../src/residual/encode-jobs.js';
import type { EncodedTensor } from '../../src/residual/encode-tensor.js';
import { floatTensor, modelPair, writeModel } from '../helpers/models.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { normalFloats } from '../kernels/samples.js';

const [ROWS, COLUMNS] = [200, 160];
const MIB = 2 ** 20;

/** A residual with more strong components than are looked for at first. */
function widePair(name: string, seed: number) {
  const base = normalFloats(ROWS * COLUMNS, seed);
  const residual = normalFloats(ROWS * COLUMNS, seed + 1, 0.5);
  for (let k = 0; k < 50; k++) {
    const [u, v] = [normalFloats(ROWS, seed + 100 + k), normalFloats(COLUMNS, seed + 200 + k)];
    for (let at = 0; at < residual.length; at++) {
      residual[at]! += u[Math.floor(at / COLUMNS)]! * v[at % COLUMNS]!;
    }
  }
  const tuned = base.map((value, at) => value + 0.01 * residual[at]!);
  const shape = [ROWS, COLUMNS];
  return { base: floatTensor(name, 'F32', shape, base), fineTuned: floatTensor(name, 'F32', shape, tuned) };
}

const step = (size: number): RateDistortionChoice => ({
  kind: 'rate-distortion',
  step: size,
  lambda: LAMBDA,
  ...EFFORTS.default,
});
const FIRST: EncodeJob[] = [0, 1].map((pair) => ({
  kind: 'analyse',
  pair,
  compare: false,
  spectrum: { maxRank: 32, recover: false, sample: true },
}));

function initOf(folder: string, memoryShare: number): EncodeJobsInit {
  return {
    base: join(folder, 'base'),
    fineTuned: join(folder, 'tuned'),
    kernels: 'wasm',
    gemm: 'wasm',
    device: { name: undefined, warning: undefined },
    importance: undefined,
    memoryShare,
  };
}

/** The results of jobs, in order, with so many bytes to keep things in. */
async function resultsOf(
  folder: string,
  memoryShare: number,
  jobs: readonly EncodeJob[],
): Promise<unknown[]> {
  const runner = await openJobs(initOf(folder, memoryShare));
  try {
    const results = [];
    for (const job of jobs) results.push(await runner.run(job));
    return results;
  } finally {
    await runner.close();
  }
}

async function withModels(use: (folder: string) => Promise<void>): Promise<void> {
  await withTempFolder(async (folder) => {
    const models = modelPair([widePair('w0', 1), widePair('w1', 5000)]);
    await writeModel(join(folder, 'base'), models.base);
    await writeModel(join(folder, 'tuned'), models.fineTuned);
    await use(folder);
  });
}

describe('a thread', () => {
  test('gives the payload of a result away, but not what it answers from again', async () => {
    await withModels(async (folder) => {
      const runner = await openJobs(initOf(folder, 64 * MIB));
      try {
        for (const job of FIRST) await runner.run(job);
        const payloads = async (job: EncodeJob) => {
          const result = await runner.run(job);
          const { terms } = result as EncodedTensor;
          const buffers = terms.flatMap(({ chunks }) => chunks.map(({ bytes }) => bytes.buffer));
          return { buffers, given: runner.givesAway!(result) };
        };
        const lossy = await payloads({ kind: 'encode', pair: 0, choice: step(0.03) });
        expect(lossy.buffers.length).toBeGreaterThan(0);
        expect(lossy.given).toEqual(lossy.buffers);
        const exact = await payloads({
          kind: 'encode',
          pair: 0,
          choice: { kind: 'exact', lowRankFirst: false },
        });
        expect(exact.buffers.length).toBeGreaterThan(0);
        expect(exact.given).toEqual([]);
      } finally {
        await runner.close();
      }
    });
  });

  test('gives the same whether it keeps everything, some or nothing', async () => {
    await withModels(async (folder) => {
      const jobs: EncodeJob[] = [
        ...FIRST,
        { kind: 'estimate', pair: 0, choice: step(0.03) },
        { kind: 'encode', pair: 0, choice: step(0.03) },
        { kind: 'encode', pair: 1, choice: step(0.04) },
        { kind: 'estimate', pair: 0, choice: step(0.05) },
        { kind: 'encode', pair: 0, choice: step(0.05) },
        { kind: 'encode', pair: 1, choice: { kind: 'low-rank', rank: 20, bits: 6 } },
      ];
      const kept = await resultsOf(folder, 64 * MIB, jobs);
      // A residual takes 125 KiB: one stays, or none is kept and each pass reads anew.
      for (const share of [MIB / 4, 0]) expect(await resultsOf(folder, share, jobs)).toEqual(kept);
    });
  });

  test('goes on from what it recalls as if it had encoded the tensor itself', async () => {
    await withModels(async (folder) => {
      const again: EncodeJob[] = [
        { kind: 'estimate', pair: 0, choice: step(0.06) },
        { kind: 'encode', pair: 0, choice: step(0.06) },
      ];
      const whole = await resultsOf(folder, 64 * MIB, [
        ...FIRST,
        { kind: 'encode', pair: 0, choice: step(0.02) },
        ...again,
      ]);
      const { growth, singularValues } = whole[2] as Required<EncodedTensor>;
      expect(singularValues.length).toBeGreaterThan(40);
      const resumed = await resultsOf(folder, 64 * MIB, [
        ...FIRST,
        { kind: 'recall', pair: 0, growth, singularValues },
        ...again,
      ]);
      expect(resumed.slice(3)).toEqual(whole.slice(3));
      // Without it, estimates rest on fewer singular values.
      const forgetful = await resultsOf(folder, 64 * MIB, [...FIRST, ...again]);
      expect(forgetful[2]).not.toEqual(whole[3]);
    });
  });
});

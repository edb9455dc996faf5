/** The store benchmark's own parts: generated stores, the fit, the tables. Not its timings. */
import { describe, expect, test } from 'vitest';
import { openStore } from '../../src/store/open-store.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { fitCost } from './store/fit-cost.js';
import { generateStore } from './store/generate-store.js';
import { renderStore } from './store/markdown.js';
import type { DecodeTime } from './store/measure-checkouts.js';
import type { CommittedCheckpoint } from './store/measure-run.js';

test('a generated store is sound, and its chains are short', async () => {
  await withTempFolder(async (folder) => {
    await generateStore(folder, { versionCount: 100, tensorCount: 6, changedCount: 2 });
    const store = await openStore(folder);
    expect(await store.log()).toHaveLength(100);
    const { version, tensors } = await store.show('main');
    expect(version.message).toBe('Checkpoint 100');
    expect(Math.max(...tensors.map(({ depth }) => depth))).toBeLessThanOrEqual(4);
    expect((await store.show('v1')).version.id).toBe(version.id);
    expect(await store.stats()).toMatchObject({ versionCount: 100, tagCount: 1, storedTensorCount: 200 });
    expect((await store.fsck()).problems).toEqual([]);
  });
});

/** What a point takes at constants that are known. */
function point(
  name: string,
  steps: number,
  chainByteLength: number,
  constants: readonly number[],
): DecodeTime {
  const elementCount = 1_000_000;
  const [perByte, perStep, perOutput] = constants as [number, number, number];
  const steppedElementCount = steps * elementCount;
  const ms = perByte * chainByteLength + perStep * steppedElementCount + perOutput * elementCount;
  return {
    name,
    cost: { elementCount, steppedElementCount, chainByteLength },
    decodeCost: 1,
    processorMs: new Map([1, 2].map((threads) => [threads, ms])),
  };
}

const points = (constants: readonly number[]): DecodeTime[] => [
  point('a', 1, 900_000, constants),
  point('b', 2, 1_000_000, constants),
  point('c', 3, 1_700_000, constants),
  point('d', 4, 1_800_000, constants),
];

describe('the fit', () => {
  test('finds the constants that times were made of', () => {
    const fitted = fitCost(points([4e-5, 1e-6, 8e-6]), 1)!;
    expect(fitted.msPerMegabyte).toBeCloseTo(40, 6);
    expect(fitted.stepBytesPerElement).toBeCloseTo(0.025, 6);
    expect(fitted.outputBytesPerElement).toBeCloseTo(0.2, 6);
    expect(fitted.worst).toBeLessThan(1e-6);
  });

  test('has no negative constants, and none of too few points', () => {
    const fitted = fitCost(points([4e-5, -1e-6, 8e-6]), 1)!;
    expect(fitted.stepBytesPerElement).toBe(0);
    expect(fitted.msPerMegabyte).toBeGreaterThan(0);
    expect(fitted.worst).toBeGreaterThan(0);
    expect(fitCost(points([1, 1, 1]).slice(0, 2), 1)).toBeUndefined();
  });
});

test('the tables name what was measured, and judge it', () => {
  const [direct, newest, ...chain] = points([4e-5, 1e-6, 8e-6]);
  const summary = { relativeError: 0, decodeCost: 1.2 };
  const checkpoint = {
    name: 'step-020',
    byteLength: 1000,
    reference: 'base base',
    candidates: [{ reference: 'base base', expectedRatio: 0.1, decodeCost: 1, isWithinLimit: true }],
    report: { addedByteLength: 150, ratio: 0.15, version: summary },
  } as unknown as CommittedCheckpoint;
  const run = { storePath: '', checkpoints: [checkpoint], storedByteLength: 190 };
  const text = renderStore({
    machine: 'machine',
    lossless: run,
    checkouts: { direct: direct!, newest: newest!, chain },
    drift: { ...run, step: 0.01, chainError: 0.2, directError: 0.2, directRatio: 0.1 },
    manyVersions: [
      {
        versionCount: 1000,
        tensorCount: 60,
        changedCount: 2,
        bareMs: 40,
        commands: [{ command: 'log', cachedMs: 200, uncachedMs: 400 }],
      },
    ],
  });
  expect(text).toMatch(
    /lossless: all files of the store over the checkpoints *\| at most 18.00 % *\| 19.00 % *\| missed by 5.6 %/,
  );
  expect(text).toMatch(/error of the last version over .*\| at most 1.050 *\| 1.000 *\| met/);
  expect(text).toMatch(/`ere log` on 1,000 versions *\| at most 300 ms *\| 200 ms .*\| met/);
  expect(text).toContain('element of the result as 0.200');
  expect(text).not.toMatch(/NaN|undefined|Infinity/);
});

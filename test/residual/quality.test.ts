import { access } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { encode } from '../../src/residual/encode.js';
import { inspect } from '../../src/residual/inspect.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { tinylm } from '../helpers/tinylm.js';

test('encode reports, and the archive repeats, what was kept of every tensor', async () => {
  await withTempFolder(async (folder) => {
    const output = `${folder}/tuned.ere`;
    const options = {
      base: tinylm('base'),
      output,
      sideFiles: false,
      budget: { kind: 'rank', rank: 12 } as const,
    };
    const report = await encode(tinylm('python'), options);
    const inspected = await inspect(output);
    expect(inspected.tensors).toEqual(report.tensors);
    for (const tensor of report.tensors) {
      const elements = tensor.shape.reduce((product, dimension) => product * dimension, 1);
      expect(tensor.bitsPerWeight).toBe((8 * tensor.byteLength) / elements);
      expect(tensor.keptEnergy).toBe(1 - tensor.relativeError ** 2);
      if (tensor.case !== 'residual') {
        expect(tensor).toMatchObject({
          relativeError: 0,
          signalToNoiseDb: undefined,
          boundGapBits: undefined,
        });
        continue;
      }
      expect(10 ** (-tensor.signalToNoiseDb! / 20)).toBeCloseTo(tensor.relativeError, 12);
      // 8-bit factors of a 256-wide matrix: over the bound, and not by more than they take.
      expect(tensor.boundGapBits).toBeGreaterThan(0);
      expect(tensor.boundGapBits).toBeLessThan(tensor.bitsPerWeight);
    }
  });
});

test('an error above failAbove is BudgetError with both figures, and nothing is written', async () => {
  await withTempFolder(async (folder) => {
    const output = `${folder}/tuned.ere`;
    const options = { base: tinylm('base'), output, budget: { kind: 'rank', rank: 2 } as const };
    const error = await encode(tinylm('python'), { ...options, failAbove: 0.5 }).catch(
      (cause: unknown) => cause,
    );
    expect(error).toMatchObject({ code: 'ERE_BUDGET', asked: 0.5 });
    const { reachable, message } = error as { reachable: number; message: string };
    expect(reachable).toBeGreaterThan(0.5);
    expect(message).toContain(
      `its relative error would be ${reachable.toPrecision(4)}, above the accepted 0.5`,
    );
    await expect(access(output)).rejects.toThrow();
    await encode(tinylm('python'), { ...options, failAbove: 0.99 });
    await access(output);
  });
});

test('failAbove below nought or not a number is RangeError', async () => {
  const options = { base: tinylm('base'), output: 'never.ere' };
  for (const failAbove of [-0.1, Number.NaN]) {
    await expect(encode(tinylm('python'), { ...options, failAbove })).rejects.toThrow(RangeError);
  }
});

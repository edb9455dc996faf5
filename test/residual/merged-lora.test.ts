import { readFile, stat } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { loadKernels } from '../../src/kernels/load-kernels.js';
import type { EncodeOptions } from '../../src/residual/api.js';
import { decode } from '../../src/residual/decode.js';
import { encode } from '../../src/residual/encode.js';
import { type MergedLoraOptions, rankDistances, writeMergedLora } from '../helpers/merged-lora.js';
import { withTempFolder } from '../helpers/temp-folder.js';

const kernels = loadKernels('wasm');

async function encodeMerged(lora: Partial<MergedLoraOptions>, options: Partial<EncodeOptions>, count = 1) {
  return withTempFolder(async (folder) => {
    const all = { rows: 512, columns: 512, rank: 8, relativeSpread: 0.03, seed: 1, kernels, ...lora };
    const pairs = await writeMergedLora(folder, count, all);
    const [base, tuned, output] = ['base.safetensors', 'tuned.safetensors', 'lora.ere'].map(
      (name) => `${folder}/${name}`,
    ) as [string, string, string];
    const report = await encode(tuned, { base, output, ...options });
    const rebuilt = `${folder}/rebuilt.safetensors`;
    await decode(output, { base, output: rebuilt });
    const bytes = await readFile(rebuilt);
    const matrix = 2 * all.rows * all.columns;
    const distances = pairs.map((pair, i) => {
      const end = bytes.byteLength - (count - 1 - i) * matrix;
      return rankDistances(bytes.subarray(end - matrix, end), pair.fineTuned, pair.base);
    });
    expect((await stat(output)).size).toBe(report.archiveByteLength);
    return { report, distances };
  });
}

describe('a merged LoRA', () => {
  test('rank 16 on 2048 × 2048: the rank is found, 1.2 % of the file, every weight its own or the next, 96 % to the bit', async () => {
    const lora = { rows: 2048, columns: 2048, rank: 16 };
    const { report, distances } = await encodeMerged(lora, { preset: 'lora' });
    expect(report.productRanks).toEqual([16]);
    expect(report.tensors[0]).toMatchObject({ rank: 16, codecs: ['low-rank', 'interval-small'] });
    expect(report.ratio).toBeLessThanOrEqual(0.012);
    expect(distances[0]!.equalShare).toBeGreaterThan(0.96);
    expect(distances[0]!.overOne).toBe(0);
  });

  test.each<[string, Partial<MergedLoraOptions>]>([
    ['wide', { rows: 256, columns: 1024, rank: 4 }],
    ['tall', { rows: 1024, columns: 300, rank: 5 }],
    ['weak', { relativeSpread: 0.005 }],
    ['strong', { relativeSpread: 0.1 }],
  ])('%s: rank and products are recovered', async (_, lora) => {
    const { report, distances } = await encodeMerged(lora, { preset: 'lora' });
    expect(report.productRanks).toEqual([lora.rank ?? 8]);
    expect(distances[0]!.equalShare).toBeGreaterThan(0.93);
    expect(distances[0]!.overOne).toBe(0);
  });

  test('by default, the product and its small weights are kept where the budget pays for both', async () => {
    const size = { rows: 256, columns: 256, rank: 4 };
    const sizeOf = async (byteLength: number) => {
      const { report, distances } = await encodeMerged(size, { budget: { kind: 'size', byteLength } });
      return { codecs: report.tensors[0]!.codecs, size: report.archiveByteLength, ...distances[0]! };
    };
    const whole = await sizeOf(20_000);
    expect(whole).toMatchObject({ codecs: ['low-rank', 'interval-small'], overOne: 0 });
    const tight = await sizeOf(whole.size - 40);
    expect(tight.codecs).not.toContain('interval-small');
    expect(tight.size).toBeLessThanOrEqual(whole.size - 40);
  });

  test('ere-paper adds small weights if they fit', async () => {
    const size = { rows: 256, columns: 256, rank: 4 };
    const encodeTo = async (byteLength: number) => {
      const { report } = await encodeMerged(size, {
        preset: 'ere-paper',
        budget: { kind: 'size', byteLength },
      });
      return { codecs: report.tensors[0]!.codecs, byteLength: report.archiveByteLength };
    };
    const roomy = await encodeTo(20_000);
    expect(roomy.codecs).toEqual(['low-rank', 'interval-small']);
    const tight = await encodeTo(roomy.byteLength - 40);
    expect(tight.codecs).toEqual(['low-rank']);
    expect(tight.byteLength).toBeGreaterThan(0.8 * roomy.byteLength);
  });

  test('ere-paper spends no more than the product needs, whatever the budget', async () => {
    const budget = { kind: 'ratio', ratio: 0.1 } as const;
    const { report, distances } = await encodeMerged({}, { preset: 'ere-paper', budget }, 2);
    expect(report.productRanks).toEqual([8, 8]);
    expect(report.ratio).toBeLessThan(0.05);
    for (const { equalShare } of distances) expect(equalShare).toBeGreaterThan(0.93);
  });

  test('with a width asked for, factors are those of the SVD at that width', async () => {
    const { report } = await encodeMerged({}, { preset: 'lora', bits: 8, budget: { kind: 'rank', rank: 8 } });
    expect(report.productRanks).toEqual([]);
    expect(report.tensors[0]!.byteLength).toBe(8 * (5 + 1024));
  });

  test('a rank that is asked for and is the product’s is recognised', async () => {
    const { report } = await encodeMerged({}, { preset: 'lora', budget: { kind: 'rank', rank: 8 } });
    expect(report.productRanks).toEqual([8]);
  });

  test('is not seen where there is more than a product', async () => {
    const { report } = await encodeMerged({ rank: 200 }, { preset: 'lora' });
    expect(report.productRanks).toEqual([]);
    expect(report.tensors[0]).toMatchObject({ rank: 32 });
  });
});

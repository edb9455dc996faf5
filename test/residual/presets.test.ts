import { describe, expect, test } from 'vitest';
import type { Budget, EncodeOptions } from '../../src/residual/api.js';
import { encode } from '../../src/residual/encode.js';
import { inspect } from '../../src/residual/inspect.js';
import { PRESETS, type PresetName } from '../../src/residual/presets.js';
import { verify } from '../../src/residual/verify.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { tinylm } from '../helpers/tinylm.js';

const BASE = tinylm('base');

/** Encodes the tiny model, checks that the archive decodes, and returns report and index. */
async function encodeTinylm(options: Partial<EncodeOptions>) {
  return withTempFolder(async (folder) => {
    const output = `${folder}/tuned.ere`;
    const report = await encode(tinylm('python'), { base: BASE, output, sideFiles: false, ...options });
    await verify(output, { base: BASE });
    return { report, index: (await inspect(output)).index };
  });
}

test('bitdelta: 1 bit per weight of every matrix, at the error of signs', async () => {
  const { report, index } = await encodeTinylm({ preset: 'bitdelta' });
  expect(report).toMatchObject({ preset: 'bitdelta', allocation: 'signs', bits: 1 });
  expect(index.encoding).toEqual({ preset: 'bitdelta', allocation: 'signs', bits: 1 });
  expect(index.codecs).toEqual(['interval', 'sign']);
  const matrices = report.tensors.filter((tensor) => tensor.case === 'residual');
  for (const { shape, byteLength, codecs } of matrices) {
    expect(codecs).toEqual(['sign']);
    expect(byteLength).toBe((shape[0]! * shape[1]!) / 8);
  }
  expect(report.relativeError ** 2).toBeGreaterThan(0.36); // 1 − 2/π = 0.363 for a Gaussian residual
  expect(report.relativeError ** 2).toBeLessThan(0.39);
});

test('delta-come: 1/16 of the bytes in bands of 8, 3 and 2 bits', async () => {
  const { report, index } = await encodeTinylm({ preset: 'delta-come' });
  expect(report).toMatchObject({ preset: 'delta-come', allocation: 'bands', bits: '8/3/2' });
  expect(index.codecs).toEqual(['interval', 'low-rank']);
  expect(report.ratio).toBeLessThanOrEqual(1 / 16);
  expect(report.ratio).toBeGreaterThan(0.061);
  expect(report.relativeError ** 2).toBeLessThan(0.21);
});

test('lora: one rank, 16 bits, and nothing but low rank', async () => {
  const { report, index } = await encodeTinylm({ preset: 'lora', budget: { kind: 'rank', rank: 8 } });
  expect(report).toMatchObject({ preset: 'lora', allocation: 'uniform', bits: 16 });
  expect(index.codecs).toEqual(['interval', 'low-rank']);
  for (const tensor of report.tensors) {
    if (tensor.case === 'residual') expect(tensor).toMatchObject({ rank: 8, codecs: ['low-rank'] });
  }
});

test('ere-paper gives the bytes of the default allocation of layers', async () => {
  const budget: Budget = { kind: 'ratio', ratio: 0.02 };
  const { report } = await encodeTinylm({ preset: 'ere-paper', budget });
  expect(report).toMatchObject({ preset: 'ere-paper', allocation: 'layerwise' });
  expect(report.ratio).toBeLessThanOrEqual(0.02);
});

describe('options that are not part of the method', () => {
  const ratio: Budget = { kind: 'ratio', ratio: 0.05 };
  test.each<[PresetName, Partial<EncodeOptions>, string]>([
    [
      'bitdelta',
      { budget: ratio },
      'expected with preset bitdelta no budget: its size follows from the model',
    ],
    ['bitdelta', { bits: 2 }, 'expected no bits with preset bitdelta'],
    ['delta-come', { bits: 4 }, 'expected no bits with preset delta-come'],
    ['delta-come', { budget: { kind: 'energy', energy: 0.5 } }, 'got one of kind energy'],
    ['lora', { allocation: 'layerwise' }, 'expected with preset lora the allocation uniform; got layerwise'],
    ['lora', { prior: 0.5 }, 'expected no prior with preset lora'],
  ])('%s with %j is TypeError', async (preset, options, message) => {
    const all = { base: BASE, output: 'never.ere', preset, ...options };
    await expect(encode(tinylm('python'), all)).rejects.toThrow(TypeError);
    await expect(encode(tinylm('python'), all)).rejects.toThrow(message);
  });

  test('an unknown preset is TypeError with the list', async () => {
    const options = { base: BASE, output: 'never.ere', preset: 'toString' as PresetName };
    await expect(encode(tinylm('python'), options)).rejects.toThrow(
      `expected a preset of ${Object.keys(PRESETS).join(', ')}, got toString`,
    );
  });
});

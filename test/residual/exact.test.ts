/** Bit-exact archives: by themselves, and on top of lossy terms. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decode, encode, inspect, truncate, verify } from '../../src/index.js';
import {
  floatTensor,
  type Model,
  matrixPair,
  modelPair,
  QUICK,
  readTensors,
  valuesOf,
  writeModel,
} from '../helpers/models.js';
import type { TensorToWrite } from '../helpers/safetensors-bytes.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { normalFloats, PATHS, randomBytes } from '../kernels/samples.js';

/** Every case that an exact term meets. */
function everyCase(): { base: Model; fineTuned: Model } {
  const named = (tensor: TensorToWrite, name: string) => ({ ...tensor, name });
  const cast = matrixPair('cast', [24, 18], 2);
  const grown = matrixPair('grown', [26, 12], 3, { dtype: 'BF16' });
  const shrunk = matrixPair('shrunk', [14, 10], 4, { dtype: 'F16' });
  const zeros = floatTensor('zeros', 'F32', [4, 4], new Float32Array(16));
  const signs = { ...zeros, data: zeros.data!.map((_, i) => (i % 8 === 3 ? 0x80 : 0)) };
  const tied = matrixPair('tied', [20, 16], 5, { dtype: 'BF16' });
  const wild = matrixPair('wild', [10, 10], 6);
  wild.fineTuned.data!.set([0, 0, 192, 127], 40); // NaN
  return modelPair([
    matrixPair('f32', [30, 20], 10),
    matrixPair('f16', [20, 31], 11, { dtype: 'F16' }),
    matrixPair('bf16', [40, 17], 12, { dtype: 'BF16' }),
    matrixPair('e4m3', [16, 15], 13, { dtype: 'F8_E4M3', strength: 0.5 }),
    matrixPair('e5m2', [16, 15], 14, { dtype: 'F8_E5M2', strength: 0.5 }),
    matrixPair('f64', [12, 14], 15, { dtype: 'F64' }),
    { base: floatTensor('cast', 'BF16', [24, 18], valuesOf(cast.base)), fineTuned: cast.fineTuned },
    {
      base: { ...grown.base, shape: [20, 12], data: grown.base.data!.subarray(0, 480) },
      fineTuned: grown.fineTuned,
    },
    {
      base: shrunk.base,
      fineTuned: { ...shrunk.fineTuned, shape: [9, 10], data: shrunk.fineTuned.data!.subarray(0, 180) },
    },
    { base: zeros, fineTuned: signs },
    tied,
    { base: named(tied.base, 'tied2'), fineTuned: named(tied.fineTuned, 'tied2') },
    wild,
    {
      base: { name: 'ids', dtype: 'I64', shape: [3, 4], data: randomBytes(96, 5) } as const,
      fineTuned: { name: 'ids', dtype: 'I64', shape: [3, 4], data: randomBytes(96, 6) } as const,
    },
    {
      base: floatTensor('norm', 'F32', [40], normalFloats(40, 7)),
      fineTuned: floatTensor('norm', 'BF16', [40], normalFloats(40, 7)),
    },
    { fineTuned: { name: 'mask', dtype: 'BOOL', shape: [2, 40], data: new Uint8Array(80).fill(1) } as const },
    { fineTuned: { name: 'none', dtype: 'F32', shape: [0, 3], data: new Uint8Array(0) } as const },
  ]);
}

const models = everyCase();
const original = new Map(models.fineTuned.tensors.map(({ name, data }) => [name, Buffer.from(data!)]));
let folder: string;
let release: () => void;
let done: Promise<void>;
let base: string;
let fineTuned: string;

beforeAll(async () => {
  await new Promise<void>((ready) => {
    done = withTempFolder(async (path) => {
      folder = path;
      [base, fineTuned] = [join(path, 'base'), join(path, 'tuned')];
      await writeModel(base, models.base);
      await writeModel(fineTuned, models.fineTuned);
      ready();
      await new Promise<void>((resolve) => {
        release = resolve;
      });
    });
  });
});

afterAll(async () => {
  release();
  await done;
});

async function expectOriginal(output: string): Promise<void> {
  const found = await readTensors(output);
  expect([...found.keys()].sort()).toEqual([...original.keys()].sort());
  for (const [name, bytes] of found) {
    expect(`${name} ${Buffer.from(bytes).toString('hex')}`).toBe(
      `${name} ${original.get(name)!.toString('hex')}`,
    );
  }
}

describe('lossless', () => {
  it('gives back every bit of every dtype and case, and says so', async () => {
    const [archive, output] = [join(folder, 'l.ere'), join(folder, 'l')];
    const report = await encode(fineTuned, { ...QUICK, base, output: archive, lossless: true });
    expect(report).toMatchObject({ allocation: 'lossless', relativeError: 0 });
    expect(report.tensors.every(({ relativeError }) => relativeError === 0)).toBe(true);
    const { index } = await inspect(archive);
    expect(index.encoding).toEqual({ lossless: true });
    expect(index.codecs).toEqual(['bytes', 'interval']);
    const predictions = new Map(
      index.tensors.map(({ name, terms }) => [name, terms.map((t) => t.params.predict)]),
    );
    expect(predictions.get('cast')).toEqual(['reconstruction']);
    expect(predictions.get('grown')).toEqual(['base', 'none']);
    expect(predictions.get('shrunk')).toEqual(['base']);
    expect(predictions.get('norm')).toEqual(['reconstruction']);
    expect(await decode(archive, { base, output })).toMatchObject({
      quality: 'exact',
      incompleteTensorCount: 0,
    });
    await expectOriginal(output);
    await decode(archive, { base, output, quality: 'exact', overwrite: true });
    expect((await verify(archive, { base, against: fineTuned })).comparison).toMatchObject({
      differentCount: 0,
    });
  });

  it.each([
    { budget: { kind: 'ratio', ratio: 0.1 } },
    { preset: 'lora' },
    { allocation: 'uniform' },
    { bits: 4 },
    { prior: 0.1 },
    { exactOnTop: true },
  ] as const)('refuses %o beside it', async (options) => {
    const encoding = encode(fineTuned, {
      ...QUICK,
      ...options,
      base,
      output: join(folder, 'no.ere'),
      lossless: true,
    });
    await expect(encoding).rejects.toThrow(TypeError);
  });
});

describe('exact on top', () => {
  const options = { ...QUICK, budget: { kind: 'rank', rank: 2 }, exactOnTop: true } as const;

  it('decodes to the original, and at lossy quality to what the lossy archive decodes to', async () => {
    const [archive, plain] = [join(folder, 'x.ere'), join(folder, 'plain.ere')];
    const report = await encode(fineTuned, { ...options, base, output: archive });
    const lossy = await encode(fineTuned, { ...options, exactOnTop: false, base, output: plain });
    expect(report.relativeError).toBe(0);
    expect(report.lossy?.relativeError).toBe(lossy.relativeError);
    expect(report.lossy!.byteLength).toBeLessThan(report.archiveByteLength);

    const exact = await decode(archive, { base, output: join(folder, 'x') });
    expect(exact).toMatchObject({ quality: 'exact', loss: { relativeError: 0, isEstimated: false } });
    await expectOriginal(join(folder, 'x'));

    const coarse = await decode(archive, { base, output: join(folder, 'coarse'), quality: 'lossy' });
    const expected = await decode(plain, { base, output: join(folder, 'expected') });
    expect(coarse).toMatchObject({ quality: 'lossy', incompleteTensorCount: 0 });
    expect(coarse.loss).toEqual(expected.loss);
    expect(coarse.digest).toBe(expected.digest);
    expect(await readTensors(join(folder, 'coarse'))).toEqual(await readTensors(join(folder, 'expected')));
  });

  it('has its lossy level in front, which truncate cuts out without a base', async () => {
    const [archive, small] = [join(folder, 'x.ere'), join(folder, 'small.ere')];
    const report = await truncate(archive, { to: 'lossy', output: small });
    expect(report.quality).toBe('lossy');
    const coarse = await decode(archive, { base, output: join(folder, 'c'), quality: 'lossy' });
    const cut = await decode(small, { base, output: join(folder, 's') });
    expect(cut.digest).toBe(coarse.digest);
    expect(report.digest).toBe(coarse.digest);
    expect(await readFile(join(folder, 's', 'model.safetensors'))).toEqual(
      await readFile(join(folder, 'c', 'model.safetensors')),
    );
    expect((await inspect(small)).index.tensors.every(({ lossy }) => lossy === undefined)).toBe(true);
    await expect(truncate(small, { to: 'lossy', output: join(folder, 'no.ere') })).rejects.toThrow(
      /no exact terms on top/,
    );
  });

  it('is checked at both levels by verify', async () => {
    const archive = join(folder, 'x.ere');
    const { index } = await inspect(archive);
    const lossyTensorCount = index.tensors.filter(({ lossy }) => lossy !== undefined).length;
    expect(lossyTensorCount).toBeGreaterThan(5);
    const report = await verify(archive, { base, against: fineTuned });
    expect(report).toMatchObject({ lossyTensorCount, comparison: { differentCount: 0 } });
  });

  it('has the same bytes for any number of threads and both kernel paths', async () => {
    const expected = await readFile(join(folder, 'x.ere'));
    for (const kernels of PATHS) {
      for (const threads of [1, 3]) {
        const output = join(folder, 'again.ere');
        await encode(fineTuned, { ...options, base, output, kernels, threads, overwrite: true });
        expect((await readFile(output)).equals(expected)).toBe(true);
        const decoded = join(folder, 'again');
        await decode(output, { base, output: decoded, kernels, threads, overwrite: true });
        await expectOriginal(decoded);
      }
    }
  });

  it('leaves a tensor alone that the lossy terms give exactly', async () => {
    const { index } = await inspect(join(folder, 'x.ere'));
    for (const { name, lossy, terms } of index.tensors) {
      if (lossy === undefined) continue;
      expect(terms.at(-1)!.params.predict, name).not.toBe('base');
      expect(lossy.digest, name).not.toBe(index.tensors.find((tensor) => tensor.name === name)!.digest);
    }
    expect(index.tensors.find(({ name }) => name === 'norm')).not.toHaveProperty('lossy');
  });

  it('keeps a size budget with the lossy part, index of the whole included', async () => {
    for (const byteLength of [7000, 9000]) {
      const output = join(folder, 'size.ere');
      const budget = { kind: 'size', byteLength } as const;
      const report = await encode(fineTuned, { ...options, budget, base, output, overwrite: true });
      expect(report.lossy!.byteLength).toBeLessThanOrEqual(byteLength);
      const bytes = await readFile(output);
      const { prefixes } = await inspect(output);
      expect(prefixes.find(({ quality }) => quality === 'lossy')?.byteLength).toBe(report.lossy!.byteLength);
      expect(prefixes.at(-1)).toMatchObject({ quality: 'exact', byteLength: bytes.byteLength });
    }
  });
});

it('exact quality of a lossy archive is refused, and nothing is written', async () => {
  const output = join(folder, 'nothing');
  const decoding = decode(join(folder, 'plain.ere'), { base, output, quality: 'exact' });
  await expect(decoding).rejects.toMatchObject({
    code: 'ERE_UNSUPPORTED',
    message: expect.stringMatching(/is lossy and has no exact terms/),
  });
  await expect(readFile(join(output, 'model.safetensors'))).rejects.toThrow();
});

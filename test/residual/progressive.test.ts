/** Prefixes of archives: truncated, cut off in a download, and what they are said to be worth. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  decode,
  encode,
  inspect,
  type TruncateOptions,
  type TruncateReport,
  truncate,
  verify,
} from '../../src/index.js';
import { floatTensor, matrixPair, modelPair, QUICK, readTensors, writeModel } from '../helpers/models.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { normalFloats, PATHS } from '../kernels/samples.js';

/** Low-rank tensors of several strengths, a dense one, a grown one, an added vector. */
const grown = matrixPair('grown', [70, 40], 9, { dtype: 'BF16', strength: 0.2 });
const models = modelPair([
  ...[0, 1, 2, 3, 4, 5].map((i) =>
    matrixPair(`layers.${i}.w`, [96, 80], 100 + i, { dtype: 'BF16', rank: 12, strength: 0.02 * (i + 1) }),
  ),
  matrixPair('flat', [64, 64], 200, { rank: 0, noise: 1, strength: 0.05 }),
  {
    base: { ...grown.base, shape: [64, 40], data: grown.base.data!.subarray(0, 64 * 40 * 2) },
    fineTuned: grown.fineTuned,
  },
  { fineTuned: floatTensor('added', 'F32', [33], normalFloats(33, 7)) },
]);

let release: () => void;
let done: Promise<void>;
let path: (name: string) => string;
let base: string;
let fineTuned: string;

beforeAll(async () => {
  await new Promise<void>((ready, fail) => {
    done = withTempFolder(async (folder) => {
      path = (name) => join(folder, name);
      [base, fineTuned] = [path('base'), path('tuned')];
      await writeModel(base, models.base);
      await writeModel(fineTuned, { ...models.fineTuned, sideFiles: { 'config.json': '{"tuned":true}\n' } });
      // Fixed-width factors: small matrices have several bands too.
      const options = { ...QUICK, base, preset: 'ere-paper', budget: { kind: 'ratio', ratio: 0.3 } } as const;
      await encode(fineTuned, { ...options, output: path('lossy.ere') });
      await encode(fineTuned, { ...options, output: path('exact.ere'), exactOnTop: true });
      ready();
      await new Promise<void>((resolve) => {
        release = resolve;
      });
    }).catch(fail) as Promise<void>;
  });
});

afterAll(async () => {
  release();
  await done;
});

async function cutTo(to: number, fields: Partial<TruncateOptions> = {}): Promise<TruncateReport> {
  const output = path('cut.ere');
  return truncate(path('exact.ere'), { to, base, output, overwrite: true, threads: 1, ...fields });
}

/** Where the chunks of an archive end. */
async function chunkEnds(name: string): Promise<number[]> {
  const { index, byteLength } = await inspect(path(name));
  let end = byteLength - index.chunks.reduce((sum, [length]) => sum + length, 0);
  return index.chunks.map(([length]) => {
    end += length;
    return end;
  });
}

/** Relative error against the fine-tune, measured. */
async function measuredError(archive: string): Promise<number> {
  return (await verify(archive, { base, against: fineTuned, threads: 1 })).comparison!.relativeError;
}

describe('truncate', () => {
  it('fits every size, and gives a model that is the better the longer it is, at about the stated error', async () => {
    const { byteLength } = await inspect(path('exact.ere'));
    let last = { byteLength: 0, error: Number.POSITIVE_INFINITY };
    for (const share of [0.08, 0.12, 0.18, 0.24, 0.3, 0.4, 0.6, 0.8, 0.99]) {
      const to = Math.floor(share * byteLength);
      const report = await cutTo(to);
      const bytes = await readFile(path('cut.ere'));
      expect(bytes.byteLength).toBe(report.byteLength);
      expect(report.byteLength).toBeLessThanOrEqual(to);
      expect(report.byteLength).toBeGreaterThanOrEqual(last.byteLength);
      if (report.byteLength === last.byteLength) continue; // The next chunk does not fit yet.
      const error = await measuredError(path('cut.ere'));
      expect(error).toBeLessThan(last.error);
      const stated = report.loss.relativeError!;
      expect(Math.abs(stated - error) / error).toBeLessThan(0.03);
      expect(report.loss.isEstimated).toBe(report.quality === 'partial');
      last = { byteLength: report.byteLength, error };
    }
  });

  it('states estimates as such in the archive, and drops the codecs it no longer needs', async () => {
    const { prefixes } = await inspect(path('exact.ere'));
    await cutTo(prefixes[0]!.byteLength + 200);
    const { index, tensors } = await inspect(path('cut.ere'));
    const cut = index.tensors.filter(({ quality }) => quality?.estimated);
    expect(cut.length).toBeGreaterThan(0);
    expect(cut.some(({ terms }) => terms.some(({ missing }) => missing !== undefined))).toBe(true);
    expect(index.encoding).toMatchObject({ exactOnTop: true, truncated: true });
    const used = new Set(index.tensors.flatMap(({ terms }) => terms.map(({ codec }) => codec)));
    expect(new Set(index.codecs)).toEqual(used);
    expect(tensors.find(({ name }) => name === 'added')!.relativeError).toBe(0);
  });

  it('keeps the files that travel along, and can be truncated again', async () => {
    await cutTo(16_000);
    const [again, output] = [path('again.ere'), path('again')];
    const report = await truncate(path('cut.ere'), { to: 12_000, base, output: again, threads: 1 });
    expect(report.quality).toBe('partial');
    expect(report.byteLength).toBeLessThanOrEqual(12_000);
    const error = await measuredError(again);
    expect(error).toBeGreaterThan(await measuredError(path('cut.ere')));
    expect(Math.abs(report.loss.relativeError! - error) / error).toBeLessThan(0.03);
    await decode(again, { base, output, threads: 1 });
    expect(await readFile(join(output, 'config.json'), 'utf8')).toBe('{"tuned":true}\n');
  });

  it('gives the same bytes for any number of threads and both kernel paths', async () => {
    await cutTo(14_000);
    const expected = await readFile(path('cut.ere'));
    for (const kernels of PATHS) {
      await cutTo(14_000, { kernels, threads: 2 });
      expect((await readFile(path('cut.ere'))).equals(expected)).toBe(true);
    }
  });

  it('of a whole archive to its own length is a copy', async () => {
    const whole = await readFile(path('exact.ere'));
    expect(await cutTo(whole.byteLength)).toMatchObject({ quality: 'exact', byteLength: whole.byteLength });
    expect((await readFile(path('cut.ere'))).equals(whole)).toBe(true);
  });

  it('between lossy and exact keeps both levels of what is refined', async () => {
    const { prefixes } = await inspect(path('exact.ere'));
    const [lossy, exact] = prefixes.slice(-2) as [(typeof prefixes)[0], (typeof prefixes)[0]];
    const report = await cutTo(Math.floor((lossy.byteLength + exact.byteLength) / 2));
    expect(report.quality).toBe('lossy');
    const { index } = await inspect(path('cut.ere'));
    const refined = index.tensors.filter((tensor) => tensor.lossy !== undefined);
    expect(refined.length).toBeGreaterThan(0);
    expect(refined.length).toBeLessThan(index.tensors.length - 1);
    const coarse = await decode(path('cut.ere'), {
      base,
      output: path('mixed'),
      quality: 'lossy',
      threads: 1,
    });
    const expected = await decode(path('exact.ere'), {
      base,
      output: path('coarse'),
      quality: 'lossy',
      threads: 1,
    });
    expect(coarse.digest).toBe(expected.digest);
    expect(coarse.loss).toEqual(expected.loss);
  });

  it('refuses a size under the shortest prefix, and says what that takes', async () => {
    const cutting = cutTo(900);
    await expect(cutting).rejects.toMatchObject({ code: 'ERE_BUDGET', asked: 900 });
    const { reachable } = (await cutting.catch((error: unknown) => error)) as { reachable: number };
    expect((await cutTo(reachable + 48)).byteLength).toBeLessThanOrEqual(reachable + 48);
  });

  it('needs a base with a size, and the right one', async () => {
    const to = 14_000;
    const output = path('no.ere');
    await expect(truncate(path('exact.ere'), { to, output })).rejects.toThrow(TypeError);
    await expect(truncate(path('exact.ere'), { to: 0.5, base, output })).rejects.toThrow(RangeError);
    const wrong = truncate(path('exact.ere'), { to, base: fineTuned, output, threads: 1 });
    await expect(wrong).rejects.toMatchObject({ code: 'ERE_CHECKPOINT_MISMATCH' });
    await expect(readFile(output)).rejects.toThrow();
  });
});

describe('a file that was cut off', () => {
  /** The first bytes of an archive, decoded with what is there. */
  async function decodeCut(name: string, byteLength: number, fields = {}) {
    const whole = await readFile(path(name));
    await writeFile(path('broken.ere'), whole.subarray(0, byteLength));
    return decode(path('broken.ere'), {
      base,
      output: path('broken'),
      overwrite: true,
      threads: 1,
      ...fields,
    });
  }

  it('is refused without partial, with both lengths and what to do', async () => {
    const { byteLength } = await inspect(path('lossy.ere'));
    await expect(decodeCut('lossy.ere', byteLength - 1)).rejects.toThrow(
      `truncated: expected ${byteLength} bytes, found ${byteLength - 1}; fetch the rest, or decode what is there`,
    );
  });

  it('decodes at any byte to the bytes of the archive truncated there', async () => {
    const ends = await chunkEnds('exact.ere');
    const { prefixes } = await inspect(path('exact.ere'));
    for (const { byteLength, quality, loss } of [prefixes[1]!, prefixes[4]!, prefixes.at(-2)!]) {
      // In the middle of the next chunk: nothing of it counts.
      const next = ends.find((offset) => offset > byteLength)!;
      const report = await decodeCut('exact.ere', Math.floor((byteLength + next) / 2), { partial: true });
      expect(report).toMatchObject({ quality, loss });
      expect(report.incompleteTensorCount > 0).toBe(quality === 'partial');
      if (quality !== 'partial') continue;
      const cut = await sameCut(byteLength, loss.relativeError!);
      expect(cut.digest).toBe(report.digest);
      await decode(path('cut.ere'), { base, output: path('same'), overwrite: true, threads: 1 });
      expect(await readTensors(path('broken'))).toEqual(await readTensors(path('same')));
    }
  });

  /** Truncates to as many chunks as a prefix of `byteLength` bytes has; its shorter index leaves room for more. */
  async function sameCut(byteLength: number, relativeError: number): Promise<TruncateReport> {
    for (let to = byteLength; to > byteLength - 2000; to -= 50) {
      const report = await cutTo(to);
      if (report.loss.relativeError === relativeError) return report;
    }
    throw new Error(`no archive of about ${byteLength} bytes states the relative error ${relativeError}`);
  }

  it('in its exact terms is the lossy model with digests that match, better where tensors are whole', async () => {
    const { prefixes, byteLength } = await inspect(path('exact.ere'));
    const lossy = prefixes.at(-2)!;
    const report = await decodeCut('exact.ere', byteLength - 1, { partial: true });
    expect(report).toMatchObject({ quality: 'lossy', incompleteTensorCount: 0 });
    expect(report.loss.relativeError!).toBeLessThan(lossy.loss.relativeError!);
    const coarse = await decodeCut('exact.ere', byteLength - 1, { partial: true, quality: 'lossy' });
    expect(coarse.loss).toEqual(lossy.loss);
    await expect(decodeCut('exact.ere', byteLength - 1, { partial: true, quality: 'exact' })).rejects.toThrow(
      /exact terms lie behind the cut/,
    );
  });

  it('without what decoding cannot do without is refused', async () => {
    const [header] = await chunkEnds('exact.ere');
    await expect(decodeCut('exact.ere', 60, { partial: true })).rejects.toThrow(/its index ends at byte/);
    await expect(decodeCut('exact.ere', header! - 1, { partial: true })).rejects.toMatchObject({
      code: 'ERE_FORMAT',
      message: expect.stringMatching(/truncated/),
    });
  });

  it('that is damaged before the cut is refused', async () => {
    const whole = await readFile(path('exact.ere'));
    const { prefixes } = await inspect(path('exact.ere'));
    whole[prefixes[1]!.byteLength - 2]! ^= 1;
    await writeFile(path('broken.ere'), whole.subarray(0, prefixes[2]!.byteLength));
    const decoding = decode(path('broken.ere'), { base, output: path('no'), partial: true, threads: 1 });
    await expect(decoding).rejects.toMatchObject({ code: 'ERE_INTEGRITY' });
  });

  it('still needs the right base', async () => {
    await expect(decodeCut('exact.ere', 20_000, { partial: true, base: fineTuned })).rejects.toMatchObject({
      code: 'ERE_CHECKPOINT_MISMATCH',
    });
  });
});

describe('inspect', () => {
  it('names prefixes in order of size, the error falling, and the measured end', async () => {
    const { prefixes, byteLength } = await inspect(path('lossy.ere'));
    expect(prefixes.length).toBeGreaterThanOrEqual(5);
    for (const [i, prefix] of prefixes.entries()) {
      if (i === 0) continue;
      expect(prefix.byteLength).toBeGreaterThan(prefixes[i - 1]!.byteLength);
      expect(prefix.loss.relativeError!).toBeLessThan(prefixes[i - 1]!.loss.relativeError!);
    }
    const last = prefixes.at(-1)!;
    expect(last).toMatchObject({ byteLength, quality: 'lossy', loss: { isEstimated: false } });
    expect(last.loss.relativeError).toBeCloseTo(await measuredError(path('lossy.ere')), 4);
    expect(
      prefixes.slice(0, -1).every(({ quality, loss }) => quality === 'partial' && loss.isEstimated),
    ).toBe(true);
  });

  it('knows one prefix of a lossless archive: all of it', async () => {
    await encode(fineTuned, { ...QUICK, base, output: path('lossless.ere'), lossless: true });
    const { prefixes, byteLength } = await inspect(path('lossless.ere'));
    expect(prefixes).toEqual([
      { byteLength, quality: 'exact', loss: { relativeError: 0, isEstimated: false } },
    ]);
  });
});

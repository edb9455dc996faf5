/** Merged adapters with small weights corrected (codec interval-small): cut, truncated, exact on top, on any path. */
import { readFile, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { decode, type EncodeOptions, encode, inspect, truncate, verify } from '../../src/index.js';
import { rankDistances, writeMergedLora } from '../helpers/merged-lora.js';
import { QUICK } from '../helpers/models.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { PATHS, wasm } from '../kernels/samples.js';

const SIZE = { rows: 192, columns: 160, rank: 3, relativeSpread: 0.03, seed: 5, kernels: wasm };

interface Merged {
  path(name: string): string;
  /** Shares of weights, of the first matrix of a decoded file. */
  distances(file: string): Promise<ReturnType<typeof rankDistances>>;
}

/** lora.ere of two matrices in `folder`, next to base.safetensors and tuned.safetensors. */
async function withArchive(options: Partial<EncodeOptions>, use: (merged: Merged) => Promise<void>) {
  await withTempFolder(async (folder) => {
    const path = (name: string) => `${folder}/${name}`;
    const pairs = await writeMergedLora(folder, 2, SIZE);
    const base = path('base.safetensors');
    await encode(path('tuned.safetensors'), {
      ...QUICK,
      preset: 'lora',
      ...options,
      base,
      output: path('lora.ere'),
    });
    const distances = async (file: string) => {
      const bytes = await readFile(file);
      const data = bytes.subarray(8 + Number(bytes.readBigUInt64LE(0)));
      const { base: before, fineTuned } = pairs[0]!;
      return rankDistances(data.subarray(0, fineTuned.byteLength), fineTuned, before);
    };
    await use({ path, distances });
  });
}

test('are the last of the lossy part, and say what they are worth: prefixes without them are estimated', async () => {
  await withArchive({}, async ({ path, distances }) => {
    const [archive, base] = [path('lora.ere'), path('base.safetensors')];
    const { index, byteLength } = await inspect(archive);
    const small = index.tensors.map(({ terms }) => terms[1]!);
    expect(small.map(({ codec }) => codec)).toEqual(['interval-small', 'interval-small']);
    const chunks = small.flatMap((term) => term.chunks);
    expect([...chunks].sort()).toEqual([index.chunks.length - 2, index.chunks.length - 1]);

    const output = path('cut.ere');
    const truncated = await truncate(archive, { to: byteLength - 1, base, output, threads: 1 });
    expect(truncated).toMatchObject({ quality: 'partial', loss: { isEstimated: true } });
    const { comparison } = await verify(output, { base, against: path('tuned.safetensors'), threads: 1 });
    const { relativeError } = comparison!;
    expect(Math.abs(truncated.loss.relativeError! - relativeError) / relativeError).toBeLessThan(0.01);

    // The same bytes from a file that was cut off inside the last chunk.
    await writeFile(path('broken.ere'), (await readFile(archive)).subarray(0, byteLength - 1));
    const partial = await decode(path('broken.ere'), {
      base,
      output: path('broken.safetensors'),
      partial: true,
      threads: 1,
    });
    const whole = await decode(output, { base, output: path('whole.safetensors'), threads: 1 });
    expect(partial.digest).toBe(whole.digest);

    // Without any of them, and within the product.
    for (const to of [byteLength - 200, Math.floor(byteLength * 0.7)]) {
      const { loss } = await truncate(archive, { to, base, output, overwrite: true, threads: 1 });
      expect(loss.relativeError).toBeGreaterThan(relativeError);
      expect((await inspect(output)).index.codecs).toEqual(['low-rank']);
      await decode(output, { base, output: path('whole.safetensors'), overwrite: true, threads: 1 });
      expect((await distances(path('whole.safetensors'))).overOne).toBeGreaterThan(0);
    }
  });
});

test('are part of the lossy level below exact terms, which take little', async () => {
  await withArchive({ exactOnTop: true }, async ({ path, distances }) => {
    const [archive, base] = [path('lora.ere'), path('base.safetensors')];
    const { index } = await inspect(archive);
    expect(index.tensors[0]).toMatchObject({
      lossy: { terms: 2 },
      terms: [{ codec: 'low-rank' }, { codec: 'interval-small' }, { codec: 'interval' }],
    });
    await decode(archive, { base, output: path('lossy.safetensors'), quality: 'lossy', threads: 1 });
    expect(await distances(path('lossy.safetensors'))).toMatchObject({ overOne: 0 });
    await decode(archive, { base, output: path('exact.safetensors'), quality: 'exact', threads: 1 });
    expect(await distances(path('exact.safetensors'))).toMatchObject({ equalShare: 1 });
    const report = await truncate(archive, { to: 'lossy', output: path('cut.ere') });
    expect(report.quality).toBe('lossy');
    expect((await inspect(path('cut.ere'))).index.codecs).toEqual(['interval-small', 'low-rank']);
    // Three of a hundred weights differ, by one value.
    const bytes = index.tensors[0]!.terms[2]!.chunks.reduce((sum, chunk) => sum + index.chunks[chunk]![0], 0);
    expect((8 * bytes) / (SIZE.rows * SIZE.columns)).toBeLessThan(0.25);
  });
});

test('are the same bytes for any number of threads and both kernel paths', async () => {
  await withArchive({}, async ({ path }) => {
    const expected = await readFile(path('lora.ere'));
    const [base, output] = [path('base.safetensors'), path('again.ere')];
    for (const kernels of PATHS) {
      const options = {
        ...QUICK,
        base,
        output,
        overwrite: true,
        preset: 'lora',
        kernels,
        threads: 2,
      } as const;
      await encode(path('tuned.safetensors'), options);
      expect((await readFile(output)).equals(expected)).toBe(true);
      const decoded = await decode(output, {
        base,
        output: path('out.safetensors'),
        overwrite: true,
        kernels,
        threads: 2,
      });
      expect(decoded.digest).toBe((await inspect(output)).index.decoded.digest);
    }
  });
});

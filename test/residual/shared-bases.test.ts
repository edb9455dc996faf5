/** Tensors with the same inputs over one basis, from encode to truncate. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseIndex } from '../../formats/ere/parse-index.js';
import { decode, encode, inspect, truncate, verify } from '../../src/index.js';
import { readArchive } from '../helpers/independent-decoder.js';
import {
  floatTensor,
  type Model,
  matrixPair,
  modelPair,
  QUICK,
  valuesOf,
  withModels,
} from '../helpers/models.js';
import { normalFloats } from '../kernels/samples.js';

const COLUMNS = 48;
const RANK = 10;
const directions = normalFloats(RANK * COLUMNS, 5);

/** A residual of rows near the space of the directions, and noise. */
function relative(name: string, rows: number, seed: number) {
  const pair = matrixPair(name, [rows, COLUMNS], seed, { rank: 0, noise: 0.2, dtype: 'BF16' });
  const strengths = normalFloats(rows * RANK, seed + 1);
  const values = valuesOf(pair.fineTuned).map((value, at) => {
    const [i, j] = [Math.floor(at / COLUMNS), at % COLUMNS];
    let sum = value;
    for (let k = 0; k < RANK; k++)
      sum += (0.1 / (1 + k / 3)) * strengths[i * RANK + k]! * directions[k * COLUMNS + j]!;
    return sum;
  });
  return { base: pair.base, fineTuned: floatTensor(name, 'BF16', [rows, COLUMNS], values) };
}

const named = (q: string, k: string, v: string): { base: Model; fineTuned: Model } =>
  modelPair([
    relative(`layers.0.self_attn.${q}.weight`, 64, 11),
    relative(`layers.0.self_attn.${k}.weight`, 40, 12),
    relative(`layers.0.self_attn.${v}.weight`, 48, 13),
  ]);
const attention = named('q_proj', 'k_proj', 'v_proj');

const OPTIONS = { ...QUICK, budget: { kind: 'max-error', relativeError: 0.3 } } as const;

/** Chunks by how many tensors refer to them. */
async function usesOfChunks(archive: string): Promise<number[]> {
  const { index } = readArchive(await readFile(archive));
  const { tensors, chunks } = parseIndex(Buffer.from(JSON.stringify(index)), { file: archive });
  const uses = chunks.map(() => 0);
  for (const { terms } of tensors) for (const chunk of terms.flatMap((term) => term.chunks)) uses[chunk]!++;
  return uses;
}

describe('query, key and value', () => {
  it('share a basis, whose bytes the report spreads over them, and decode with the loss it states', async () => {
    await withModels(attention, async (base, tuned, folder) => {
      const output = join(folder, 'a.ere');
      const report = await encode(tuned, { ...OPTIONS, base, output });
      expect(report.tensors.map(({ codecs }) => codecs)).toEqual(Array(3).fill(['coded-subspace']));
      expect(report.relativeError).toBeLessThanOrEqual(0.3);
      const uses = await usesOfChunks(output);
      expect(uses.filter((count) => count === 3).length).toBeGreaterThan(0);
      const { index } = readArchive(await readFile(output));
      const stored = index.chunks.reduce((sum, [length], chunk) => sum + (uses[chunk]! > 0 ? length : 0), 0);
      const reported = report.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
      expect(Math.abs(reported - stored)).toBeLessThanOrEqual(3);
      const { comparison } = await verify(output, { base, against: tuned });
      expect(comparison!.relativeError).toBeCloseTo(report.relativeError, 4);
    });
  });

  it('take fewer bytes than under names that say nothing', async () => {
    const byteLengths: number[] = [];
    for (const models of [attention, named('a', 'b', 'c')]) {
      await withModels(models, async (base, tuned, folder) => {
        const report = await encode(tuned, { ...OPTIONS, base, output: join(folder, 'a.ere') });
        byteLengths.push(report.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0));
      });
    }
    expect(byteLengths[0]! / byteLengths[1]!).toBeLessThan(0.97);
  });

  it('give one archive for any threads and both kernel paths', async () => {
    await withModels(attention, async (base, tuned, folder) => {
      const archives: Buffer[] = [];
      for (const [threads, kernels] of [
        [1, 'wasm'],
        [3, 'wasm'],
        [1, 'scalar'],
      ] as const) {
        const output = join(folder, `${threads}-${kernels}.ere`);
        await encode(tuned, { ...OPTIONS, base, output, threads, kernels });
        archives.push(await readFile(output));
      }
      expect(archives[1]!.equals(archives[0]!)).toBe(true);
      expect(archives[2]!.equals(archives[0]!)).toBe(true);
    });
  });

  it('are alone again where their residuals have nothing in common', async () => {
    const strangers = modelPair(
      ['q_proj', 'k_proj', 'v_proj'].map((name, i) =>
        matrixPair(`${name}.weight`, [64, COLUMNS], 30 + 100 * i, { rank: 8, noise: 0.02, dtype: 'BF16' }),
      ),
    );
    await withModels(strangers, async (base, tuned, folder) => {
      const output = join(folder, 'a.ere');
      await encode(tuned, { ...OPTIONS, base, output });
      expect(Math.max(...(await usesOfChunks(output)))).toBe(1);
    });
  });

  it('keep a basis in a truncated archive as long as one of them needs it', async () => {
    await withModels(attention, async (base, tuned, folder) => {
      const [whole, cut] = [join(folder, 'a.ere'), join(folder, 'cut.ere')];
      await encode(tuned, {
        ...OPTIONS,
        budget: { kind: 'max-error', relativeError: 0.1 },
        base,
        output: whole,
      });
      const byteLength = (await readFile(whole)).byteLength;
      await truncate(whole, { to: byteLength - 700, base, output: cut });
      const { tensors } = await inspect(cut);
      expect(tensors.length).toBe(3);
      await decode(cut, { base, output: join(folder, 'decoded') });
    });
  });
});

/** A base and fine-tunes of it, small enough that a commit takes milliseconds. */
import { join } from 'node:path';
import type { CommitOptions } from '../../src/store/api.js';
import { floatTensor, matrixPair, valuesOf, writeModel } from './models.js';

export const FAST = { threads: 1 } as const;
export const COMMIT = { ...FAST, message: 'x', lossless: true } as const satisfies CommitOptions;

export interface StoreModels {
  readonly base: string;
  readonly tunes: readonly string[];
}

const SHAPE = [12, 20] as const;

/**
 * Writes them under a folder. Each tune is a small step from the one before, in two of its three tensors; the third is
 * the same in all of them.
 */
export async function writeStoreModels(folder: string, count: number): Promise<StoreModels> {
  const pairs = [1, 2, 3].map((i) => matrixPair(`w${i}`, SHAPE, 100 * i, { dtype: 'BF16' }));
  const base = join(folder, 'base');
  await writeModel(base, { tensors: pairs.map((pair) => pair.base) });
  const tunes: string[] = [];
  for (let k = 0; k < count; k++) {
    const tensors = pairs.map(({ fineTuned }, i) => {
      if (i === 2) return fineTuned;
      const values = valuesOf(fineTuned);
      for (let at = 0; at < values.length; at++) {
        if ((at * 7 + i) % 12 < k) values[at]! *= 1 + 0.02 * k;
      }
      return floatTensor(fineTuned.name, 'BF16', SHAPE, values);
    });
    tunes.push(join(folder, `tune${k}`));
    await writeModel(tunes[k]!, { tensors, sideFiles: { 'config.json': `{"step": ${k}}` } });
  }
  return { base, tunes };
}

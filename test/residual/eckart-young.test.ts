/** Low-rank terms are as good as a matrix of their rank can be (Eckart and Young 1936), before quantisation. */
import { Matrix, SingularValueDecomposition } from 'ml-matrix';
import { expect, it } from 'vitest';
import { openCheckpoint } from '../../src/io/open-checkpoint.js';
import {
  floatTensor,
  type MatrixOptions,
  matrixPair,
  modelPair,
  roundTrip,
  valuesOf,
} from '../helpers/models.js';
import type { TensorToWrite } from '../helpers/safetensors-bytes.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { tinylm } from '../helpers/tinylm.js';

interface Pair {
  readonly base: TensorToWrite;
  readonly fineTuned: TensorToWrite;
}

/** √(Σ_{i>r} σ² / Σσ²) of the residual, by an SVD in float64. */
function optimum({ base, fineTuned }: Pair, rank: number): number {
  const basis = valuesOf(base);
  const values = Array.from(valuesOf(fineTuned), (value, i) => value - basis[i]!);
  const [rows, columns] = fineTuned.shape as [number, number];
  const matrix = Matrix.from1DArray(rows, columns, values);
  const { diagonal } = new SingularValueDecomposition(matrix, {
    computeLeftSingularVectors: false,
    computeRightSingularVectors: false,
    autoTranspose: true,
  });
  const energy = (sigmas: readonly number[]) => sigmas.reduce((sum, sigma) => sum + sigma * sigma, 0);
  return Math.sqrt(energy(diagonal.slice(rank)) / energy(diagonal));
}

/** Two tensors of the real pair in float32, so that the rounding of bfloat16 does not hide the truncation. */
async function tinylmPairs(): Promise<Pair[]> {
  const names = ['model.layers.0.self_attn.q_proj.weight', 'model.layers.1.mlp.down_proj.weight'];
  const [base, fineTuned] = await Promise.all(['base', 'python'].map((name) => openCheckpoint(tinylm(name))));
  const read = async (checkpoint: typeof base, name: string): Promise<TensorToWrite> => {
    const { dtype, shape } = checkpoint!.tensors.get(name)!;
    return floatTensor(
      name,
      'F32',
      shape,
      valuesOf({ name, dtype, shape, data: await checkpoint!.read(name) }),
    );
  };
  try {
    return await Promise.all(
      names.map(async (name) => ({ base: await read(base, name), fineTuned: await read(fineTuned, name) })),
    );
  } finally {
    await Promise.all([base!.close(), fineTuned!.close()]);
  }
}

it('the relative error at 16 bits is within 2 % of the optimum at every rank', async () => {
  const shapes: readonly (readonly [string, readonly [number, number], MatrixOptions])[] = [
    ['spiked', [90, 130], { rank: 6, noise: 0.1 }],
    ['flat', [100, 100], { rank: 0, noise: 1 }],
    ['tall', [300, 20], { rank: 12 }],
    ['wide', [20, 300], { rank: 12 }],
    ['weak', [120, 110], { strength: 1e-3 }],
  ];
  const pairs: Pair[] = [
    ...shapes.map(([name, shape, options], i) => matrixPair(name, shape, 10 * i, options)),
    ...(await tinylmPairs()),
  ];
  for (const rank of [1, 5, 16]) {
    await withTempFolder(async (folder) => {
      const options = { budget: { kind: 'rank', rank }, bits: 16 } as const;
      const { encoded } = await roundTrip(folder, modelPair(pairs), options);
      for (const pair of pairs) {
        const { relativeError, codecs } = encoded.get(pair.fineTuned.name)!;
        if (codecs[0] === 'bytes') continue; // so many components cost as much as the matrix
        expect(encoded.get(pair.fineTuned.name)!.rank).toBe(rank);
        const ratio = relativeError / optimum(pair, rank);
        expect(ratio, `${pair.fineTuned.name} at rank ${rank}`).toBeLessThan(1.02);
        expect(ratio, `${pair.fineTuned.name} at rank ${rank}`).toBeGreaterThan(0.999);
      }
    });
  }
});

/**
 * Importance weights: how much an error in each input channel of a matrix matters, one number a column,
 * as second moments of the layer's input do (the diagonal of E[x·xᵀ]). With them the error of a tensor is
 * Σ_ij c_j · (r_ij − r̂_ij)² in place of the plain squared norm.
 *
 * A plain safetensors file: tensors named like the checkpoint's, float, one dimension, as long as the
 * matrix has columns, no negative value. Matrices that it does not name count every channel as 1.
 */
import { type Dtype, type FloatDtype, isFloatDtype } from '../../formats/dtype.js';
import { CheckpointMismatchError, FormatError } from '../../formats/errors.js';
import { openSafetensors } from '../../formats/safetensors/open-safetensors.js';
import { openFileSource } from '../io/file-source.js';
import type { Kernels } from '../kernels/kernels.js';
import type { TensorPair } from './pair-tensors.js';

/** Weights by name of the fine-tune's tensor, one a column; finite, not negative, not all 0. */
export type Importance = ReadonlyMap<string, Float32Array>;

/**
 * Reads and checks a file of importance weights against the pairs of an encode.
 * @throws CheckpointMismatchError for a name that is no matrix with a residual, or another length than
 * the matrix has columns; FormatError for other dtypes or shapes, and for values that are not weights;
 * IoError or NotFoundError as reading a file
 */
export async function readImportance(
  path: string,
  pairs: readonly TensorPair[],
  kernels: Kernels,
): Promise<Importance> {
  const byName = new Map(pairs.map((pair) => [pair.fineTuned.name, pair]));
  const source = await openFileSource(path);
  try {
    const { header } = await openSafetensors(source);
    const importance = new Map<string, Float32Array>();
    for (const { name, dtype, shape, dataOffsets } of header.tensors) {
      const length = weightCount(path, byName.get(name), { name, dtype, shape });
      const [begin, end] = dataOffsets;
      const weights = new Float32Array(length);
      const bytes = await source.read(header.byteLength + begin, end - begin);
      kernels.toFloat32(dtype as FloatDtype, bytes, weights);
      assertWeights(path, name, weights);
      importance.set(name, weights);
    }
    return importance;
  } finally {
    await source.close();
  }
}

interface WeightTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

/** Number of weights, which is the number of columns of the matrix they are for. */
function weightCount(path: string, pair: TensorPair | undefined, tensor: WeightTensor): number {
  const { name, dtype, shape } = tensor;
  if (pair === undefined || pair.kind !== 'matrix') {
    const found = pair === undefined ? 'no such tensor' : 'a tensor without a residual';
    throw new CheckpointMismatchError(
      `${path}: tensor "${name}": expected the name of a matrix that base and fine-tune share, found ${found}`,
      { tensor: name, expected: 'a matrix of base and fine-tune', found },
    );
  }
  if (!isFloatDtype(dtype) || shape.length !== 1) {
    throw new FormatError(
      'safetensors',
      `expected importance weights as floats of one dimension, found ${dtype} [${shape.join(', ')}]`,
      { file: path, tensor: name },
    );
  }
  if (shape[0] !== pair.columns) {
    throw new CheckpointMismatchError(
      `${path}: tensor "${name}": expected ${pair.columns} weights, one an input channel of ` +
        `[${pair.fineTuned.shape.join(', ')}], found ${shape[0]}`,
      { tensor: name, expected: `${pair.columns} weights`, found: String(shape[0]) },
    );
  }
  return pair.columns;
}

function assertWeights(path: string, name: string, weights: Float32Array): void {
  const bad = weights.findIndex((weight) => !(weight >= 0 && weight < Number.POSITIVE_INFINITY));
  if (bad !== -1) {
    throw new FormatError(
      'safetensors',
      `expected importance weights that are finite and not negative, found ${weights[bad]} at ${bad}`,
      { file: path, tensor: name },
    );
  }
  if (!weights.some((weight) => weight > 0)) {
    throw new FormatError('safetensors', 'expected importance weights of which one is over 0, found none', {
      file: path,
      tensor: name,
    });
  }
}

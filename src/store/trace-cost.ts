/** The chains behind tensors: how long they are, and what their payloads take. */
import { elementCount } from '../../formats/dtype.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import type { ChainCost } from './decode-cost.js';
import type { ManifestTensor } from './manifest.js';
import { MAX_DEPTH, ownByteLength } from './recipe.js';
import type { StoreReader } from './store-reader.js';

export interface Chain {
  /** Recipes down to a tensor that needs none. */
  readonly depth: number;
  /** Bytes of their chunks. */
  readonly byteLength: number;
}

export async function chainOf(reader: StoreReader, tensor: Digest): Promise<Chain> {
  let depth = 0;
  let byteLength = 0;
  let next: Digest | undefined = tensor;
  while (next !== undefined && depth <= MAX_DEPTH) {
    const recipe = await reader.recipe(next);
    if (recipe === undefined) break;
    depth++;
    byteLength += ownByteLength(recipe);
    next = recipe.reference?.digest;
  }
  return { depth, byteLength };
}

export async function chainCost(
  reader: StoreReader,
  tensors: readonly Pick<ManifestTensor, 'digest' | 'shape'>[],
): Promise<ChainCost> {
  let elements = 0;
  let stepped = 0;
  let chainByteLength = 0;
  for (const { digest, shape } of tensors) {
    const { depth, byteLength } = await chainOf(reader, digest);
    const count = elementCount(shape);
    elements += count;
    stepped += count * depth;
    chainByteLength += byteLength;
  }
  return { elementCount: elements, steppedElementCount: stepped, chainByteLength };
}

/** Lengths of the chains behind a version's tensors. */
import { elementCount } from '../../formats/dtype.js';
import type { ChainCost } from './decode-cost.js';
import type { ManifestTensor } from './manifest.js';
import type { StoreReader } from './store-reader.js';

export async function chainCost(
  reader: StoreReader,
  tensors: readonly Pick<ManifestTensor, 'digest' | 'shape'>[],
): Promise<ChainCost> {
  let elements = 0;
  let stepped = 0;
  let chainByteLength = 0;
  for (const { digest, shape } of tensors) {
    const recipe = await reader.recipe(digest);
    const count = elementCount(shape);
    elements += count;
    stepped += count * (recipe?.depth ?? 0);
    chainByteLength += recipe?.chainByteLength ?? 0;
  }
  return { elementCount: elements, steppedElementCount: stepped, chainByteLength };
}

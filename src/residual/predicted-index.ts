/** How long the front of an archive will be, before there is an index to deflate. */
import { PRELUDE_BYTE_LENGTH } from '../../formats/ere/prelude.js';
import type { TensorCase } from './api.js';

/** Deflated bytes of the index: of the whole, of an identical tensor, and of any other with its chunks. */
const INDEX_BYTES = { base: 200, identical: 52, other: 150 };

/** Bytes of prelude and index, as expected of tensors of these cases. */
export function predictedIndexByteLength(tensors: readonly { readonly case: TensorCase }[]): number {
  return tensors.reduce(
    (sum, tensor) => sum + (tensor.case === 'identical' ? INDEX_BYTES.identical : INDEX_BYTES.other),
    PRELUDE_BYTE_LENGTH + INDEX_BYTES.base,
  );
}

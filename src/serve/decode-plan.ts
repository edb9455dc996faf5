/** How much memory rebuilding tensors of a version takes, and so how many threads may do that at once. */
import type { Archive } from '../../formats/ere/open-archive.js';
import { decodeBudget } from '../residual/decode-memory.js';
import { type Selection, selectUsable } from '../residual/select-tensors.js';

export interface DecodePlan {
  readonly threads: number;
  /** Resident memory that threads may take. */
  readonly decodeMemory: number;
}

/** @throws LimitError where a tensor needs more than there is */
export function planDecoding(
  { threads, decodeMemory }: DecodePlan,
  archive: Archive,
): { readonly selection: Selection; readonly blockElements: number; readonly weight: number } {
  const { index, source } = archive;
  const budget = decodeBudget({ threads, memoryCap: decodeMemory }, index.tensors, index, source.name);
  return {
    selection: selectUsable(archive, 'best'),
    blockElements: budget.blockElements,
    weight: Math.ceil(threads / budget.threads),
  };
}

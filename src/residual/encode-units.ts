/** Residuals that are encoded together, and what their results have in common. */
import { inputGroups } from './input-groups.js';
import type { StoredChunk, StoredTensor } from './stored-chunks.js';

/**
 * Residuals alone, or those with the same inputs and columns together; by number, in the order of their first ones.
 */
export function findUnits(
  residuals: readonly { readonly name: string; readonly columns: number; readonly isGroupable: boolean }[],
): number[][] {
  const numbers = new Map<string, number>();
  for (const [i, { name, isGroupable }] of residuals.entries()) if (isGroupable) numbers.set(name, i);
  const unitOf = new Map<number, number[]>();
  for (const names of inputGroups([...numbers.keys()])) {
    const group = names.map((name) => numbers.get(name)!);
    const unit = group.filter((i) => residuals[i]!.columns === residuals[group[0]!]!.columns);
    for (const i of unit) unitOf.set(i, unit);
  }
  return residuals.flatMap((_, i) => {
    const unit = unitOf.get(i) ?? [i];
    return unit[0] === i ? [unit] : [];
  });
}

/** Makes the equal basis chunks of tensors that were encoded together one object, as stores keep them apart. */
export function shareBasis(tensors: readonly StoredTensor[]): readonly StoredTensor[] {
  const bases = new Map<string, StoredChunk>();
  return tensors.map((tensor) => {
    if (tensor.sharesBasis !== true) return tensor;
    const terms = tensor.terms.map((term) => ({
      ...term,
      chunks: term.chunks.map((content, i) => {
        if (i % 2 !== 0) return content; // Coefficients, which are the tensor's own.
        const key = `${i} ${content.chunk.byteLength} ${content.chunk.crc32}`;
        const chunk = bases.get(key) ?? content.chunk;
        bases.set(key, chunk);
        return { ...content, chunk };
      }),
    }));
    return { ...tensor, terms };
  });
}

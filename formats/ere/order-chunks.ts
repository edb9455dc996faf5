/**
 * Putting chunks into another order, so that a prefix of the file is a coarser model: what matters most
 * comes first. Only references change; nothing else of the index depends on chunk numbers.
 */
import type { ChunkBlob } from './archive-index.js';
import type { ArchiveDescription } from './write-archive.js';

/**
 * The description with its references following the new order.
 * @param order old chunk numbers in their new order: a permutation of 0 … n − 1.
 * @throws RangeError when `order` is no permutation, or a reference lies outside it.
 */
export function orderChunks<Chunk>(
  description: ArchiveDescription,
  chunks: readonly Chunk[],
  order: readonly number[],
): { description: ArchiveDescription; chunks: Chunk[] } {
  const renumbered = invert(order, chunks.length);
  const chunkNumber = (chunk: number): number => {
    const to = renumbered[chunk];
    if (to === undefined)
      throw new RangeError(`expected a chunk number under ${chunks.length}, got ${chunk}`);
    return to;
  };
  const blob = (from: ChunkBlob): ChunkBlob => ({ ...from, chunk: chunkNumber(from.chunk) });
  return {
    description: {
      ...description,
      files: description.files.map((file) => ({ ...file, header: blob(file.header) })),
      sideFiles: description.sideFiles.map((file) =>
        file.content === undefined ? file : { ...file, content: blob(file.content) },
      ),
      tensors: description.tensors.map((tensor) => ({
        ...tensor,
        terms: tensor.terms.map((term) => ({ ...term, chunks: term.chunks.map(chunkNumber) })),
      })),
    },
    chunks: order.map((from) => chunks[from]),
  };
}

function invert(order: readonly number[], length: number): number[] {
  const renumbered = new Array<number>(length).fill(-1);
  order.forEach((from, to) => {
    if (renumbered[from] !== -1)
      throw new RangeError(`expected a permutation of ${length} chunks, got ${from} at ${to}`);
    renumbered[from] = to;
  });
  if (order.length !== length)
    throw new RangeError(`expected ${length} chunks in order, got ${order.length}`);
  return renumbered;
}

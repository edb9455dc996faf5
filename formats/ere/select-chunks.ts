/**
 * Putting chunks into another order, or leaving some out. Only references change; nothing else of the index
 * depends on chunk numbers.
 */
import type { ChunkBlob } from './archive-index.js';
import type { ArchiveDescription } from './write-archive.js';

/**
 * The description with its references following the new order.
 * @param order old chunk numbers in their new order, each at most once; a chunk that is left out must not be
 *   referred to.
 * @throws RangeError when `order` names a chunk twice or one that does not exist, or a reference has no target.
 */
export function selectChunks<Chunk>(
  description: ArchiveDescription,
  chunks: readonly Chunk[],
  order: readonly number[],
): { description: ArchiveDescription; chunks: Chunk[] } {
  const renumbered = invert(order, chunks.length);
  const chunkNumber = (chunk: number): number => {
    const to = renumbered[chunk];
    if (to === undefined || to === -1)
      throw new RangeError(`expected a reference to one of ${order.length} chunks kept, got ${chunk}`);
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

/** Per old chunk number its new one, −1 where it is left out. */
function invert(order: readonly number[], length: number): number[] {
  const renumbered = new Array<number>(length).fill(-1);
  order.forEach((from, to) => {
    if (renumbered[from] !== -1)
      throw new RangeError(`expected each of ${length} chunks at most once, got ${from} at ${to}`);
    renumbered[from] = to;
  });
  return renumbered;
}

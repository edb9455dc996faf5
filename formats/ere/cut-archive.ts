/** An archive of the first chunks of another: the same rules as for a file cut short (docs/spec/archive.md §8). */
import type { ArchiveIndex, ArchiveTensor, Digest } from './archive-index.js';
import type { TensorCut } from './cut-tensor.js';
import type { decodedIdentities } from './levels.js';
import { selectChunks } from './select-chunks.js';
import type { ArchiveDescription } from './write-archive.js';

/**
 * Describes an archive of the given tensors, with those chunks of another that they and its files need.
 * @param tensors what is left of each tensor, `digest` and `quality` as the new index is to state them
 */
export function cutArchive(
  index: ArchiveIndex,
  tensors: readonly ArchiveTensor[],
  identities: Awaited<ReturnType<typeof decodedIdentities>>,
): { readonly description: ArchiveDescription; readonly chunks: readonly number[] } {
  const { chunks: all, ...rest } = index;
  const { squaredResidual } = index.decoded;
  const kept = new Set<number>();
  for (const { header } of index.files) kept.add(header.chunk);
  for (const { content } of index.sideFiles) if (content !== undefined) kept.add(content.chunk);
  for (const { terms } of tensors)
    for (const { chunks } of terms) for (const chunk of chunks) kept.add(chunk);
  const order = [...kept].sort((x, y) => x - y);
  const codecs = new Set(tensors.flatMap(({ terms }) => terms.map(({ codec }) => codec)));
  const description: ArchiveDescription = {
    ...rest,
    encoding: { ...rest.encoding, truncated: true },
    decoded: { ...identities, ...(squaredResidual === undefined ? {} : { squaredResidual }) },
    codecs: index.codecs.filter((codec) => codecs.has(codec)),
    tensors,
  };
  return { description: selectChunks(description, all, order).description, chunks: order };
}

/**
 * The record of what is left of a tensor.
 * @param decoded digest of a tensor that is cut inside its terms; default: that of the whole tensor
 */
export function cutRecord(
  { tensor, digest, quality }: TensorCut & { readonly tensor: ArchiveTensor },
  decoded: Digest = tensor.digest,
): ArchiveTensor {
  const { quality: _, ...rest } = tensor;
  const stated = quality === undefined || quality === 'unknown' ? {} : { quality };
  return { ...rest, digest: digest ?? decoded, ...stated };
}

/** What the first bytes of an archive are worth: sizes against errors, from the index alone. */
import type { ArchiveTensor } from '../../formats/ere/archive-index.js';
import { cutTensor } from '../../formats/ere/cut-tensor.js';
import { bestLevel, lossyChunkEnd } from '../../formats/ere/levels.js';
import type { Archive } from '../../formats/ere/open-archive.js';
import type { UsablePrefix } from './api.js';
import { lossOf, qualityOf, selectTensors } from './select-tensors.js';

/** Prefixes are shown at these parts of the lossy bytes. */
const STEPS = 8;

/**
 * Some prefixes of the file, each ending with a chunk: near eighths of the lossy bytes, the whole lossy level,
 * and the whole file. Those that lack what a decoder cannot do without, or whose loss is not known, are left out.
 */
export function usablePrefixes(archive: Archive): UsablePrefix[] {
  const { index } = archive;
  const lossyEnd = lossyChunkEnd(index);
  const lossyByteLength = archive.chunkOffset(lossyEnd);
  const counts = new Set<number>();
  let count = 0;
  for (let step = 1; step < STEPS; step++) {
    while (count < lossyEnd && archive.chunkOffset(count + 1) <= (step / STEPS) * lossyByteLength) count++;
    counts.add(count);
  }
  counts.add(lossyEnd);
  if (bestLevel(index) === 'exact') counts.add(index.chunks.length);
  const first = firstUsableChunkCount(archive);
  return [...counts].filter((count) => count >= first).map((count) => prefix(archive, count));
}

function prefix(archive: Archive, chunkCount: number): UsablePrefix {
  const cuts = selectTensors(archive.index, { level: 'best', chunkCount })!;
  return {
    byteLength: archive.chunkOffset(chunkCount),
    quality: qualityOf(cuts),
    loss: lossOf(cuts, archive.index.decoded.squaredResidual),
  };
}

/** Number of the first chunks that decode, with a loss that is known. */
export function firstUsableChunkCount({ index }: Pick<Archive, 'index'>): number {
  let first = 0;
  for (const { header } of index.files) first = Math.max(first, header.chunk + 1);
  for (const { content } of index.sideFiles) first = Math.max(first, (content?.chunk ?? -1) + 1);
  for (const tensor of index.tensors) {
    if (!isUsable(tensor, first)) first = firstUsableChunkCountOf(tensor, first);
  }
  return first;
}

/** @param least a number of chunks of which the tensor needs more */
function firstUsableChunkCountOf(tensor: ArchiveTensor, least: number): number {
  const ends = tensor.terms.flatMap(({ chunks }) => chunks.map((chunk) => chunk + 1));
  ends.sort((x, y) => x - y);
  let [low, high] = [0, ends.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle]! > least && isUsable(tensor, ends[middle]!)) high = middle;
    else low = middle + 1;
  }
  return ends[low]!;
}

/** Whether the tensor decodes from the first chunks, with a loss that is known. */
function isUsable(tensor: ArchiveTensor, chunkCount: number): boolean {
  const cut = cutTensor(tensor, (chunk) => chunk < chunkCount);
  return cut.tensor !== undefined && cut.quality !== 'unknown';
}

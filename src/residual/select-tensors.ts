/** Which part of an archive is decoded: all of it, its lossy level, or what the first chunks give. */
import type { ArchiveIndex, ArchiveTensor } from '../../formats/ere/archive-index.js';
import { cutTensor, type TensorCut } from '../../formats/ere/cut-tensor.js';
import { type ArchiveLevel, bestLevel, lossyTensor, relativeError } from '../../formats/ere/levels.js';
import type { Archive } from '../../formats/ere/open-archive.js';
import { FormatError } from '../../formats/errors.js';
import type { Loss } from './api.js';

/** Structured-cloneable, for worker threads. */
export interface Selection {
  /** 'lossy' leaves exact terms on top of lossy ones out; 'best' takes what there is. */
  readonly level: 'lossy' | 'best';
  /** Chunks from the start of the file that may be used. */
  readonly chunkCount: number;
}

/** A tensor as far as the selection reaches. */
export type SelectedTensor = TensorCut & { readonly tensor: ArchiveTensor };

/** Everything that lies in the file. */
export function selectUsable(archive: Archive, level: Selection['level']): Selection {
  const { length } = archive.index.chunks;
  let chunkCount = length;
  while (chunkCount > 0 && !archive.hasChunk(chunkCount - 1)) chunkCount--;
  return { level, chunkCount };
}

/** @throws FormatError when the tensor cannot be decoded from the chunks that the selection reaches */
export function selectTensor(
  { index, source }: Pick<Archive, 'index' | 'source'>,
  i: number,
  selection: Selection,
): SelectedTensor {
  const cut = cutBySelection(index, i, selection);
  if (isSelected(cut)) return cut;
  throw new FormatError('ere', 'truncated: the tensor needs terms that lie behind the cut', {
    file: source.name,
    tensor: index.tensors[i]!.name,
  });
}

/** Every tensor; undefined when one cannot be decoded. */
export function selectTensors(
  index: ArchiveIndex,
  selection: Selection,
): readonly SelectedTensor[] | undefined {
  const cuts: SelectedTensor[] = [];
  for (let i = 0; i < index.tensors.length; i++) {
    const cut = cutBySelection(index, i, selection);
    if (!isSelected(cut)) return undefined;
    cuts.push(cut);
  }
  return cuts;
}

function isSelected(cut: TensorCut): cut is SelectedTensor {
  return cut.tensor !== undefined;
}

function cutBySelection(index: ArchiveIndex, i: number, { level, chunkCount }: Selection): TensorCut {
  const tensor = index.tensors[i]!;
  return cutTensor(level === 'lossy' ? lossyTensor(tensor) : tensor, (chunk) => chunk < chunkCount);
}

/** What a selection decodes to: 'partial' where it lacks something of the lossy level. */
export function qualityOf(cuts: readonly SelectedTensor[]): ArchiveLevel | 'partial' {
  if (cuts.some(({ digest }) => digest === undefined)) return 'partial';
  return bestLevel({ tensors: cuts.map(({ tensor }) => tensor) });
}

/**
 * ‖R − R̂‖ / ‖R‖ over the tensors.
 * @param squaredResidual ‖R‖² of all of them; default: of those that state it
 */
export function lossOf(cuts: readonly SelectedTensor[], squaredResidual?: number): Loss {
  const tensors: Pick<ArchiveTensor, 'quality' | 'lossy'>[] = [];
  for (const { tensor, quality } of cuts) {
    if (quality === 'unknown') return { isEstimated: true };
    const { lossy } = tensor;
    tensors.push({
      ...(quality === undefined ? {} : { quality }),
      ...(lossy === undefined ? {} : { lossy }),
    });
  }
  const isEstimated = tensors.some(({ quality }) => quality?.estimated === true);
  return { relativeError: relativeError(tensors, squaredResidual), isEstimated };
}

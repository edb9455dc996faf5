/** What an archive says of one tensor: from its record alone, so that inspect loads nothing of the encoder. */
import { elementCount, isFloatDtype, tensorByteLength } from '../../formats/dtype.js';
import type { ArchiveIndex, ArchiveTensor, ArchiveTerm } from '../../formats/ere/archive-index.js';
import { lossyTensor, relativeError } from '../../formats/ere/levels.js';
import { isVectorShape } from '../../formats/matrix-view.js';
import type { TensorCase, TensorReport } from './api.js';

/** @param tensorCase where the encoder knows it; otherwise read off the record. */
export function tensorReport(index: ArchiveIndex, i: number, tensorCase?: TensorCase): TensorReport {
  const tensor = index.tensors[i]!;
  const byteLength = payloadByteLength(index, tensor.terms);
  const elements = elementCount(tensor.shape);
  const { quality } = tensor;
  const error = quality ? relativeError([{ quality }]) : 0;
  return {
    name: tensor.name,
    case: tensorCase ?? caseOf(tensor),
    dtype: tensor.dtype,
    shape: tensor.shape,
    codecs: tensor.terms.map((term) => term.codec),
    rank: rankOf(tensor),
    byteLength,
    fineTunedByteLength: tensorByteLength(tensor.dtype, tensor.shape)!,
    relativeError: error,
    ...lossyPart(index, tensor),
    bitsPerWeight: elements === 0 ? 0 : (8 * byteLength) / elements,
    signalToNoiseDb: error > 0 ? -20 * Math.log10(error) : undefined,
    keptEnergy: 1 - error ** 2,
    boundGapBits: boundGap(index, tensor),
  };
}

/** The lossy level of a tensor with exact terms on top; nothing for others. */
function lossyPart(index: ArchiveIndex, tensor: ArchiveTensor): Pick<TensorReport, 'lossy'> {
  if (tensor.lossy === undefined) return {};
  const lossy = lossyTensor(tensor);
  return {
    lossy: { byteLength: payloadByteLength(index, lossy.terms), relativeError: relativeError([lossy]) },
  };
}

/** Stored bytes of all chunks of some terms; of a chunk that several tensors refer to, an equal part. */
function payloadByteLength(index: ArchiveIndex, terms: readonly ArchiveTerm[]): number {
  const users = usersOfChunks(index);
  const chunks = new Set(terms.flatMap((term) => term.chunks));
  return Math.round([...chunks].reduce((sum, chunk) => sum + index.chunks[chunk]![0] / users[chunk]!, 0));
}

const knownUsers = new WeakMap<ArchiveIndex, Uint32Array>();

/** By chunk the tensors that refer to it. */
function usersOfChunks(index: ArchiveIndex): Uint32Array {
  let users = knownUsers.get(index);
  if (users === undefined) {
    users = new Uint32Array(index.chunks.length);
    for (const { terms } of index.tensors)
      for (const chunk of new Set(terms.flatMap((term) => term.chunks))) users[chunk]!++;
    knownUsers.set(index, users);
  }
  return users;
}

/** Bits per weight over the Gaussian bound, of the rows that are coded with loss. */
function boundGap(index: ArchiveIndex, tensor: ArchiveTensor): number | undefined {
  const bound = tensor.quality?.gaussianBits;
  if (bound === undefined) return undefined;
  // Rows that grew beyond the base are stored exactly, behind those the bound speaks of.
  const shared = Math.min(elementCount(tensor.shape), elementCount(tensor.base?.shape ?? tensor.shape));
  const rows = Math.floor(shared / tensor.columns);
  const lossy = tensor.terms.filter((term) => term.rows === undefined || term.rows[0] < rows);
  return (8 * payloadByteLength(index, lossy)) / (rows * tensor.columns) - bound;
}

/** Low-rank codecs, and how many chunks a band of components has. */
const CHUNKS_OF_BANDS: ReadonlyMap<string, number> = new Map([
  ['low-rank', 1],
  ['coded-low-rank', 1],
  ['coded-subspace', 2],
]);

function rankOf(tensor: ArchiveTensor): number {
  const term = tensor.terms.find(({ codec }) => CHUNKS_OF_BANDS.has(codec));
  const bands = term?.params.bands;
  if (term === undefined || !Array.isArray(bands)) return 0;
  // A truncated archive may have the first bands alone.
  const present = Math.floor(term.chunks.length / CHUNKS_OF_BANDS.get(term.codec)!);
  return bands.slice(0, present).reduce((sum: number, size: number) => sum + size, 0);
}

function caseOf(tensor: ArchiveTensor): TensorCase {
  const { base, terms, shape, dtype } = tensor;
  if (base === undefined) return 'added';
  const isResized = base.shape !== undefined;
  if (terms.length === 0 && base.dtype === undefined && !isResized) return 'identical';
  if (!isFloatDtype(dtype)) return 'exact';
  if (isVectorShape(shape)) return 'vector';
  if (isResized) return 'resized';
  return tensor.quality !== undefined || tensor.lossy !== undefined || terms.length === 0
    ? 'residual'
    : 'exact';
}

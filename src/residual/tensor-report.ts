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

/** Stored bytes of all chunks of some terms. */
function payloadByteLength(index: ArchiveIndex, terms: readonly ArchiveTerm[]): number {
  const chunks = new Set(terms.flatMap((term) => term.chunks));
  return [...chunks].reduce((sum, chunk) => sum + index.chunks[chunk]![0], 0);
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

function rankOf(tensor: ArchiveTensor): number {
  const term = tensor.terms.find(({ codec }) => codec === 'low-rank' || codec === 'coded-low-rank');
  const bands = term?.params.bands;
  if (term === undefined || !Array.isArray(bands)) return 0;
  // A truncated archive may have the first bands alone.
  return bands.slice(0, term.chunks.length).reduce((sum: number, size: number) => sum + size, 0);
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

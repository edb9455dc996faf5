/**
 * From encoded tensors to the archive's index (docs/spec/archive.md §4): weight-file headers and side
 * files first, then the chunks of the tensors in the order of order-terms.ts.
 */
import type { Checkpoint } from '../../formats/checkpoint.js';
import { deflateRaw } from '../../formats/deflate.js';
import type {
  ArchiveIndex,
  ArchiveQuality,
  ArchiveSideFile,
  ArchiveTensor,
  ChunkBlob,
  Digest,
} from '../../formats/ere/archive-index.js';
import { checkpointIdentity, type IdentifiedTensor } from '../../formats/ere/identity.js';
import { decodedIdentities } from '../../formats/ere/levels.js';
import { roundLoss } from '../../formats/ere/round-loss.js';
import type { ArchiveDescription } from '../../formats/ere/write-archive.js';
import { gaussianBits } from '../allocation/gaussian-bound.js';
import type { TensorAnalysis } from './analyse-tensor.js';
import { type PlacedTerm, placeTerms } from './order-terms.js';
import type { TensorPair } from './pair-tensors.js';
import { memoryChunk, type StoredChunk, type StoredTensor, type StoredTerm } from './stored-chunks.js';

/** A small file or header, compressed where that helps. */
export interface PackedBlob {
  readonly bytes: Uint8Array;
  readonly byteLength: number;
  readonly encoding: ChunkBlob['encoding'];
}

export async function packBlob(content: Uint8Array): Promise<PackedBlob> {
  const deflated = await deflateRaw(content);
  return deflated.byteLength < content.byteLength
    ? { bytes: deflated, byteLength: content.byteLength, encoding: 'deflate-raw' }
    : { bytes: content, byteLength: content.byteLength, encoding: 'stored' };
}

/** A side file that the archive knows of: carried, or taken from the base when `blob` is absent. */
export interface PlannedSideFile {
  readonly path: string;
  readonly byteLength: number;
  readonly digest: Digest;
  readonly blob?: PackedBlob;
}

/** One tensor as it goes into the archive. */
export interface AssembledTensor {
  readonly pair: TensorPair;
  readonly analysis: Omit<TensorAnalysis, 'exactRows'>;
  readonly encoded: StoredTensor;
  /** Exact terms on top of those of `encoded`. */
  readonly refinement?: readonly StoredTerm[];
  /** Of the residual, as far as they are known. */
  readonly singularValues: Float64Array;
}

export interface AssembleInput {
  readonly generator: string;
  readonly encoding: ArchiveIndex['encoding'];
  readonly base: {
    readonly name: string;
    readonly revision?: string;
    readonly tensors: readonly IdentifiedTensor[];
  };
  readonly fineTuned: Checkpoint;
  readonly weightHeaders: readonly PackedBlob[];
  readonly sideFiles: readonly PlannedSideFile[];
  readonly tensors: readonly AssembledTensor[];
  readonly removed: readonly string[];
}

export interface AssembledArchive {
  readonly description: ArchiveDescription;
  readonly chunks: readonly StoredChunk[];
}

export async function assembleArchive(input: AssembleInput): Promise<AssembledArchive> {
  const chunks: StoredChunk[] = [];
  const add = (chunk: StoredChunk): number => chunks.push(chunk) - 1;
  const addBlob = (blob: PackedBlob): ChunkBlob => ({
    chunk: add(memoryChunk(blob.bytes)),
    byteLength: blob.byteLength,
    encoding: blob.encoding,
  });

  const files = input.fineTuned.files.map((file, i) => ({
    path: file.path,
    byteLength: file.byteLength,
    header: addBlob(input.weightHeaders[i]!),
  }));
  const sideFiles = input.sideFiles.map(
    ({ blob, ...file }): ArchiveSideFile => ({
      ...file,
      ...(blob === undefined ? {} : { content: addBlob(blob) }),
    }),
  );
  const placed = placeTerms(
    input.tensors.map(({ encoded, refinement = [], analysis }) => ({
      terms: encoded.terms,
      refinement,
      squaredError: encoded.squaredError,
      squaredResidual: analysis.squaredResidual,
    })),
    add,
  );
  const tensors = input.tensors.map((tensor, i) => tensorRecord(tensor, placed[i]!));
  const description: ArchiveDescription = {
    generator: input.generator,
    encoding: input.encoding,
    base: {
      name: input.base.name,
      ...(input.base.revision === undefined ? {} : { revision: input.base.revision }),
      digest: await checkpointIdentity(input.base.tensors),
      tensorCount: input.base.tensors.length,
    },
    decoded: {
      ...(await decodedIdentities(tensors)),
      squaredResidual: roundLoss(
        input.tensors.reduce((sum, { analysis }) => sum + analysis.squaredResidual, 0),
      ),
    },
    codecs: [...new Set(tensors.flatMap((tensor) => tensor.terms.map((term) => term.codec)))].sort(),
    files,
    sideFiles,
    tensors,
    removed: input.removed,
  };
  return { description, chunks };
}

function tensorRecord(tensor: AssembledTensor, placed: readonly PlacedTerm[]): ArchiveTensor {
  const { pair, encoded, analysis, refinement = [] } = tensor;
  const { fineTuned, base } = pair;
  const { baseDigest, fineTunedDigest } = analysis;
  const terms = placed.map(({ term, chunks, errorDrops, errorDrop }) => ({
    codec: term.codec,
    ...(term.rows === undefined ? {} : { rows: term.rows }),
    chunks,
    ...(errorDrops === undefined ? {} : { errorDrops }),
    ...(errorDrop === undefined ? {} : { errorDrop }),
    params: term.params,
  }));
  return {
    name: fineTuned.name,
    dtype: fineTuned.dtype,
    shape: fineTuned.shape,
    file: fineTuned.file,
    digest: refinement.length > 0 ? fineTunedDigest : encoded.decodedDigest,
    ...(base === undefined || baseDigest === undefined
      ? {}
      : {
          base: {
            ...(base.name === fineTuned.name ? {} : { name: base.name }),
            ...(base.dtype === fineTuned.dtype ? {} : { dtype: base.dtype }),
            ...(base.shape.join() === fineTuned.shape.join() ? {} : { shape: base.shape }),
            digest: baseDigest,
          },
        }),
    columns: pair.columns,
    terms,
    ...lossRecord(tensor),
  };
}

/** What the lossy terms lose: the tensor's quality, or that of its lossy level where exact terms stand on top. */
function lossRecord(tensor: AssembledTensor): Pick<ArchiveTensor, 'quality' | 'lossy'> {
  const { encoded, analysis, refinement = [] } = tensor;
  if (encoded.decodedDigest === analysis.fineTunedDigest) return {};
  if (refinement.length === 0) return { quality: quality(tensor) };
  const { terms, decodedDigest } = encoded;
  return { lossy: { terms: terms.length, digest: decodedDigest, quality: quality(tensor) } };
}

/** The bound is a model: four digits say all that it holds. */
const BOUND_DIGITS = 4;

/** What was lost of a residual, and how few bits that loss could take. */
function quality({ pair, analysis, encoded, singularValues }: AssembledTensor): ArchiveQuality {
  const { squaredResidual: energy, roundingEnergy } = analysis;
  const model = { rows: pair.commonRows, columns: pair.columns, energy, singularValues, roundingEnergy };
  // Without an error in the sums only bits like the sign of zero differ; no bound speaks of those.
  const isBounded = encoded.squaredError > 0 && energy > 0;
  return {
    squaredError: roundLoss(encoded.squaredError),
    squaredResidual: roundLoss(energy),
    ...(isBounded
      ? { gaussianBits: roundLoss(gaussianBits(model, encoded.squaredError), BOUND_DIGITS) }
      : {}),
  };
}

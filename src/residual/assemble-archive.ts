/**
 * From encoded tensors to the archive's index and chunk order (docs/spec/archive.md §5): first what
 * every decode needs (weight-file headers, side files, exact terms), then the additive chunks by
 * error taken off per byte, so that a prefix of the file is the best model of its size.
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
import {
  type ArchiveChunk,
  type ArchiveDescription,
  ChunkCollector,
} from '../../formats/ere/write-archive.js';
import { gaussianBits } from '../allocation/gaussian-bound.js';
import type { TensorAnalysis } from './analyse-tensor.js';
import type { EncodedTensor } from './encode-tensor.js';
import type { TensorPair } from './pair-tensors.js';

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
  readonly analysis: Omit<TensorAnalysis, 'exactTerms'>;
  readonly encoded: EncodedTensor;
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
  readonly chunks: readonly ArchiveChunk[];
}

export async function assembleArchive(input: AssembleInput): Promise<AssembledArchive> {
  const collector = new ChunkCollector();
  const add = (bytes: Uint8Array): number => collector.add(bytes);
  const addBlob = (blob: PackedBlob): ChunkBlob => ({
    chunk: add(blob.bytes),
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
  const placement = placeChunks(input.tensors, add);
  const tensors = input.tensors.map((tensor, i) => tensorRecord(tensor, placement[i]!));
  const identified = tensors.map(({ name, dtype, shape, digest }) => ({ name, dtype, shape, digest }));
  const description: ArchiveDescription = {
    generator: input.generator,
    encoding: input.encoding,
    base: {
      name: input.base.name,
      ...(input.base.revision === undefined ? {} : { revision: input.base.revision }),
      digest: await checkpointIdentity(input.base.tensors),
      tensorCount: input.base.tensors.length,
    },
    decoded: { digest: await checkpointIdentity(identified) },
    codecs: [...new Set(tensors.flatMap((tensor) => tensor.terms.map((term) => term.codec)))].sort(),
    files,
    sideFiles,
    tensors,
    removed: input.removed,
  };
  return { description, chunks: collector.chunks };
}

/** Adds every chunk of every term in the archive's order; returns chunk numbers by tensor, term and chunk. */
function placeChunks(tensors: readonly AssembledTensor[], add: (bytes: Uint8Array) => number): number[][][] {
  const numbers = tensors.map((tensor) => tensor.encoded.terms.map((term) => term.chunks.map(() => -1)));
  /** Equal terms of tied tensors are one object: stored once. */
  const placed = new Map<Uint8Array, number>();
  const entries = tensors.flatMap((tensor, t) =>
    tensor.encoded.terms.flatMap((term, m) => {
      // A later chunk of a term must not overtake an earlier one.
      let priority = Number.POSITIVE_INFINITY;
      return term.chunks.map((chunk, c) => {
        const isExactTerm = chunk.squaredErrorDrop === 0;
        if (!isExactTerm) priority = Math.min(priority, chunk.squaredErrorDrop / chunk.bytes.byteLength);
        return { t, m, c, bytes: chunk.bytes, priority };
      });
    }),
  );
  entries.sort(
    (x, y) =>
      (x.priority === y.priority ? 0 : y.priority - x.priority) || x.t - y.t || x.m - y.m || x.c - y.c,
  );
  for (const { t, m, c, bytes } of entries) {
    const number = placed.get(bytes) ?? add(bytes);
    placed.set(bytes, number);
    numbers[t]![m]![c] = number;
  }
  return numbers;
}

function tensorRecord(tensor: AssembledTensor, chunkNumbers: readonly (readonly number[])[]): ArchiveTensor {
  const { pair, encoded, analysis } = tensor;
  const { fineTuned, base } = pair;
  const { baseDigest } = analysis;
  const terms = encoded.terms.map((term, i) => ({
    codec: term.codec,
    ...(term.rows === undefined ? {} : { rows: term.rows }),
    chunks: chunkNumbers[i]!,
    params: term.params,
  }));
  return {
    name: fineTuned.name,
    dtype: fineTuned.dtype,
    shape: fineTuned.shape,
    file: fineTuned.file,
    digest: encoded.decodedDigest,
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
    ...(encoded.decodedDigest === analysis.fineTunedDigest ? {} : { quality: quality(tensor) }),
  };
}

/** What was lost of a residual, and how few bits that loss could take. */
function quality({ pair, analysis, encoded, singularValues }: AssembledTensor): ArchiveQuality {
  const { squaredResidual: energy, roundingEnergy } = analysis;
  const model = { rows: pair.commonRows, columns: pair.columns, energy, singularValues, roundingEnergy };
  // Without an error in the sums only bits like the sign of zero differ; no bound speaks of those.
  const isBounded = encoded.squaredError > 0 && energy > 0;
  return {
    squaredError: sixDigits(encoded.squaredError),
    squaredResidual: sixDigits(energy),
    ...(isBounded ? { gaussianBits: fourDigits(gaussianBits(model, encoded.squaredError)) } : {}),
  };
}

/** Six significant digits are more than anyone compares, and compress better. */
function sixDigits(value: number): number {
  return Number(value.toPrecision(6));
}

/** The bound is a model: four digits say all that it holds. */
function fourDigits(value: number): number {
  return Number(value.toPrecision(4));
}

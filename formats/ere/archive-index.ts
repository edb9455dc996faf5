/**
 * The index of an `.ere` archive, version 1 (docs/spec/archive.md §4): a JSON document at the front
 * of the file that says what every byte behind it is. Chunks lie back to back behind the index in
 * the order of `chunks`, so holes and overlaps cannot be expressed.
 */
import type { Dtype } from '../dtype.js';

/** `sha256:` and 64 lower-case hexadecimal digits. */
export type Digest = `sha256:${string}`;

/** [stored byte length, CRC-32 of the stored bytes]. */
export type ChunkRecord = readonly [byteLength: number, crc32: number];

/** A reference to bytes of the archive: a chunk number, and how its bytes are stored. */
export interface ChunkBlob {
  readonly chunk: number;
  /** Byte length after decompression. */
  readonly byteLength: number;
  readonly encoding: 'stored' | 'deflate-raw';
}

/** A weight file of the fine-tuned checkpoint: its header verbatim, so that the layout is rebuilt to the byte. */
export interface ArchiveWeightFile {
  readonly path: string;
  readonly byteLength: number;
  readonly header: ChunkBlob;
}

/** A side file: carried (`content`) or taken from the base folder (`content` absent). */
export interface ArchiveSideFile {
  readonly path: string;
  readonly byteLength: number;
  readonly digest: Digest;
  readonly content?: ChunkBlob;
}

/** The tensor of the base that a tensor is coded against. Fields equal to the tensor's own are left out. */
export interface ArchiveBaseTensor {
  readonly name?: string;
  readonly dtype?: Dtype;
  readonly shape?: readonly number[];
  readonly digest: Digest;
}

/** One piece of a tensor (docs/spec/codecs.md). `params` belong to the codec. */
export interface ArchiveTerm {
  readonly codec: string;
  /** Rows of the tensor's matrix view that the term covers, [start, end); all when absent. */
  readonly rows?: readonly [number, number];
  /** Chunks of the payload, in the codec's order. */
  readonly chunks: readonly number[];
  /** Chunks behind the listed ones that a truncated archive leaves out; 0 when absent. Additive terms only. */
  readonly missing?: number;
  /** Per listed chunk what it takes off the squared error, as estimated by the encoder. Additive terms only. */
  readonly errorDrops?: readonly number[];
  /** What the term as a whole takes off the squared error, as estimated by the encoder. Exact terms only. */
  readonly errorDrop?: number;
  readonly params: Readonly<Record<string, unknown>>;
}

/** Loss of one decoded tensor against the original, both sums over elements, in float64. */
export interface ArchiveQuality {
  /** ‖W_ft − Ŵ‖². */
  readonly squaredError: number;
  /** ‖W_ft − W_base‖². */
  readonly squaredResidual: number;
  /**
   * Bits per weight of the residual that Gaussian data of its spectrum takes at least at this error;
   * absent where the writer did not say.
   */
  readonly gaussianBits?: number;
  /** Present where `squaredError` was estimated from `errorDrops` and not measured. */
  readonly estimated?: true;
}

/** What a tensor decodes to without the exact terms that refine it. */
export interface ArchiveLossyLevel {
  /** Leading terms that belong to it; those behind make the tensor exact. */
  readonly terms: number;
  /** SHA-256 of the bytes that these terms decode to. */
  readonly digest: Digest;
  readonly quality: ArchiveQuality;
}

export interface ArchiveTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Index into `files`. */
  readonly file: number;
  /** SHA-256 of the decoded bytes. */
  readonly digest: Digest;
  /** Absent for an added tensor. */
  readonly base?: ArchiveBaseTensor;
  /** Columns of the matrix view; rows = elements / columns. */
  readonly columns: number;
  /** In order of application; none: the decoded tensor is the base's. */
  readonly terms: readonly ArchiveTerm[];
  /** Absent when the decoded tensor is bit-exact. */
  readonly quality?: ArchiveQuality;
  /** Present where exact terms stand on top of lossy ones; then there is no `quality`. */
  readonly lossy?: ArchiveLossyLevel;
}

/** A record that version 1 does not define: skipped unless `required`. */
export interface ArchiveExtension {
  readonly required: boolean;
  readonly [field: string]: unknown;
}

export interface ArchiveIndex {
  /** Package that wrote the archive, for humans: 'ere 0.1.0'. */
  readonly generator: string;
  /** Options that shaped the archive, for humans. */
  readonly encoding: Readonly<Record<string, string | number | boolean>>;
  readonly base: {
    /** What the user calls it: a path's last part, a Hub repository. */
    readonly name: string;
    readonly revision?: string;
    /** Identity over all its tensors (docs/spec/archive.md §6). */
    readonly digest: Digest;
    readonly tensorCount: number;
  };
  readonly decoded: {
    /** Identity of the decoded checkpoint, same construction. */
    readonly digest: Digest;
    /** Identity of the lossy checkpoint; present where a tensor has `lossy`. */
    readonly lossyDigest?: Digest;
    /** Σ‖W_ft − W_base‖² over every tensor with a residual, those coded exactly too; absent where the writer did not say. */
    readonly squaredResidual?: number;
  };
  /** Codecs a decoder must know; a subset of the registry. */
  readonly codecs: readonly string[];
  readonly files: readonly ArchiveWeightFile[];
  readonly sideFiles: readonly ArchiveSideFile[];
  readonly tensors: readonly ArchiveTensor[];
  /** Names of base tensors that the fine-tuned checkpoint does not have. */
  readonly removed: readonly string[];
  readonly chunks: readonly ChunkRecord[];
  readonly extensions?: Readonly<Record<string, ArchiveExtension>>;
}

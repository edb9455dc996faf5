/** Options and reports of encode, decode, verify, inspect and truncate; those of diff are in diff-report.ts. */
import type { Dtype } from '../../formats/dtype.js';
import type { ArchiveIndex, Digest } from '../../formats/ere/archive-index.js';
import type { ArchiveLevel } from '../../formats/ere/levels.js';
import type { KernelPath } from '../kernels/kernels.js';
import type { Device } from '../linalg/devices.js';
import type { Effort } from '../rate-distortion/efforts.js';
import type { BaseRank } from '../sketch/rank-bases.js';
import type { PresetName } from './presets.js';

/** What the user asks for; exactly one. Sizes in bytes, errors relative in Frobenius norm over all residuals. */
export type Budget =
  /** The same rank for every matrix. */
  | { readonly kind: 'rank'; readonly rank: number }
  /** Share of Σσ² that every matrix keeps, in (0, 1]. */
  | { readonly kind: 'energy'; readonly energy: number }
  /** Archive size as a share of the fine-tuned weight files' bytes. */
  | { readonly kind: 'ratio'; readonly ratio: number }
  /** Archive size in bytes. */
  | { readonly kind: 'size'; readonly byteLength: number }
  /** ‖R − R̂‖ / ‖R‖ over all residuals. */
  | { readonly kind: 'max-error'; readonly relativeError: number }
  /**
   * Quantiser step of every residual, in units of the weights: the slope λ of 'rate-distortion', so that fine-tunes
   * coded at one step have lost alike, whatever bytes that takes. `EncodeReport.step` tells what an archive came to.
   */
  | { readonly kind: 'step'; readonly step: number };

/** How bytes are spread over tensors; 'rate-distortion' codes at one slope, the others choose ranks. */
export type Allocation = 'rate-distortion' | 'uniform' | 'energy' | 'layerwise';

/** Progress of a long operation, in bytes of fine-tuned weights, or of what is sent over the network. */
export interface Progress {
  readonly phase: 'analyse' | 'encode' | 'refine' | 'decode' | 'verify' | 'download' | 'upload';
  readonly doneByteLength: number;
  readonly totalByteLength: number;
  /** Tensor that was finished last, or file that is sent. */
  readonly tensor: string;
}

export interface CommonOptions {
  /** Worker threads; default: the number of cores. The result does not depend on it. */
  readonly threads?: number;
  /**
   * Most bytes of resident memory, at least 168 MiB, or 320 MiB to encode and diff; a small cap means fewer threads. Default: half of what is free.
   * The result does not depend on it.
   */
  readonly memoryCap?: number;
  /** Default 'wasm'. */
  readonly kernels?: KernelPath;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/** Where the products of large matrices run. */
export interface GemmOptions {
  /** Matrix products: 'auto' (default) is onnxruntime-node where it loads, else WebAssembly. */
  readonly gemm?: 'auto' | 'wasm';
  /**
   * Where large matrix products run; default 'cpu'. A device that is not available is a warning, and products run on
   * the CPU. Devices round differently, so archives may differ between them; each decodes to what it states.
   */
  readonly device?: Device;
}

export interface EncodeOptions extends CommonOptions, GemmOptions {
  /**
   * Path of the base: a model folder, an index.json, or one .safetensors file. Of several the one is taken that
   * the fine-tune has moved least from, by samples of their weights.
   */
  readonly base: string | readonly string[];
  /** Path of the archive to write. */
  readonly output: string;
  /**
   * A published method instead of ERE's own choices: 'ere-paper', 'bitdelta', 'delta-come' or 'lora'
   * (docs/guide/presets.md). It sets defaults, and refuses options that are not part of the method.
   */
  readonly preset?: PresetName;
  /** Default: { kind: 'ratio', ratio: 0.06 }, or the preset's. */
  readonly budget?: Budget;
  /**
   * Default 'rate-distortion'; a 'rank' budget implies 'uniform', an 'energy' budget 'energy', `bits` or
   * `prior` 'layerwise'.
   */
  readonly allocation?: Allocation;
  /** Bits per factor entry, 2 to 16; default 'auto': the uniform width with the least predicted error. 16 for preset 'lora'. */
  readonly bits?: number | 'auto';
  /** How hard 'rate-distortion' works; default 'default'. */
  readonly effort?: Effort;
  /** Weight of the uniform allocation in 'layerwise', 0 to 1; default 0. */
  readonly prior?: number;
  /**
   * Path of a plain safetensors file with one weight an input channel, named like the matrices (docs/guide/importance.md):
   * errors count by them. Only with an allocation that weighs errors.
   */
  readonly importance?: string;
  /**
   * Write nothing and throw BudgetError when the relative error over all residuals comes out above this;
   * default: no limit. Unlike a 'max-error' budget it does not change what is encoded.
   */
  readonly failAbove?: number;
  /** Code every tensor bit for bit, whatever it takes; excludes budget, allocation, bits and prior. Default false. */
  readonly lossless?: boolean;
  /**
   * Add exact terms behind the lossy ones, so that the archive decodes bit for bit and its first part is the lossy
   * archive; the budget is that of the first part. Default false.
   */
  readonly exactOnTop?: boolean;
  /** Carry config, tokenizer and other small files; default true. */
  readonly sideFiles?: boolean;
  /** Name of the base to record; default: last part of its path. */
  readonly baseName?: string;
  readonly baseRevision?: string;
  /** Encode against a base that does not seem to belong; default false. */
  readonly force?: boolean;
  /** Replace an existing output, and what an interrupted run has left beside it; default false. */
  readonly overwrite?: boolean;
  /**
   * Continue an interrupted run from the tensors that it has finished, `<output>.unfinished`. The archive is the same
   * as without the interruption. Default false: such a file is a ConflictError.
   */
  readonly resume?: boolean;
}

/** What encode is expected to write. */
export interface EncodeEstimate {
  /** Path of the base, as it was given. */
  readonly base: string;
  /** Of several bases how each fits, the one that was taken first. */
  readonly baseCandidates?: readonly BaseRank[];
  readonly archiveByteLength: number;
  /** Sum of the fine-tuned weight files. */
  readonly fineTunedByteLength: number;
  /** archiveByteLength / fineTunedByteLength. */
  readonly ratio: number;
  /** ‖R − R̂‖ / ‖R‖ over all tensors with a residual. */
  readonly relativeError: number;
  /** The part of the file that decodes without the exact terms on top, where there will be some. */
  readonly lossy?: NonNullable<EncodeReport['lossy']>;
  readonly allocation: EncodeReport['allocation'];
  /** One sentence each. */
  readonly warnings: readonly string[];
  /** 'onnxruntime-node 1.30.0' or 'wasm'. */
  readonly gemmEngine: string;
  readonly durationMs: number;
}

/** How a tensor was matched with the base. */
export type TensorCase =
  | 'identical' // same dtype, shape and bytes
  | 'residual' // float matrix, coded as base + terms
  | 'resized' // like residual over the common rows; further rows exact
  | 'vector' // float with at most one dimension over 1: exact
  | 'exact' // integers, booleans, packed and non-finite values: exact
  | 'added'; // not in the base: exact

export interface TensorReport {
  readonly name: string;
  readonly case: TensorCase;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Codecs used, in order: [] for identical. */
  readonly codecs: readonly string[];
  /** Rank of the low-rank part; 0 where there is none. */
  readonly rank: number;
  /** Payload bytes in the archive, index excluded; of what several tensors share an equal part each. */
  readonly byteLength: number;
  /** Bytes in the fine-tuned checkpoint. */
  readonly fineTunedByteLength: number;
  /** ‖W_ft − Ŵ‖ / ‖W_ft − W_base‖; 0 when exact. */
  readonly relativeError: number;
  /** Payload bits over elements; 0 for a tensor without elements. */
  readonly bitsPerWeight: number;
  /** 10·log10(‖R‖² / ‖R − R̂‖²); undefined when exact. */
  readonly signalToNoiseDb: number | undefined;
  /** 1 − relativeError²: 1 when exact, negative where the error is over the residual. */
  readonly keptEnergy: number;
  /**
   * Bits per weight of the residual's terms over the least that Gaussian data of the same spectrum takes at
   * this error (docs/guide/quality.md); undefined when exact, or where the archive does not say.
   */
  readonly boundGapBits: number | undefined;
  /** The lossy level below an exact one: its part of `byteLength`, and its error. */
  readonly lossy?: { readonly byteLength: number; readonly relativeError: number };
}

export interface EncodeReport {
  /** Path of the base, as it was given. */
  readonly base: string;
  /** Of several bases how each fits, the one that was taken first. */
  readonly baseCandidates?: readonly BaseRank[];
  readonly archiveByteLength: number;
  /** Sum of the fine-tuned weight files. */
  readonly fineTunedByteLength: number;
  /** archiveByteLength / fineTunedByteLength. */
  readonly ratio: number;
  /** ‖R − R̂‖ / ‖R‖ over all tensors with a residual; 0 when everything is exact. */
  readonly relativeError: number;
  /** The part of an archive with exact terms on top that decodes by itself: the file up to them. */
  readonly lossy?: {
    readonly byteLength: number;
    /** byteLength / fineTunedByteLength. */
    readonly ratio: number;
    readonly relativeError: number;
  };
  /** 'signs' and 'bands' are those of the presets 'bitdelta' and 'delta-come'. */
  readonly allocation: Allocation | 'signs' | 'bands' | 'lossless';
  /** Undefined without one. */
  readonly preset?: PresetName;
  /**
   * Bits per factor entry; the widths from the strongest component on where they differ: '8/3/2'. Undefined where
   * nothing has a fixed width.
   */
  readonly bits: number | string | undefined;
  /** Quantiser step of most residuals, where 'rate-distortion' coded them. */
  readonly step?: number;
  /** Ranks of the residuals that turned out to be a low-rank product, merged and rounded: a LoRA. */
  readonly productRanks: readonly number[];
  readonly tensors: readonly TensorReport[];
  /** Names of base tensors that the fine-tune does not have. */
  readonly removed: readonly string[];
  readonly sideFiles: readonly {
    readonly path: string;
    readonly byteLength: number;
    readonly from: 'archive' | 'base';
  }[];
  readonly skippedFiles: readonly { readonly path: string; readonly reason: string }[];
  /** Things the user should know: an engine fallback, a forced base, … One sentence each. */
  readonly warnings: readonly string[];
  /** 'onnxruntime-node 1.30.0', 'onnxruntime-node 1.30.0, cuda' or 'wasm'. */
  readonly gemmEngine: string;
  readonly durationMs: number;
}

export interface DecodeOptions extends CommonOptions {
  readonly base: string;
  /** Folder to create; a path that ends in .safetensors writes the weights alone (single-file checkpoints). */
  readonly output: string;
  /** Replace an existing output; default false. */
  readonly overwrite?: boolean;
  /** Decode only these tensors, by name, into one .safetensors file; default: all. */
  readonly tensors?: readonly string[];
  /** Write config, tokenizer and other small files into a folder output; default true. */
  readonly sideFiles?: boolean;
  /**
   * 'exact' is refused where the archive has only a lossy level; 'lossy' leaves exact terms on top of lossy ones
   * out. Default: the best the archive has.
   */
  readonly quality?: ArchiveLevel;
  /** Decode what is there of a file that was cut short; default false. */
  readonly partial?: boolean;
}

/** Loss of a checkpoint: ‖R − R̂‖ / ‖R‖ over the tensors that lost something, 0 without any. */
export interface Loss {
  /** Absent where it is not known: exactly stored tensors lie behind a cut. */
  readonly relativeError?: number;
  /** Whether it is estimated from what the encoder says of single chunks, and not measured. */
  readonly isEstimated: boolean;
}

export interface DecodeReport {
  readonly output: string;
  readonly files: readonly string[];
  readonly tensorCount: number;
  /** Bytes of decoded weight files. */
  readonly byteLength: number;
  /** 'partial' where a file cut short lacks something of the level that was asked for. */
  readonly quality: ArchiveLevel | 'partial';
  readonly loss: Loss;
  /** Tensors that were decoded from a part of their terms, and have no digest to be checked against. */
  readonly incompleteTensorCount: number;
  /**
   * Identity of the decoded checkpoint; but for 'partial' it equals the archive's. Undefined when only some tensors
   * were asked for.
   */
  readonly digest: Digest | undefined;
  readonly durationMs: number;
}

export interface DecodeTensorsOptions {
  readonly base: string;
  /** Names of the tensors wanted; default: all. They come in the archive's order. */
  readonly tensors?: readonly string[];
  /** Default 'wasm'. */
  readonly kernels?: KernelPath;
  readonly signal?: AbortSignal;
}

/** One tensor of the rebuilt checkpoint, its digests checked. */
export interface DecodedTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Little-endian, row-major. */
  readonly bytes: Uint8Array;
}

export interface VerifyOptions extends CommonOptions {
  /** Base to check and decode against; without it only checksums are checked. */
  readonly base?: string;
  /** A decoded or original checkpoint to compare with. */
  readonly against?: string;
}

export interface VerifyReport {
  /** What was checked: every chunk; and with a base, every base and decoded tensor. */
  readonly chunkCount: number;
  readonly baseTensorCount: number;
  readonly decodedTensorCount: number;
  /** Tensors that were decoded at the lossy level as well, below exact terms. */
  readonly lossyTensorCount: number;
  /** With `against`: tensors whose bytes equal the decoded ones, and the relative error over the others. */
  readonly comparison?: {
    readonly equalCount: number;
    readonly differentCount: number;
    readonly relativeError: number;
  };
}

/** An archive's index, and its size. */
export interface InspectReport {
  readonly archive: string;
  readonly byteLength: number;
  readonly index: ArchiveIndex;
  readonly tensors: readonly TensorReport[];
  /** What the first bytes of the file are worth, from the shortest that decodes to all of them. */
  readonly prefixes: readonly UsablePrefix[];
}

/** A file cut behind so many bytes decodes with this loss. */
export interface UsablePrefix {
  readonly byteLength: number;
  readonly quality: ArchiveLevel | 'partial';
  readonly loss: Loss;
}

export interface TruncateOptions extends CommonOptions {
  /** Path of the archive to write. */
  readonly output: string;
  /** Greatest length of the new archive in bytes, or 'lossy': without the exact terms on top of lossy ones. */
  readonly to: number | 'lossy';
  /** Base to decode against, as the digests of a cut archive are new ones; needed with a length. */
  readonly base?: string;
  /** Replace an existing output; default false. */
  readonly overwrite?: boolean;
}

export interface TruncateReport {
  readonly output: string;
  readonly byteLength: number;
  /** Of the archive that was truncated. */
  readonly originalByteLength: number;
  /** 'partial' where lossy terms were cut. */
  readonly quality: ArchiveLevel | 'partial';
  readonly loss: Loss;
  /** Identity of what the new archive decodes to. */
  readonly digest: Digest;
  readonly durationMs: number;
}

/** The store's operations, their options, events and reports. */
import type { Dtype } from '../../formats/dtype.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import type { CommonOptions, DecodedTensor, EncodeOptions, Progress } from '../residual/api.js';

/**
 * What names a version: a model ("chat"), a tag ("v1.0"), a version's id or the first digits of it that no other has
 * (at least 6), any of these with "~N" for its N-th parent, or a base ("base:llama").
 */
export type Ref = string;

/** How versions of one model are told apart: `sha256:…` of the manifest. */
export type VersionId = Digest;

export interface StoreOptions {
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: StoreEvent) => void;
}

/** What happens in an operation, in the order it does. */
export type StoreEvent =
  | { readonly kind: 'progress'; readonly progress: Progress }
  /** The operation waits for another process to finish. */
  | { readonly kind: 'waiting'; readonly reason: string }
  /** The base was found by its values. */
  | { readonly kind: 'base-found'; readonly base: string; readonly because: string }
  /** What a version is coded against, and what the candidates would have cost. */
  | {
      readonly kind: 'reference-chosen';
      readonly reference: string;
      readonly candidates: readonly ReferenceCandidate[];
    }
  | { readonly kind: 'warning'; readonly message: string };

export interface ReferenceCandidate {
  /** "base llama", or a version's id. */
  readonly reference: string;
  /** Expected bytes, relative to the fine-tuned weights. */
  readonly expectedRatio: number;
  /** Decode cost relative to decoding against the base alone (docs/spec/store.md §7). */
  readonly decodeCost: number;
  readonly isWithinLimit: boolean;
}

/** How tensors are coded; as for encode. Without any of these a version is coded like its parent, else losslessly. */
export type CodingOptions = Pick<
  EncodeOptions,
  | 'budget'
  | 'preset'
  | 'allocation'
  | 'bits'
  | 'effort'
  | 'prior'
  | 'lossless'
  | 'failAbove'
  | 'force'
  | 'gemm'
  | 'device'
>;

export interface AddBaseOptions
  extends StoreOptions,
    Pick<CommonOptions, 'threads' | 'memoryCap' | 'kernels'> {
  /** Store the base's tensors too, so that nothing outside is needed; default false. */
  readonly keep?: boolean;
  /** Revision of the Hub repository it came from. */
  readonly revision?: string;
}

export interface BaseSummary {
  readonly name: string;
  readonly id: VersionId;
  /** Identity over its tensors. */
  readonly digest: Digest;
  readonly tensorCount: number;
  readonly byteLength: number;
  /** Where it was seen, the latest first. */
  readonly locations: readonly string[];
  readonly isKept: boolean;
}

export interface CommitOptions
  extends StoreOptions,
    CodingOptions,
    Pick<CommonOptions, 'threads' | 'memoryCap' | 'kernels'> {
  readonly message: string;
  /** Default: "main". */
  readonly model?: string;
  /** Version that this one follows; default: the model's newest. `null`: none. */
  readonly parent?: Ref | null;
  /** Name of a registered base; default: the parent's, else found by values. */
  readonly base?: string;
  /** Path of the base, where it is not where it was registered. */
  readonly basePath?: string;
  /** Code against this, whatever would cost less: 'base', or a version. */
  readonly against?: 'base' | Ref;
  /** Decode cost of a chain at most, relative to decoding against the base alone; default 2. */
  readonly maxDecodeCost?: number;
  /** Carry config, tokenizer and other small files; default true. */
  readonly sideFiles?: boolean;
}

export interface CommitReport {
  readonly version: VersionSummary;
  /** Bytes that the commit added to the store. */
  readonly addedByteLength: number;
  /** addedByteLength / fineTunedByteLength. */
  readonly ratio: number;
  /** Tensors that the store had already. */
  readonly sharedTensorCount: number;
  readonly candidates: readonly ReferenceCandidate[];
  readonly warnings: readonly string[];
  readonly durationMs: number;
}

/** A version in a few numbers; all of it stands in its manifest. */
export interface VersionSummary {
  readonly id: VersionId;
  readonly kind: 'version' | 'base';
  /** The model; of a base its name. */
  readonly model: string;
  readonly message: string;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
  readonly parents: readonly VersionId[];
  readonly base: { readonly name: string; readonly id: VersionId } | undefined;
  /** What its tensors are coded against: undefined for a kept base. */
  readonly reference: { readonly kind: 'base' | 'version'; readonly id: VersionId } | undefined;
  /** Identity of the decoded checkpoint. */
  readonly digest: Digest;
  readonly tensorCount: number;
  /** Weight files. */
  readonly fineTunedByteLength: number;
  readonly addedByteLength: number;
  /** Against the checkpoint that was committed, relative to its residual against the base; 0 when exact. */
  readonly relativeError: number;
  readonly decodeCost: number;
}

export interface LogEntry extends VersionSummary {
  /** Models and tags that point at it. */
  readonly names: readonly string[];
}

export interface LogOptions extends StoreOptions {
  /** Where to begin; default: every model. */
  readonly ref?: Ref;
  readonly limit?: number;
}

export interface ShownTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly digest: Digest;
  /** Same bytes as the base's tensor of this name. */
  readonly isBase: boolean;
  /** Steps from a base to it: 0 for a tensor of the base itself. */
  readonly depth: number;
  /** Bytes of its own step in the store, an equal part of those that several tensors share; 0 for a tensor of the base. */
  readonly byteLength: number;
  readonly codecs: readonly string[];
  readonly relativeError: number;
}

export interface ShowReport {
  readonly version: LogEntry;
  readonly encoding: Readonly<Record<string, string | number | boolean>>;
  readonly tensors: readonly ShownTensor[];
  readonly sideFiles: readonly {
    readonly path: string;
    readonly byteLength: number;
    readonly digest: Digest;
  }[];
}

export interface CheckoutOptions
  extends StoreOptions,
    Pick<CommonOptions, 'threads' | 'memoryCap' | 'kernels'> {
  /** Folder to create; a path that ends in .safetensors writes the weights alone. */
  readonly output: string;
  readonly overwrite?: boolean;
  readonly basePath?: string;
  readonly sideFiles?: boolean;
}

export interface CheckoutReport {
  readonly version: VersionSummary;
  readonly output: string;
  readonly files: readonly string[];
  readonly byteLength: number;
  /** Checked: identity of what was written. */
  readonly digest: Digest;
  readonly durationMs: number;
}

/** What differs between two versions, tensor by tensor. */
export interface StoreDiffReport {
  readonly from: VersionSummary;
  readonly to: VersionSummary;
  readonly changed: readonly {
    readonly name: string;
    /** ‖W_to − W_from‖ / ‖W_from‖; undefined where shapes differ or values are not floats. */
    readonly relativeChange: number | undefined;
    /** Share of ‖W_to − W_from‖² in the strongest component and the strongest 8, of matrices. */
    readonly energyTop1?: number;
    readonly energyTop8?: number;
    readonly effectiveRank?: number;
  }[];
  readonly unchangedCount: number;
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly sideFiles: readonly {
    readonly path: string;
    readonly status: 'changed' | 'added' | 'removed';
    /** Unified diff of text files of at most 1 MiB. */
    readonly text?: string;
  }[];
}

export interface RefEntry {
  readonly kind: 'model' | 'tag' | 'base';
  readonly name: string;
  readonly id: VersionId;
}

export interface GcOptions extends StoreOptions, Pick<CommonOptions, 'threads' | 'memoryCap' | 'kernels'> {
  /** Only say what would be done. */
  readonly dryRun?: boolean;
  /** Keep unreferenced objects younger than this; default one hour. */
  readonly graceMs?: number;
  /** Code anew what takes more than this to decode; default 2. */
  readonly maxDecodeCost?: number;
}

export interface GcReport {
  readonly removedCount: number;
  readonly removedByteLength: number;
  /** Unreferenced, but within the grace period. */
  readonly youngCount: number;
  /** Tensors that were coded anew against the base, as their chain was too long. */
  readonly reanchoredCount: number;
  readonly keptCount: number;
  readonly keptByteLength: number;
}

export interface FsckOptions extends StoreOptions, Pick<CommonOptions, 'threads' | 'memoryCap' | 'kernels'> {
  /** Mend what can be mended without loss: caches, leftovers, refs to versions that are gone; default false. */
  readonly repair?: boolean;
  /** Also decode every tensor and compare its digest; default false. */
  readonly full?: boolean;
}

export interface FsckReport {
  readonly isSound: boolean;
  readonly versionCount: number;
  readonly objectCount: number;
  readonly checkedByteLength: number;
  readonly problems: readonly {
    readonly subject: string;
    readonly message: string;
    /** Versions that cannot be decoded because of it. */
    readonly versions: readonly VersionId[];
    readonly isRepaired: boolean;
  }[];
  /** Unreferenced objects: no problem; gc removes them. */
  readonly unreferencedCount: number;
}

export interface StatsReport {
  readonly versionCount: number;
  readonly modelCount: number;
  readonly tagCount: number;
  readonly baseCount: number;
  /** Weight files of all versions, as they would be stored whole. */
  readonly representedByteLength: number;
  /** All objects, manifests and refs. */
  readonly storedByteLength: number;
  /** storedByteLength / representedByteLength. */
  readonly ratio: number;
  readonly objectCount: number;
  /** Tensors of all versions, and how many of them are stored. */
  readonly tensorCount: number;
  readonly storedTensorCount: number;
}

export interface ExportOptions
  extends StoreOptions,
    Pick<CommonOptions, 'threads' | 'memoryCap' | 'kernels'> {
  /** Archive to write. */
  readonly output: string;
  readonly overwrite?: boolean;
  readonly basePath?: string;
}

export interface ExportReport {
  readonly version: VersionSummary;
  readonly output: string;
  readonly byteLength: number;
  /** Whether the store's terms went in as they are; else what is decoded was coded again, losslessly. */
  readonly isDirect: boolean;
}

export interface ImportOptions
  extends StoreOptions,
    Pick<CommonOptions, 'threads' | 'memoryCap' | 'kernels'> {
  readonly message?: string;
  readonly model?: string;
  readonly parent?: Ref | null;
}

/** A version's files and tensors as streams, for registries. */
export interface StoredCheckpoint {
  readonly version: VersionSummary;
  /** Each whole in memory and checked against its digest, in the order of the checkpoint. */
  tensors(names?: readonly string[]): AsyncGenerator<DecodedTensor, void, void>;
  /** Weight and side files. */
  readonly files: readonly {
    readonly path: string;
    readonly byteLength: number;
    readonly kind: 'weights' | 'side';
  }[];
  /** The bytes of one file in order; what has been given out is whole tensors whose digests were right. */
  file(path: string): AsyncGenerator<Uint8Array, void, void>;
  close(): Promise<void>;
}

/**
 * A versioned store of fine-tunes (docs/spec/store.md).
 * @throws NotFoundError for a ref, base or file that is not there; ConflictError where another writer came first;
 * CheckpointMismatchError for a wrong base; IntegrityError for damage; IoError
 */
export interface Store {
  readonly location: string;
  addBase(name: string, path: string, options?: AddBaseOptions): Promise<BaseSummary>;
  bases(options?: StoreOptions): Promise<readonly BaseSummary[]>;
  commit(path: string, options: CommitOptions): Promise<CommitReport>;
  log(options?: LogOptions): Promise<readonly LogEntry[]>;
  show(ref: Ref, options?: StoreOptions): Promise<ShowReport>;
  diff(from: Ref, to: Ref, options?: StoreOptions & { readonly basePath?: string }): Promise<StoreDiffReport>;
  checkout(ref: Ref, options: CheckoutOptions): Promise<CheckoutReport>;
  refs(options?: StoreOptions): Promise<readonly RefEntry[]>;
  /** Points a tag at a version; a tag that is there only moves with `force`. */
  tag(name: string, ref: Ref, options?: StoreOptions & { readonly force?: boolean }): Promise<RefEntry>;
  /** Makes a model whose newest version is `ref`. */
  branch(name: string, ref: Ref, options?: StoreOptions): Promise<RefEntry>;
  /** Removes a model or tag, or for an id the version itself; what others need stays until they are gone. */
  remove(ref: Ref, options?: StoreOptions): Promise<{ readonly removed: string }>;
  gc(options?: GcOptions): Promise<GcReport>;
  fsck(options?: FsckOptions): Promise<FsckReport>;
  stats(options?: StoreOptions): Promise<StatsReport>;
  export(ref: Ref, options: ExportOptions): Promise<ExportReport>;
  import(archive: string, options?: ImportOptions): Promise<CommitReport>;
  /** Lists what the store holds in a value of its own: what reads it over plain HTTP needs that, after every change. */
  writeInventory(options?: StoreOptions): Promise<{ readonly valueCount: number }>;
  /** `commit`, for registries. */
  put(path: string, options: CommitOptions): Promise<CommitReport>;
  get(ref: Ref, options?: StoreOptions & { readonly basePath?: string }): Promise<StoredCheckpoint>;
  close(): Promise<void>;
}

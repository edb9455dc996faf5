/** Options and reports of push and pull. */
import type { Digest } from '../../formats/ere/archive-index.js';
import type { ArchiveLevel } from '../../formats/ere/levels.js';
import type { CommonOptions, DecodeReport, EncodeOptions, TensorReport } from '../residual/api.js';
import type { CodingOptions } from '../store/api.js';
import type { HubOptions } from './settings.js';

export type { HubOptions } from './settings.js';

export interface PullOptions extends HubOptions, CommonOptions {
  /** Folder to create; a path that ends in .safetensors writes the weights alone. */
  readonly output: string;
  /** Replace an existing output; default false. What an earlier pull of the same wrote is taken as it is either way. */
  readonly overwrite?: boolean;
  /** Path of the archive in the repository; default: its only one. */
  readonly file?: string;
  /** Path of a local base; default: the repository and commit that the archive names, from the cache or the Hub. */
  readonly base?: string;
  /** Write config, tokenizer and other small files into a folder output; default true. */
  readonly sideFiles?: boolean;
  /** As for decode; 'lossy' downloads no exact terms. */
  readonly quality?: ArchiveLevel;
  /** Download at most so many bytes of the archive, and decode what they are worth. */
  readonly maxByteLength?: number;
}

export interface PullReport {
  /** `org/model`, and the commit it was. */
  readonly repo: string;
  readonly commit: string;
  /** Path of the archive in the repository. */
  readonly file: string;
  readonly archiveByteLength: number;
  /** Leading bytes of the archive that were used: all of them, but for a lower quality. */
  readonly usedByteLength: number;
  /** What the archive calls its base, and where it was read; nowhere when the output was reused. */
  readonly base: {
    readonly name: string;
    readonly revision: string | undefined;
    readonly path: string | undefined;
  };
  /** Bytes that came over the network; files of the cache count nothing. */
  readonly downloadedByteLength: { readonly archive: number; readonly base: number };
  /** The output was there already, as an earlier pull of the same wrote it. */
  readonly isReused: boolean;
  readonly output: string;
  readonly files: readonly string[];
  /** Identity of the decoded checkpoint. */
  readonly digest: Digest | undefined;
  /** Of decoding; undefined when it was reused. */
  readonly decoded: DecodeReport | undefined;
  readonly durationMs: number;
}

/** How a fine-tune is coded on its way to the Hub; as for encode. */
export type PushCodingOptions = CodingOptions & Pick<EncodeOptions, 'exactOnTop'>;

export interface PushOptions extends HubOptions, CommonOptions, PushCodingOptions {
  /** Repository `user/repo`; it is made if there is none. */
  readonly to: string;
  /**
   * The base as `org/model` or `org/model@revision`; it is pinned to the commit that is now. Needed unless the archive
   * names one with its commit.
   */
  readonly base?: string;
  /** Path of a local copy of the base to encode against, instead of the Hub's. */
  readonly basePath?: string;
  /** Location of the store that the version to push is in; then what is pushed is a ref. */
  readonly store?: string;
  /** Keep the archive that is made on the way here; default: it is only in the repository. */
  readonly output?: string;
  /** Replace that file; default false. */
  readonly overwrite?: boolean;
  /** Path in the repository; default 'model.ere'. */
  readonly pathInRepo?: string;
  /** Also upload the small files that the archive carries, so that the Hub shows and tools find them; default true. */
  readonly sideFiles?: boolean;
  /** Write README.md, the model card; default true. */
  readonly card?: boolean;
  /** Branch to commit to, made if there is none; default 'main'. */
  readonly branch?: string;
  /** Open a pull request instead; default false. */
  readonly pullRequest?: boolean;
  /** Make a new repository private; default: as its owner has it. One that is there stays as it is. */
  readonly private?: boolean;
  /** Title of the commit. */
  readonly message?: string;
  /** Only say what would be uploaded, byte for byte; default false. */
  readonly dryRun?: boolean;
}

/** A file of the commit. */
export interface PushedFile {
  readonly path: string;
  readonly byteLength: number;
  /** The branch has it already with these contents. */
  readonly isThere: boolean;
}

export interface PushReport {
  readonly repo: string;
  readonly branch: string;
  /** Whether the repository was made, or with a dry run would be. */
  readonly isNew: boolean;
  readonly isDryRun: boolean;
  /** Undefined with a dry run. Where every file was there already, the commit that has them. */
  readonly commit: string | undefined;
  readonly url: string | undefined;
  readonly pullRequestUrl: string | undefined;
  readonly files: readonly PushedFile[];
  /** Bytes of the files that are not there yet. */
  readonly uploadByteLength: number;
  readonly archiveByteLength: number;
  /** Sum of the weight files that it decodes to. */
  readonly fineTunedByteLength: number;
  /** ‖R − R̂‖ / ‖R‖ over all tensors with a residual; 0 when everything is exact. */
  readonly relativeError: number;
  readonly base: { readonly name: string; readonly revision: string; readonly digest: Digest };
  readonly tensors: readonly TensorReport[];
  /** One sentence each. */
  readonly warnings: readonly string[];
  readonly durationMs: number;
}

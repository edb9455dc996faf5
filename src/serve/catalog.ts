/**
 * What is served: models, their versions, and what the files of a version are made of. A store and a folder of archives
 * are both catalogs (store-catalog.ts, archive-catalog.ts); everything that speaks HTTP sees only this.
 */
import type { Dtype } from '../../formats/dtype.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import type { TensorReport } from '../residual/api.js';
import type { RebuildSources } from './rebuild-jobs.js';

/**
 * A version as clients name it: 40 hexadecimal digits, as of a git commit, which is what clients of the Hub expect and
 * name folders by. Of a version in a store the first 40 of its id.
 */
export type CommitId = string;

/** A version, by what its manifest or archive says of it; nothing of it is decoded. */
export interface ServedCommit {
  readonly id: CommitId;
  /** First line of what the committer said; of an archive its file's name. */
  readonly title: string;
  /** All of it. */
  readonly message: string;
  /** ISO 8601, UTC: when it was committed; of an archive when its file was last changed. */
  readonly createdAt: string;
  /** Versions that it follows and that are there, the first the nearest. */
  readonly parents: readonly CommitId[];
  /** Model that it was committed to; several models may share history. */
  readonly model: string;
  /** Models and tags that point at it. */
  readonly names: readonly string[];
  /** What it was fine-tuned from, as the store or archive calls it. */
  readonly base: string | undefined;
  /** What it is coded against: its base, another version, or nothing. */
  readonly reference: 'base' | CommitId | undefined;
  /** Bytes of its weight files as they are downloaded. */
  readonly fineTunedByteLength: number;
  /** Bytes that it takes in the store: what its commit added; of an archive the file's. */
  readonly storedByteLength: number;
  /** ‖W − Ŵ‖ / ‖W − W_base‖ of what is served; 0 when exact. */
  readonly relativeError: number;
}

export interface ServedModel {
  /** `user/name`, or a plain name. */
  readonly name: string;
  /** Its newest version. */
  readonly head: ServedCommit;
  /** Versions that its newest one descends from, itself included. */
  readonly versionCount: number;
}

/** What a model's revisions are: branches and tags by name. */
export interface ServedRefs {
  readonly branches: readonly { readonly name: string; readonly commit: CommitId }[];
  readonly tags: readonly { readonly name: string; readonly commit: CommitId }[];
}

/** Bytes that are made once and then lie in the cache: a tensor, or a side file. */
export interface RebuiltPart {
  /** SHA-256 of the bytes, checked before any of them is given out. */
  readonly digest: Digest;
  readonly byteLength: number;
  readonly made:
    | { readonly kind: 'tensor' /** Index into the tensors of the version. */; readonly tensor: number }
    | { readonly kind: 'side-file' /** Index into its side files. */; readonly sideFile: number };
}

/** A piece of a file: bytes that are at hand, or those of a part. */
export interface FilePiece {
  /** Where in the file. */
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly content: Uint8Array | RebuiltPart;
}

export interface ServedFile {
  /** With `/`, relative. */
  readonly path: string;
  readonly kind: 'weights' | 'side';
  readonly byteLength: number;
  /** SHA-256 of the whole file; undefined for a weight file that nobody has had whole. */
  readonly digest: Digest | undefined;
  /** Without holes or overlaps, in order. */
  readonly pieces: readonly FilePiece[];
  /** Whether git would hold it as a pointer to large storage: weight files with a digest. */
  readonly isLarge: boolean;
  /** 40 hexadecimal digits: git's name of what it would hold; of a weight file without a digest one that follows from its tensors. */
  readonly oid: string;
  /** What tells its bytes from others, without quotes: the SHA-256 in hexadecimal digits of a large file, else the oid. */
  readonly etag: string;
}

/** A tensor of a version, for tables. */
export interface ServedTensor
  extends Pick<TensorReport, 'name' | 'codecs' | 'byteLength' | 'fineTunedByteLength' | 'relativeError'> {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** How it is stored: 'base' as in its base, 'added' without one, 'exact' or 'lossy' as a residual. */
  readonly case: 'base' | 'added' | 'exact' | 'lossy';
}

/** A version that is open: its files, and how their parts are made. */
export interface ServedVersion {
  readonly model: string;
  readonly commit: ServedCommit;
  /** Sorted by path. */
  readonly files: readonly ServedFile[];
  readonly tensors: readonly ServedTensor[];
  /** What threads that rebuild tensors open. */
  readonly sources: RebuildSources;
  /** Threads that a tensor of it takes of those there are, by its memory: 1 but for tensors that need much. */
  readonly weight: number;
  /** Bytes of a side file, checked. @param sideFile as in RebuiltPart */
  readSideFile(sideFile: number): Promise<Uint8Array>;
  /**
   * Called where something it is made from is gone, which `work` found: runs `work` with what is opened from what is there
   * now. The version that it is given may be closed when it ends.
   * @throws as `Catalog.open` and `work`
   */
  reopen<T>(work: (current: ServedVersion) => Promise<T>): Promise<T>;
}

export interface Catalog {
  /** For people: the folder or URL. */
  readonly location: string;
  /** Sorted by name. */
  models(): Promise<readonly ServedModel[]>;
  /** The revisions of a model; undefined where there is none of that name. */
  refs(model: string): Promise<ServedRefs | undefined>;
  /**
   * The commit that a revision of a model stands for: `main`, `HEAD`, a tag, or an id or at least 6 digits of one;
   * undefined where there is none, or it does not belong to the model's history.
   */
  resolve(model: string, revision: string): Promise<ServedCommit | undefined>;
  /** Versions that a commit of a model descends from, itself included: children before parents. */
  history(model: string, commit: CommitId): Promise<readonly ServedCommit[]>;
  /**
   * Opens a version. What was opened is kept a while, and opened once.
   * @throws NotFoundError where its base is not at hand, or it was removed; IntegrityError for damage
   */
  open(model: string, commit: CommitId): Promise<ServedVersion>;
  close(): Promise<void>;
}

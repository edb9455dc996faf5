/**
 * A folder of archives as a catalog: every `name.ere` and `user/name.ere` is a model of one version, rebuilt from a base
 * that lies elsewhere. Archives that come, go or change are seen within seconds.
 */
import { createHash } from 'node:crypto';
import { bestLevel, relativeError } from '../../formats/ere/levels.js';
import { type Archive, openArchive } from '../../formats/ere/open-archive.js';
import { isEreError, NotFoundError } from '../../formats/errors.js';
import { KNOWN_CODECS } from '../codecs/known-codecs.js';
import { type ArchiveFile, listArchiveFiles } from '../io/archive-files.js';
import { openFileSource } from '../io/file-source.js';
import { inflateAtOnce } from '../io/inflate-at-once.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import { assertIdentity } from '../residual/archive-identity.js';
import { readSideFile } from '../residual/read-side-file.js';
import type { Catalog, CommitId, ServedCommit, ServedModel, ServedRefs, ServedVersion } from './catalog.js';
import { type DecodePlan, planDecoding } from './decode-plan.js';
import { type BaseCandidates, findArchiveBase, KnownDigests } from './find-archive-base.js';
import { type OpenedVersion, OpenedVersions, Shared } from './opened-versions.js';
import { Refreshed } from './refreshed.js';
import { beginsWith, COMMIT_DIGITS, isMain } from './revisions.js';
import { servedFiles, servedTensors } from './served-files.js';

export interface ArchiveCatalogOptions extends DecodePlan, BaseCandidates {
  readonly folder: string;
  /** Told of archives that cannot be served, once each. */
  readonly onWarning?: (message: string) => void;
}

/** The folder is listed again after so long. */
const REFRESH_MS = 2000;

interface ListedArchive {
  readonly file: ArchiveFile;
  readonly commit: ServedCommit;
}

/** @throws NotFoundError, IoError for a folder that cannot be listed */
export async function openArchiveCatalog(options: ArchiveCatalogOptions): Promise<Catalog> {
  const catalog = new ArchiveCatalog(options);
  await catalog.models();
  return catalog;
}

class ArchiveCatalog implements Catalog {
  readonly location: string;
  readonly #options: ArchiveCatalogOptions;
  readonly #opened = new OpenedVersions();
  /** By name. */
  readonly #listed = new Refreshed(REFRESH_MS, () => this.#list());
  /** What was found of a file is known while the file is the same. */
  readonly #known = new Map<string, Promise<ServedCommit | undefined>>();
  /** Of files that were warned of: what is tried again is not warned of again. */
  readonly #warned = new Map<string, string>();
  readonly #baseDigests = new KnownDigests();
  #openCount = 0;

  constructor(options: ArchiveCatalogOptions) {
    this.#options = options;
    this.location = options.folder;
  }

  async models(): Promise<ServedModel[]> {
    const listed = await this.#listed.get();
    return [...listed].map(([name, { commit }]) => ({ name, head: commit, versionCount: 1 }));
  }

  async refs(model: string): Promise<ServedRefs | undefined> {
    const found = (await this.#listed.get()).get(model);
    return found && { branches: [{ name: 'main', commit: found.commit.id }], tags: [] };
  }

  async resolve(model: string, revision: string): Promise<ServedCommit | undefined> {
    const found = (await this.#listed.get()).get(model)?.commit;
    return found !== undefined && (isMain(revision) || beginsWith(found.id, revision)) ? found : undefined;
  }

  async history(model: string, commit: CommitId): Promise<ServedCommit[]> {
    const found = (await this.#listed.get()).get(model)?.commit;
    return found?.id === commit ? [found] : [];
  }

  open(model: string, commit: CommitId): Promise<ServedVersion> {
    const key = `${model}\n${commit}`;
    return this.#opened.get(key, () => this.#open(model, commit, key));
  }

  async close(): Promise<void> {
    await this.#opened.close();
  }

  async #open(model: string, commit: CommitId, key: string): Promise<OpenedVersion> {
    const listed = (await this.#listed.get()).get(model);
    if (listed?.commit.id !== commit) throw this.#notWhatItWas(model);
    const { path } = listed.file;
    const source = await openFileSource(path).catch((error: unknown) => {
      throw isEreError(error, 'ERE_NOT_FOUND') ? this.#notWhatItWas(model, error) : error;
    });
    const closers = [() => source.close()];
    const shared = new Shared(async () => {
      await Promise.all(closers.map((close) => close()));
    });
    try {
      const archive = await openArchive(source, { codecs: KNOWN_CODECS, inflate: inflateAtOnce });
      // The file may have been replaced since it was listed: what is kept under a commit is that commit.
      if ((await frontHash(archive)) !== commit) throw this.#notWhatItWas(model);
      await assertIdentity(archive);
      const basePath = await findArchiveBase(archive, this.#options, this.#baseDigests);
      const base = await openCheckpoint(basePath);
      closers.push(() => base.close());
      const plan = planDecoding(this.#options, archive);
      const readFile = (i: number) =>
        shared.use(() => readSideFile({ archive, base }, archive.index.sideFiles[i]!));
      const contents = { index: archive.index, chunksOffset: archive.chunkOffset(0) };
      const version: ServedVersion = {
        model,
        commit: listed.commit,
        files: await servedFiles({
          archive,
          selection: plan.selection,
          digests: new Map(),
          readSideFile: readFile,
        }),
        tensors: servedTensors(archive),
        sources: {
          kind: 'archive',
          key: `${key}\n${++this.#openCount}`,
          files: { archive: path, contents, base: basePath },
          blockElements: plan.blockElements,
        },
        weight: plan.weight,
        readSideFile: readFile,
        reopen: (work) => this.#opened.retry(key, version, () => this.#open(model, commit, key), work),
      };
      return { version, close: () => shared.end() };
    } catch (error) {
      await shared.end();
      throw error;
    }
  }

  /** The folder is listed again by whoever looks it up next. */
  #notWhatItWas(model: string, cause?: unknown): NotFoundError {
    this.#listed.expire();
    return new NotFoundError(`${this.location}: ${model} is not what it was any more`, { cause });
  }

  async #list(): Promise<ReadonlyMap<string, ListedArchive>> {
    const files = await listArchiveFiles(this.#options.folder);
    const keys = new Set(files.map(keyOf));
    for (const known of [this.#known, this.#warned])
      for (const key of known.keys()) if (!keys.has(key)) known.delete(key);
    const listed = new Map<string, ListedArchive>();
    for (const file of files) {
      const commit = await this.#commitOf(file);
      if (commit !== undefined) listed.set(file.name, { file, commit });
    }
    return listed;
  }

  #commitOf(file: ArchiveFile): Promise<ServedCommit | undefined> {
    const key = keyOf(file);
    let commit = this.#known.get(key);
    if (commit === undefined) {
      commit = readCommit(file).catch((error: unknown) => {
        // Damage stays; what the system refused for now, or went wrong here, is tried again.
        if (!isEreError(error) || isEreError(error, 'ERE_IO', 'ERE_NOT_FOUND')) this.#known.delete(key);
        if (!isEreError(error, 'ERE_NOT_FOUND')) this.#warn(key, messageOf(error, file));
        return undefined;
      });
      this.#known.set(key, commit);
    }
    return commit;
  }

  #warn(key: string, message: string): void {
    if (this.#warned.get(key) === message) return;
    this.#warned.set(key, message);
    this.#options.onWarning?.(`not served: ${message}`);
  }
}

function messageOf(error: unknown, { path }: ArchiveFile): string {
  if (isEreError(error)) return error.message;
  return `${path}: ${error instanceof Error ? (error.stack ?? error.message) : error}`;
}

/** A file of the same length that was changed at the same time is the same. */
function keyOf({ path, byteLength, changedAt }: ArchiveFile): string {
  return JSON.stringify([path, byteLength, changedAt]);
}

/** @throws FormatError, IntegrityError, UnsupportedError for what is not a whole archive */
async function readCommit(file: ArchiveFile): Promise<ServedCommit> {
  const source = await openFileSource(file.path);
  try {
    const archive = await openArchive(source, { codecs: KNOWN_CODECS, inflate: inflateAtOnce });
    const { index, byteLength } = archive;
    const { base, decoded, files, tensors } = index;
    return {
      id: await frontHash(archive),
      title: `${file.name}.ere`,
      message: `${file.name}.ere, ${bestLevel(index)}, written by ${index.generator}`,
      createdAt: file.changedAt,
      parents: [],
      model: file.name,
      names: [file.name],
      base: base.revision === undefined ? base.name : `${base.name}@${base.revision}`,
      reference: 'base',
      fineTunedByteLength: files.reduce((sum, weights) => sum + weights.byteLength, 0),
      storedByteLength: byteLength,
      relativeError: relativeError(tensors, decoded.squaredResidual),
    };
  } finally {
    await source.close();
  }
}

/** Of the prelude and index, which have the checksums of everything behind them. */
async function frontHash(archive: Archive): Promise<CommitId> {
  const front = await archive.source.read(0, archive.chunkOffset(0));
  return createHash('sha256').update(front).digest('hex').slice(0, COMMIT_DIGITS);
}

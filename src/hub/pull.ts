/**
 * pull: a model of the Hub from its archive and its base. The archive's index is read first, by range requests, so that
 * nothing is downloaded for an archive that cannot be decoded; every tensor is checked against its digest.
 */
import { join } from 'node:path';
import type { ArchiveIndex, Digest } from '../../formats/ere/archive-index.js';
import { HubError } from '../../formats/errors.js';
import { readFolderRecord, writeFolderRecord } from '../io/folder-record.js';
import type { GrowingFile } from '../io/growing-file.js';
import { withFolderBeside } from '../io/temporary-folder.js';
import type { DecodeOptions } from '../residual/api.js';
import { assertCommonOptions } from '../residual/encode-options.js';
import type { PullOptions, PullReport } from './api.js';
import { fetchBase } from './base-snapshot.js';
import { type DecodedDownload, type DownloadedArchive, decodeDownload } from './decode-download.js';
import { copyPrefix, neededByteLength, openRemoteArchive, type RemoteArchive } from './pull-archive.js';
import { isRepoName, isRevision, parseRepoRevision } from './repo-name.js';
import type { HubAccess } from './request.js';
import { hubSettings } from './settings.js';
import { fetchSnapshot, type PinnedRepo, pinRepo, rememberRevision } from './snapshot.js';

/**
 * Rebuilds the model of `user/repo[@revision]` into `options.output`.
 * @throws HubError; NotFoundError, UnsupportedError for a repository without an archive or with several; BudgetError for
 * too few bytes; IntegrityError for damage; otherwise as decode. Nothing is written to the output then.
 */
export async function pull(name: string, options: PullOptions): Promise<PullReport> {
  const started = performance.now();
  assertPullOptions(options);
  const designation = parseRepoRevision(name);
  const access: HubAccess = { ...(await hubSettings(options)), signal: options.signal };
  const pinned = await pinRepo(access, designation);
  const remote = await openRemoteArchive(access, pinned, options.file);
  try {
    const { index, byteLength } = remote.archive;
    const usedByteLength = neededByteLength(remote.archive, options);
    const key = recordKey(index, usedByteLength, options);
    const reused = isFolderOutput(options) ? await readFolderRecord(options.output, key) : undefined;
    const facts = {
      ...pinned,
      file: remote.path,
      archiveByteLength: byteLength,
      usedByteLength,
      output: options.output,
    };
    if (reused !== undefined) {
      return {
        ...facts,
        base: { name: index.base.name, revision: index.base.revision, path: undefined },
        downloadedByteLength: { archive: 0, base: 0 },
        isReused: true,
        files: reused,
        digest: usedByteLength === byteLength ? wholeDigest(index, options) : undefined,
        decoded: undefined,
        durationMs: performance.now() - started,
      };
    }
    const base = await findBase(access, index, options);
    await rememberRevision(access, pinned, designation.revision);
    const { decoded, downloadedByteLength } = await decodeRemote({
      access,
      pinned,
      remote,
      usedByteLength,
      base: base.folder,
      options,
    });
    if (isFolderOutput(options)) await writeFolderRecord(options.output, key, decoded.files);
    return {
      ...facts,
      base: { name: index.base.name, revision: index.base.revision, path: base.folder },
      downloadedByteLength: { archive: downloadedByteLength, base: base.downloadedByteLength },
      isReused: false,
      files: decoded.files,
      digest: decoded.digest,
      decoded,
      durationMs: performance.now() - started,
    };
  } finally {
    await remote.close();
  }
}

function assertPullOptions(options: PullOptions): void {
  assertCommonOptions(options);
  const { maxByteLength } = options;
  if (maxByteLength !== undefined && (!Number.isSafeInteger(maxByteLength) || maxByteLength < 1))
    throw new RangeError(`expected maxByteLength to be at least 1 byte, got ${maxByteLength}`);
}

function isFolderOutput({ output }: PullOptions): boolean {
  return !output.endsWith('.safetensors');
}

function wholeDigest({ decoded }: ArchiveIndex, { quality }: PullOptions): Digest {
  return quality === 'lossy' ? (decoded.lossyDigest ?? decoded.digest) : decoded.digest;
}

/** What decides on the files of the output: the decoded tensors, how far, and the small files. */
function recordKey(index: ArchiveIndex, usedByteLength: number, options: PullOptions): string {
  return JSON.stringify({
    decoded: index.decoded.digest,
    base: index.base.digest,
    quality: options.quality ?? 'best',
    usedByteLength,
    files: index.files.map(({ path, byteLength }) => [path, byteLength]),
    sideFiles: options.sideFiles === false ? [] : index.sideFiles.map(({ path, digest }) => [path, digest]),
  });
}

/** The base as the user has it, or as the archive names it. */
async function findBase(
  access: HubAccess,
  index: ArchiveIndex,
  options: PullOptions,
): Promise<{ readonly folder: string; readonly downloadedByteLength: number }> {
  if (options.base !== undefined) return { folder: options.base, downloadedByteLength: 0 };
  const { name, revision } = index.base;
  if (!isRepoName(name) || (revision !== undefined && !isRevision(revision))) {
    throw new HubError(
      `the archive calls its base ${JSON.stringify(name)}, which is no repository of the Hub; say where it is with --base`,
    );
  }
  const pinned = await pinRepo(access, { repo: name, revision });
  return fetchBase(access, pinned, index, options.onProgress);
}

interface DecodeRemoteInputs {
  readonly access: HubAccess;
  readonly pinned: PinnedRepo;
  readonly remote: RemoteArchive;
  readonly usedByteLength: number;
  readonly base: string;
  readonly options: PullOptions;
}

/** A whole archive goes to the cache, where another pull finds it; a part of one to a file that is gone afterwards. */
async function decodeRemote(inputs: DecodeRemoteInputs): Promise<DecodedDownload> {
  const { access, pinned, remote, usedByteLength, options } = inputs;
  const { onProgress } = options;
  if (usedByteLength === remote.archive.byteLength) {
    const download = async (reader: GrowingFile): Promise<DownloadedArchive> => {
      const fetched = await fetchSnapshot(access, pinned, [remote.path], { onProgress, reader });
      return { ...fetched, path: join(fetched.folder, remote.path) };
    };
    return decodeDownload(usedByteLength, download, decodeOptions(inputs));
  }
  return withFolderBeside(options.output, async (folder) => {
    const path = join(folder, 'archive.ere');
    const totalByteLength = usedByteLength;
    const onPiece = (doneByteLength: number): void =>
      onProgress?.({ phase: 'download', doneByteLength, totalByteLength, tensor: remote.path });
    const download = async (reader: GrowingFile): Promise<DownloadedArchive> => {
      await copyPrefix(access, remote, usedByteLength, path, onPiece, reader);
      return { path, downloadedByteLength: remote.file === undefined ? 0 : usedByteLength };
    };
    return decodeDownload(usedByteLength, download, { ...decodeOptions(inputs), partial: true });
  });
}

function decodeOptions({ base, options }: DecodeRemoteInputs): DecodeOptions {
  const { output, overwrite, sideFiles, quality, threads, memoryCap, kernels, signal, onProgress } = options;
  return {
    base,
    output,
    ...(overwrite === undefined ? {} : { overwrite }),
    ...(sideFiles === undefined ? {} : { sideFiles }),
    ...(quality === undefined ? {} : { quality }),
    ...(threads === undefined ? {} : { threads }),
    ...(memoryCap === undefined ? {} : { memoryCap }),
    ...(kernels === undefined ? {} : { kernels }),
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress }),
  };
}

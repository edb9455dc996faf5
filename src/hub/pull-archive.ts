/** The archive of a repository: which file it is, its index by range requests, and as many of its bytes as are needed. */

import { join } from 'node:path';
import type { ByteSource } from '../../formats/byte-source.js';
import { bestLevel, lossyChunkEnd } from '../../formats/ere/levels.js';
import { type Archive, openArchive } from '../../formats/ere/open-archive.js';
import { BudgetError, NotFoundError, UnsupportedError } from '../../formats/errors.js';
import { KNOWN_CODECS } from '../codecs/known-codecs.js';
import { withAtomicFile } from '../io/atomic-output.js';
import { openFileSource } from '../io/file-source.js';
import type { GrowingFile } from '../io/growing-file.js';
import { hubCacheFileLength, listHubCacheFiles } from '../io/hub-cache-files.js';
import { inflateAtOnce } from '../io/inflate-at-once.js';
import { assertIdentity } from '../residual/archive-identity.js';
import { firstUsableChunkCount } from '../residual/usable-prefixes.js';
import type { PullOptions } from './api.js';
import { listRepoFiles } from './client.js';
import { downloadRange, type HubFile, hubSource, statHubFile } from './hub-file.js';
import type { HubAccess } from './request.js';
import { type PinnedRepo, snapshotFolder } from './snapshot.js';

/** An archive on the Hub, or its copy in the cache, open. */
export interface RemoteArchive {
  /** Path in the repository. */
  readonly path: string;
  readonly archive: Archive;
  /** Its file, where the cache has it whole. */
  readonly cached: string | undefined;
  /** Undefined where it was read from the cache. */
  readonly file: HubFile | undefined;
  close(): Promise<void>;
}

/** @throws HubError, NotFoundError without an archive, UnsupportedError with several; as openArchive */
export async function openRemoteArchive(
  access: HubAccess,
  pinned: PinnedRepo,
  wanted: string | undefined,
): Promise<RemoteArchive> {
  const folder = snapshotFolder(access, pinned);
  const path = wanted ?? (await onlyArchive(access, pinned));
  if ((await hubCacheFileLength(folder, path)) !== undefined) {
    const cached = join(folder, path);
    const source = await openFileSource(cached);
    try {
      const archive = await openChecked(source);
      return { path, archive, cached, file: undefined, close: () => source.close() };
    } catch (error) {
      await source.close();
      throw error;
    }
  }
  const file = await statHubFile(access, pinned.repo, pinned.commit, path);
  const archive = await openChecked(hubSource(access, file));
  return { path, archive, cached: undefined, file, close: async () => {} };
}

async function openChecked(source: ByteSource): Promise<Archive> {
  const archive = await openArchive(source, { codecs: KNOWN_CODECS, inflate: inflateAtOnce });
  await assertIdentity(archive);
  return archive;
}

async function onlyArchive(access: HubAccess, pinned: PinnedRepo): Promise<string> {
  const paths = access.isOffline
    ? await listHubCacheFiles(snapshotFolder(access, pinned))
    : (await listRepoFiles(access, pinned.repo, pinned.commit)).map(({ path }) => path);
  const archives = paths.filter((path) => path.endsWith('.ere')).sort();
  const [only] = archives;
  if (only !== undefined && archives.length === 1) return only;
  const shown = `${pinned.repo}@${pinned.commit}`;
  if (only === undefined) throw new NotFoundError(`${shown}: holds no .ere archive`);
  throw new UnsupportedError(
    'repositories with several archives',
    `${shown}: holds several archives, name one of ${archives.slice(0, 8).join(', ')}`,
  );
}

/**
 * How many leading bytes of the archive what is asked for needs, always up to the end of a chunk.
 * @throws UnsupportedError for 'exact' of a lossy archive; BudgetError where so few bytes decode to nothing
 */
export function neededByteLength(
  archive: Archive,
  { quality, maxByteLength }: Pick<PullOptions, 'quality' | 'maxByteLength'>,
): number {
  const { index, byteLength, source } = archive;
  if (quality === 'exact' && bestLevel(index) !== 'exact') {
    throw new UnsupportedError(
      'exact quality of a lossy archive',
      `${source.name} is lossy and has no exact terms on top; pull it as lossy`,
    );
  }
  let chunkCount = quality === 'lossy' ? lossyChunkEnd(index) : index.chunks.length;
  const limit = maxByteLength ?? byteLength;
  while (chunkCount > 0 && archive.chunkOffset(chunkCount) > limit) chunkCount--;
  const least = firstUsableChunkCount(archive);
  if (chunkCount < least) {
    const reachable = archive.chunkOffset(least);
    throw new BudgetError(
      `${source.name}: its first ${reachable} bytes are the shortest part that decodes (headers, index, side files and what ` +
        `is stored exactly), which is over the asked ${limit}; ask for more`,
      limit,
      reachable,
    );
  }
  if (quality === 'exact' && chunkCount < index.chunks.length) {
    throw new BudgetError(
      `${source.name}: exact quality takes all of its ${byteLength} bytes, which is over the asked ${limit}`,
      limit,
      byteLength,
    );
  }
  return archive.chunkOffset(chunkCount);
}

/**
 * Writes the leading bytes of an archive to a file; their checksums are checked when it is decoded.
 * @param reader is told what is in the file
 */
export async function copyPrefix(
  access: HubAccess,
  { archive, file }: RemoteArchive,
  byteLength: number,
  output: string,
  onPiece: (doneByteLength: number) => void,
  reader: GrowingFile,
): Promise<void> {
  await withAtomicFile(output, { signal: access.signal }, async (target) => {
    await reader.begin(target.path, 0);
    const sink = async (piece: Uint8Array) => {
      await target.write(piece);
      reader.wrote(target.position);
      onPiece(target.position);
    };
    if (file !== undefined) return await downloadRange(access, file, { offset: 0, end: byteLength }, sink);
    const step = 4 << 20;
    for (let offset = 0; offset < byteLength; offset += step) {
      await target.write(await archive.source.read(offset, Math.min(step, byteLength - offset)));
      reader.wrote(target.position);
    }
  });
}

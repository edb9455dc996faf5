/** import: an archive as a version; nothing is decoded. */
import type { Archive } from '../../formats/ere/open-archive.js';
import { NotFoundError } from '../../formats/errors.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import { assertIdentity } from '../residual/archive-identity.js';
import type { CommitReport, ImportOptions } from './api.js';
import { DEFAULT_MODEL, parentOf } from './commit.js';
import { assertName } from './layout.js';
import { locateBase } from './located-bases.js';
import { withSharedLock } from './locks.js';
import { summaryOf } from './manifest.js';
import { recordVersion, type SideFileContent, withArchive } from './record-version.js';
import { readRef } from './refs.js';
import type { StoredBase, StoreReader } from './store-reader.js';

/** @throws NotFoundError where the store does not know the archive's base; FormatError, IntegrityError for a damaged archive */
export async function importArchive(
  reader: StoreReader,
  path: string,
  options: ImportOptions,
): Promise<CommitReport> {
  const started = performance.now();
  const model = options.model ?? DEFAULT_MODEL;
  assertName('model', model);
  return withArchive(path, async (archive) => {
    await assertIdentity(archive);
    const base = await baseOf(reader, archive);
    const head = (await readRef(reader.backend, 'model', model))?.id;
    const parent = await parentOf(reader, options.parent, head);
    const sideFiles = await readSideFiles(reader, archive, base);
    const recorded = await withSharedLock(reader.backend, options, (lock) =>
      recordVersion(reader, {
        lock,
        archive,
        model,
        message: options.message ?? '',
        parent: parent?.id,
        head,
        base,
        reference: undefined,
        sideFiles,
        sketch: undefined,
        step: undefined,
        fileDigests: new Map(),
        directByteLength: undefined,
        squaredResidual: undefined,
      }),
    );
    const { version, addedByteLength, sharedTensorCount } = recorded;
    const summary = summaryOf(version);
    return {
      version: summary,
      addedByteLength,
      ratio: addedByteLength / summary.fineTunedByteLength,
      sharedTensorCount,
      candidates: [],
      warnings: [],
      durationMs: performance.now() - started,
    };
  });
}

async function baseOf(reader: StoreReader, { index, source }: Archive): Promise<StoredBase> {
  const bases = await reader.bases();
  const found = bases.find(({ manifest }) => manifest.digest === index.base.digest);
  if (found !== undefined) return found;
  const known = bases.map(({ ref, manifest }) => `"${ref.name}" (${manifest.digest})`).join(', ') || 'none';
  throw new NotFoundError(
    `${source.name} needs base "${index.base.name}" (${index.base.digest}), and ${reader.backend.location} has ${known}; register it with base add`,
  );
}

/** Those that the archive carries, and those that it takes from its base. */
async function readSideFiles(
  reader: StoreReader,
  archive: Archive,
  base: StoredBase,
): Promise<SideFileContent[]> {
  const files: SideFileContent[] = [];
  const shared: string[] = [];
  for (const { path, content } of archive.index.sideFiles) {
    if (content === undefined) shared.push(path);
    else files.push({ path, bytes: await archive.readBlob(content) });
  }
  if (shared.length === 0) return files;
  const checkpoint = await openCheckpoint(await locateBase(reader, base, undefined));
  try {
    for (const path of shared) {
      const file = checkpoint.sideFiles.find((candidate) => candidate.path === path);
      if (file === undefined) {
        throw new NotFoundError(
          `${checkpoint.location} has no ${path}, which ${archive.source.name} takes from its base`,
        );
      }
      files.push({ path, bytes: await file.read() });
    }
    return files;
  } finally {
    await checkpoint.close();
  }
}

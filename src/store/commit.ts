/**
 * commit: a checkpoint as a version, coded against the base or another version, whichever costs least
 * (docs/spec/store.md §7).
 */
import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';
import type { ArchiveIndex } from '../../formats/ere/archive-index.js';
import { NotFoundError, UnsupportedError } from '../../formats/errors.js';
import { openArchive } from '../../formats/ere/open-archive.js';
import { KNOWN_CODECS } from '../codecs/registry.js';
import { openFileSource } from '../io/file-source.js';
import { inflateAtOnce } from '../io/inflate-at-once.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import { encode } from '../residual/encode.js';
import type { EncodeReport } from '../residual/api.js';
import type { CommitOptions, CommitReport } from './api.js';
import { checkoutVersion, commonOptions } from './checkout.js';
import { codingOptions } from './coding-options.js';
import { decodeCost } from './decode-cost.js';
import { assertName } from './layout.js';
import { locateBase } from './located-bases.js';
import { withSharedLock } from './locks.js';
import { type Manifest, type ManifestSideFile, type StoredBlob, type StoredVersion, shortId, summaryOf } from './manifest.js';
import { writeBlob } from './objects.js';
import { type PublishedArchive, publishArchive } from './publish.js';
import { chooseReference, type Plan } from './choose-reference.js';
import { readRef } from './refs.js';
import type { StoredBase, StoreReader } from './store-reader.js';
import { withTemporaryFolder } from './temporary.js';
import { chainCost } from './trace-cost.js';
import { advanceModel, writeVersion } from './versions.js';

/** Model that versions belong to unless told otherwise. */
const DEFAULT_MODEL = 'main';

/** @throws as encode; ConflictError where another writer committed to the model first; NotFoundError for a base */
export async function commitVersion(
  reader: StoreReader,
  path: string,
  options: CommitOptions,
): Promise<CommitReport> {
  const started = performance.now();
  const { backend } = reader;
  if (backend.isReadOnly) throw new UnsupportedError('changes', `${backend.location}: is read-only`);
  const model = options.model ?? DEFAULT_MODEL;
  assertName('model', model);
  const head = await readRef(backend, 'model', model);
  const parent = await parentOf(reader, options, head?.id);
  const plan = await chooseReference(reader, path, parent, options);
  options.onEvent?.({
    kind: 'reference-chosen',
    reference: plan.description,
    candidates: plan.candidates,
  });
  return withTemporaryFolder(backend, async (folder) => {
    const archive = join(folder, 'version.ere');
    const encoded = await encodeAgainst(reader, path, plan, folder, archive, parent, options);
    return withSharedLock(backend, options, async () => {
      reader.refresh();
      await assertStillThere(reader, plan);
      const published = await publishFile(reader, archive, plan.base);
      const { manifest, addedByteLength } = await describe(reader, path, options, { model, parent, plan, encoded, published });
      const version = await writeVersion(backend, manifest);
      await advanceModel(backend, model, head?.id, version.id);
      return {
        version: summaryOf(version),
        addedByteLength,
        ratio: addedByteLength / encoded.fineTunedByteLength,
        sharedTensorCount: published.sharedTensorCount,
        candidates: plan.candidates,
        warnings: encoded.warnings,
        durationMs: performance.now() - started,
      };
    });
  });
}

async function parentOf(
  reader: StoreReader,
  { parent }: CommitOptions,
  head: StoredVersion['id'] | undefined,
): Promise<StoredVersion | undefined> {
  if (parent === null) return undefined;
  if (parent !== undefined) return reader.resolve(parent);
  return head === undefined ? undefined : reader.version(head);
}

async function encodeAgainst(
  reader: StoreReader,
  path: string,
  plan: Plan,
  folder: string,
  output: string,
  parent: StoredVersion | undefined,
  options: CommitOptions,
): Promise<EncodeReport> {
  const { reference, base } = plan;
  const basePath = await locateBase(reader, base, options.basePath);
  const decoded = join(folder, 'reference');
  if (reference !== undefined) {
    await checkoutVersion(reader, reference, {
      ...commonOptions(options),
      output: decoded,
      sideFiles: false,
      ...(options.basePath === undefined ? {} : { basePath: options.basePath }),
    });
  }
  return encode(path, {
    ...commonOptions(options),
    ...codingOptions(options, parent),
    base: reference === undefined ? basePath : decoded,
    baseName: base.ref.name,
    sideFiles: false,
    output,
  });
}

/** @throws NotFoundError where the reference was removed while this version was coded */
async function assertStillThere(reader: StoreReader, { reference, base }: Plan): Promise<void> {
  const needed = reference ?? base;
  if ((await reader.findVersion(needed.id)) !== undefined) return;
  throw new NotFoundError(
    `${reader.backend.location}: version ${shortId(needed.id)} was removed while another was coded against it; commit again`,
  );
}

/** What was published, and the index of the archive that it was in. */
interface PublishedFile extends PublishedArchive {
  readonly index: ArchiveIndex;
}

async function publishFile(reader: StoreReader, path: string, base: StoredBase): Promise<PublishedFile> {
  const source = await openFileSource(path);
  try {
    const archive = await openArchive(source, { codecs: KNOWN_CODECS, inflate: inflateAtOnce });
    const ofBase = new Set(base.manifest.tensors.map(({ digest }) => digest));
    const { index } = archive;
    return { index, ...(await publishArchive(reader, archive, (digest) => ofBase.has(digest))) };
  } finally {
    await source.close();
  }
}

interface Committed {
  readonly model: string;
  readonly parent: StoredVersion | undefined;
  readonly plan: Plan;
  readonly encoded: EncodeReport;
  readonly published: PublishedFile;
}

async function describe(
  reader: StoreReader,
  path: string,
  options: CommitOptions,
  { model, parent, plan, encoded, published }: Committed,
): Promise<{ readonly manifest: Manifest; readonly addedByteLength: number }> {
  const { backend } = reader;
  let addedByteLength = published.addedByteLength;
  const write = async (content: Uint8Array): Promise<StoredBlob> => {
    const written = await writeBlob(backend, content);
    addedByteLength += written.addedByteLength;
    return written.blob;
  };
  const sideFiles = options.sideFiles === false ? [] : await writeSideFiles(path, write);
  const sketch = plan.sketch === undefined ? {} : { sketch: await write(plan.sketch) };
  reader.refresh();
  const directByteLength = plan.directRatio * encoded.fineTunedByteLength;
  const cost = await chainCost(reader, published.tensors);
  const { base, reference } = plan;
  const manifest: Manifest = {
    kind: 'version',
    model,
    message: options.message,
    createdAt: new Date().toISOString(),
    parents: parent === undefined ? [] : [parent.id],
    base: { name: base.ref.name, id: base.id },
    reference:
      reference === undefined ? { kind: 'base', id: base.id } : { kind: 'version', id: reference.id },
    digest: published.index.decoded.digest,
    fineTunedByteLength: encoded.fineTunedByteLength,
    addedByteLength,
    relativeError: encoded.relativeError * plan.residualShare,
    decodeCost: reference === undefined ? 1 : decodeCost(cost, directByteLength),
    encoding: published.index.encoding,
    tensors: published.tensors,
    files: published.files,
    sideFiles,
    ...sketch,
    directByteLength: reference === undefined ? cost.chainByteLength : directByteLength,
  };
  return { manifest, addedByteLength };
}

async function writeSideFiles(
  path: string,
  write: (content: Uint8Array) => Promise<StoredBlob>,
): Promise<ManifestSideFile[]> {
  const checkpoint = await openCheckpoint(resolve(path));
  try {
    const files: ManifestSideFile[] = [];
    for (const file of checkpoint.sideFiles) {
      const bytes = await file.read();
      files.push({ path: file.path, digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`, content: await write(bytes) });
    }
    return files;
  } finally {
    await checkpoint.close();
  }
}

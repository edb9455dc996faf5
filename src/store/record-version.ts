/** The end of commit and import: an archive's tensors, the manifest, and the ref, in this order. */
import type { ArchiveIndex, Digest } from '../../formats/ere/archive-index.js';
import { relativeError } from '../../formats/ere/levels.js';
import { type Archive, openArchive } from '../../formats/ere/open-archive.js';
import { NotFoundError } from '../../formats/errors.js';
import { KNOWN_CODECS } from '../codecs/known-codecs.js';
import { openFileSource } from '../io/file-source.js';
import { inflateAtOnce } from '../io/inflate-at-once.js';
import { digestOf } from '../io/node-hasher.js';
import type { VersionId } from './api.js';
import { decodeCost } from './decode-cost.js';
import type { HeldLock } from './locks.js';
import { type Manifest, type ManifestSideFile, type StoredVersion, shortId } from './manifest.js';
import { writeBlob } from './objects.js';
import { publishArchive } from './publish.js';
import type { StoredBase, StoreReader } from './store-reader.js';
import { chainCost } from './trace-cost.js';
import { advanceModel, writeVersion } from './versions.js';

/** Runs `use` with an archive of a file, and closes it. @throws as openArchive */
export async function withArchive<T>(path: string, use: (archive: Archive) => Promise<T>): Promise<T> {
  const source = await openFileSource(path);
  try {
    return await use(await openArchive(source, { codecs: KNOWN_CODECS, inflate: inflateAtOnce }));
  } finally {
    await source.close();
  }
}

/** A side file, in memory: they are small. */
export interface SideFileContent {
  readonly path: string;
  readonly bytes: Uint8Array;
}

export interface RecordInput {
  /** A shared one. */
  readonly lock: HeldLock;
  readonly archive: Archive;
  readonly model: string;
  readonly message: string;
  readonly parent: VersionId | undefined;
  /** What the model's newest version is now. */
  readonly head: VersionId | undefined;
  readonly base: StoredBase;
  /** What the archive is coded against; undefined for the base itself. */
  readonly reference: StoredVersion | undefined;
  readonly sideFiles: readonly SideFileContent[];
  /** Of what it decodes to, serialised. */
  readonly sketch: Uint8Array | undefined;
  /** Quantiser step, where it has one: what the next version takes. */
  readonly step: number | undefined;
  /** SHA-256 of the weight files that it decodes to, by path, as far as they are known. */
  readonly fileDigests: ReadonlyMap<string, Digest>;
  /** Coded bytes that one step from the base is expected to take; undefined where the archive is that step. */
  readonly directByteLength: number | undefined;
  /** ‖W − W_base‖², which errors are relative to; undefined where the archive says it, being coded against the base. */
  readonly squaredResidual: number | undefined;
}

export interface RecordedVersion {
  readonly version: StoredVersion;
  /** Manifest included. */
  readonly addedByteLength: number;
  readonly sharedTensorCount: number;
}

/**
 * @throws NotFoundError where the reference or the parent was removed meanwhile; ConflictError where another writer
 *   came first
 */
export async function recordVersion(reader: StoreReader, input: RecordInput): Promise<RecordedVersion> {
  const { backend } = reader;
  const { archive, base, reference, model, parent, lock } = input;
  const { index } = archive;
  reader.refresh();
  await assertStillThere(reader, base);
  if (reference !== undefined) await assertStillThere(reader, reference);
  await assertParent(reader, parent);
  const published = await publishArchive(reader, archive);
  let { addedByteLength } = published;
  const write = async (content: Uint8Array) => {
    const written = await writeBlob(backend, content);
    addedByteLength += written.addedByteLength;
    return written.blob;
  };
  const sideFiles: ManifestSideFile[] = [];
  for (const { path, bytes } of input.sideFiles) {
    sideFiles.push({ path, digest: digestOf(bytes), content: await write(bytes) });
  }
  const sketch = input.sketch === undefined ? {} : { sketch: await write(input.sketch) };
  reader.refresh();
  const cost = await chainCost(reader, published.tensors);
  const directByteLength = input.directByteLength ?? cost.chainByteLength;
  const manifest: Manifest = {
    kind: 'version',
    model,
    message: input.message,
    createdAt: new Date().toISOString(),
    parents: parent === undefined ? [] : [parent],
    base: { name: base.ref.name, id: base.id },
    reference:
      reference === undefined ? { kind: 'base', id: base.id } : { kind: 'version', id: reference.id },
    digest: index.decoded.digest,
    fineTunedByteLength: weightByteLength(index),
    addedByteLength,
    relativeError: relativeError(index.tensors, input.squaredResidual ?? index.decoded.squaredResidual),
    decodeCost: decodeCost(cost, directByteLength),
    encoding: { ...index.encoding, ...(input.step === undefined ? {} : { step: input.step }) },
    tensors: published.tensors,
    files: published.files.map((file) => {
      const digest = input.fileDigests.get(file.path);
      return digest === undefined ? file : { ...file, digest };
    }),
    sideFiles,
    ...sketch,
    directByteLength,
  };
  lock.assertHeld();
  const version = await writeVersion(backend, manifest);
  lock.assertHeld();
  await advanceModel(backend, model, input.head, version.id);
  return { version, addedByteLength, sharedTensorCount: published.sharedTensorCount };
}

function weightByteLength({ files }: ArchiveIndex): number {
  return files.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

async function assertStillThere(reader: StoreReader, needed: StoredVersion): Promise<void> {
  if ((await reader.findVersion(needed.id)) !== undefined) return;
  throw new NotFoundError(
    `${reader.backend.location}: version ${shortId(needed.id)} was removed while another was coded against it; commit again`,
  );
}

/** History goes on behind a parent that was removed, where that left its own parents. */
async function assertParent(reader: StoreReader, parent: VersionId | undefined): Promise<void> {
  if (parent === undefined || (await reader.parents(parent)) !== undefined) return;
  throw new NotFoundError(
    `${reader.backend.location}: version ${shortId(parent)} was removed while another was made to follow it; commit again`,
  );
}

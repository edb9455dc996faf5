/**
 * commit: a checkpoint as a version, coded against the base or another version, whichever costs least
 * (docs/spec/store.md §7).
 */
import { join } from 'node:path';
import { openCheckpoint } from '../io/open-checkpoint.js';
import type { EncodeReport } from '../residual/api.js';
import { encode } from '../residual/encode.js';
import type { CommitOptions, CommitReport } from './api.js';
import { basePathOf } from './base-path.js';
import { checkoutVersion, commonOptions } from './checkout.js';
import { chooseReference, type Plan } from './choose-reference.js';
import { codingOptions } from './coding-options.js';
import { assertName } from './layout.js';
import { withSharedLock } from './locks.js';
import { type StoredVersion, summaryOf } from './manifest.js';
import { recordVersion, type SideFileContent, withArchive } from './record-version.js';
import { readRef } from './refs.js';
import type { StoreReader } from './store-reader.js';
import { withTemporaryFolder } from './temporary.js';

/** Model that versions belong to unless told otherwise. */
export const DEFAULT_MODEL = 'main';

/** @throws as encode; ConflictError where another writer committed to the model first; NotFoundError for a base */
export async function commitVersion(
  reader: StoreReader,
  path: string,
  options: CommitOptions,
): Promise<CommitReport> {
  const started = performance.now();
  const { backend } = reader;
  const model = options.model ?? DEFAULT_MODEL;
  assertName('model', model);
  const head = (await readRef(backend, 'model', model))?.id;
  const parent = await parentOf(reader, options.parent, head);
  const plan = await chooseReference(reader, path, parent, options);
  const { description, candidates, base, reference, sketch, squaredResidual, directRatio } = plan;
  options.onEvent?.({ kind: 'reference-chosen', reference: description, candidates });
  const sideFiles = options.sideFiles === false ? [] : await readSideFiles(path);
  return withTemporaryFolder(backend, async (folder) => {
    const output = join(folder, 'version.ere');
    const encoded = await encodeAgainst(reader, path, { plan, parent, folder, output, options });
    const direct = directRatio * encoded.fineTunedByteLength;
    const recorded = await withSharedLock(backend, options, (lock) =>
      withArchive(output, (archive) =>
        recordVersion(reader, {
          lock,
          archive,
          model,
          message: options.message,
          parent: parent?.id,
          head,
          base,
          reference,
          sideFiles,
          sketch,
          directByteLength: reference === undefined ? undefined : direct,
          squaredResidual,
        }),
      ),
    );
    const { version, addedByteLength, sharedTensorCount } = recorded;
    return {
      version: summaryOf(version),
      addedByteLength,
      ratio: addedByteLength / encoded.fineTunedByteLength,
      sharedTensorCount,
      candidates,
      warnings: encoded.warnings,
      durationMs: performance.now() - started,
    };
  });
}

/** The version that a new one follows: as asked, else the model's newest. */
export async function parentOf(
  reader: StoreReader,
  parent: CommitOptions['parent'],
  head: StoredVersion['id'] | undefined,
): Promise<StoredVersion | undefined> {
  if (parent === null) return undefined;
  if (parent !== undefined) return reader.resolve(parent);
  // The newest may have been removed: its history goes on.
  return head === undefined ? undefined : reader.findLiving(head);
}

interface EncodeTask {
  readonly plan: Plan;
  readonly parent: StoredVersion | undefined;
  /** Room for the decoded reference. */
  readonly folder: string;
  readonly output: string;
  readonly options: CommitOptions;
}

async function encodeAgainst(
  reader: StoreReader,
  path: string,
  { plan: { reference, base }, parent, folder, output, options }: EncodeTask,
): Promise<EncodeReport> {
  const basePath = options.basePath === undefined ? {} : { basePath: options.basePath };
  const decoded = join(folder, 'reference');
  if (reference !== undefined) {
    const checkout = { ...commonOptions(options), ...basePath, output: decoded, sideFiles: false };
    await checkoutVersion(reader, reference, checkout);
  }
  return encode(path, {
    ...commonOptions(options),
    ...codingOptions(options, parent),
    base: reference === undefined ? await basePathOf(reader, base, folder, options) : decoded,
    baseName: base.ref.name,
    sideFiles: false,
    output,
  });
}

async function readSideFiles(path: string): Promise<SideFileContent[]> {
  const checkpoint = await openCheckpoint(path);
  try {
    return await Promise.all(
      checkpoint.sideFiles.map(async (file) => ({ path: file.path, bytes: await file.read() })),
    );
  } finally {
    await checkpoint.close();
  }
}

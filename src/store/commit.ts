/**
 * commit: a checkpoint as a version, coded against the base or another version, whichever costs least
 * (docs/spec/store.md §7).
 */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { serializeSketch } from '../../formats/sketch/serialize-sketch.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import type { EncodeReport } from '../residual/api.js';
import { decode } from '../residual/decode.js';
import { encode } from '../residual/encode.js';
import type { CommitOptions, CommitReport } from './api.js';
import { basePathOf } from './base-path.js';
import { checkoutVersion, commonOptions } from './checkout.js';
import { chooseReference, type Plan } from './choose-reference.js';
import { codingOptions } from './coding-options.js';
import { digestFiles, sketchPath } from './describe-checkpoint.js';
import { assertName } from './layout.js';
import { withSharedLock } from './locks.js';
import { type StoredVersion, summaryOf } from './manifest.js';
import { type RecordInput, recordVersion, type SideFileContent, withArchive } from './record-version.js';
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
  const { description, candidates, base, reference, squaredResidual, directRatio } = plan;
  options.onEvent?.({ kind: 'reference-chosen', reference: description, candidates });
  const sideFiles = options.sideFiles === false ? [] : await readSideFiles(path);
  return withTemporaryFolder(backend, async (folder) => {
    const output = join(folder, 'version.ere');
    const { encoded, against } = await encodeAgainst(reader, path, { plan, parent, folder, output, options });
    const decoded = await describeDecoded(path, { plan, archive: output, against, folder, options });
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
          ...decoded,
          step: encoded.step,
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
): Promise<{ readonly encoded: EncodeReport; readonly against: string }> {
  const basePath = options.basePath === undefined ? {} : { basePath: options.basePath };
  const decoded = join(folder, 'reference');
  if (reference !== undefined) {
    const checkout = { ...commonOptions(options), ...basePath, output: decoded, sideFiles: false };
    await checkoutVersion(reader, reference, checkout);
  }
  const against = reference === undefined ? await basePathOf(reader, base, folder, options) : decoded;
  const encoded = await encode(path, {
    ...commonOptions(options),
    ...codingOptions(options, parent),
    // That a version is of the same base was seen before it was chosen.
    ...(reference === undefined ? {} : { force: true }),
    base: against,
    baseName: base.ref.name,
    sideFiles: false,
    output,
  });
  return { encoded, against };
}

interface DecodedTask extends Pick<EncodeTask, 'plan' | 'folder' | 'options'> {
  readonly archive: string;
  /** Path of what it is coded against. */
  readonly against: string;
}

/** Of what the version decodes to: others will be coded against that, and it is what a checkout writes. */
async function describeDecoded(
  path: string,
  { plan, archive, against, folder, options }: DecodedTask,
): Promise<Pick<RecordInput, 'sketch' | 'fileDigests'>> {
  const isExact = await withArchive(archive, async ({ index }) =>
    index.tensors.every(({ quality }) => quality === undefined),
  );
  if (isExact) {
    return { sketch: await serializeSketch(plan.sketch), fileDigests: await digestFiles(path, options) };
  }
  const output = join(folder, 'decoded');
  await decode(archive, { ...commonOptions(options), base: against, output, sideFiles: false });
  const sketch = await serializeSketch(await sketchPath(output, options));
  const fileDigests = await digestFiles(output, options);
  await rm(output, { recursive: true });
  return { sketch, fileDigests };
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

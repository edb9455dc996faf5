/** verify: that an archive is whole, and with a base, that it decodes to what it promises. Writes nothing. */
import { resolve } from 'node:path';
import { type Archive, openArchive } from '../../formats/ere/open-archive.js';
import { KNOWN_CODECS } from '../codecs/known-codecs.js';
import { openFileSource } from '../io/file-source.js';
import { inflateAtOnce } from '../io/inflate-at-once.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import type { VerifyOptions, VerifyReport } from './api.js';
import { assertIdentity } from './archive-identity.js';
import { readArchiveLayout } from './archive-layout.js';
import { ChunkRooms } from './chunk-rooms.js';
import type { Comparison } from './compare-decoded.js';
import { decodeArchive, fileWorkers, type Placement } from './decode-archive.js';
import { assertCommonOptions } from './encode-options.js';
import { selectUsable } from './select-tensors.js';

/**
 * Checks every chunk; with `options.base` also every base and decoded tensor, at the lossy level too where exact
 * terms stand on top; with `options.against` compares what is decoded with that checkpoint.
 * @throws EreError as decode; TypeError when `against` is given without `base`
 */
export async function verify(archive: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  assertCommonOptions(options);
  if (options.against !== undefined && options.base === undefined) {
    throw new TypeError('expected a base with against, got none');
  }
  const source = await openFileSource(archive);
  try {
    const opened = await openArchive(source, { codecs: KNOWN_CODECS, inflate: inflateAtOnce });
    await verifyChunks(opened);
    await assertIdentity(opened);
    const chunkCount = opened.index.chunks.length;
    if (options.base === undefined)
      return { chunkCount, baseTensorCount: 0, decodedTensorCount: 0, lossyTensorCount: 0 };
    const comparisons = await verifyDecode(opened, archive, options.base, options);
    const { tensors } = opened.index;
    return {
      chunkCount,
      baseTensorCount: tensors.filter((tensor) => tensor.base !== undefined).length,
      decodedTensorCount: tensors.length,
      lossyTensorCount: tensors.filter((tensor) => tensor.lossy !== undefined).length,
      ...(options.against === undefined ? {} : { comparison: summarize(comparisons) }),
    };
  } finally {
    await source.close();
  }
}

async function verifyChunks(archive: Archive): Promise<void> {
  const rooms = new ChunkRooms(archive);
  for (let chunk = 0; chunk < archive.index.chunks.length; chunk++) rooms.release(await rooms.read(chunk));
  await readArchiveLayout(archive);
  for (const { content } of archive.index.sideFiles)
    if (content !== undefined) await archive.readBlob(content);
}

async function verifyDecode(
  archive: Archive,
  path: string,
  basePath: string,
  options: VerifyOptions,
): Promise<(Comparison | undefined)[]> {
  const base = await openCheckpoint(basePath);
  try {
    const place = (tensor: number): Placement => ({ tensor, output: undefined, outputOffset: 0 });
    const input = {
      archive,
      base,
      workers: fileWorkers(path, archive, basePath),
      outputs: [],
      phase: 'verify',
      checkBase: true,
      options,
    } as const;
    const { tensors } = archive.index;
    const refined = tensors.flatMap(({ lossy }, i) => (lossy === undefined ? [] : [place(i)]));
    if (refined.length > 0) {
      await decodeArchive({ ...input, selection: selectUsable(archive, 'lossy'), placements: refined });
    }
    const results = await decodeArchive({
      ...input,
      selection: selectUsable(archive, 'best'),
      placements: tensors.map((_, i) => place(i)),
      ...(options.against === undefined ? {} : { against: resolve(options.against) }),
    });
    return results.map(({ comparison }) => comparison);
  } finally {
    await base.close();
  }
}

function summarize(
  comparisons: readonly (Comparison | undefined)[],
): NonNullable<VerifyReport['comparison']> {
  const known = comparisons.filter((comparison) => comparison !== undefined);
  const equalCount = known.filter((comparison) => comparison.isEqual).length;
  const squaredDistance = known.reduce((sum, comparison) => sum + comparison.squaredDistance, 0);
  const squaredResidual = known.reduce((sum, comparison) => sum + comparison.squaredResidual, 0);
  return {
    equalCount,
    differentCount: known.length - equalCount,
    relativeError: squaredResidual === 0 ? 0 : Math.sqrt(squaredDistance / squaredResidual),
  };
}

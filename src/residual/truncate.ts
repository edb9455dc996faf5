/**
 * truncate: the first part of an archive as an archive of its own. Nothing is coded anew; chunks are copied,
 * and the index is written for what is left.
 */
import type { Checkpoint } from '../../formats/checkpoint.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import { cutArchive, cutRecord } from '../../formats/ere/cut-archive.js';
import { decodedIdentities } from '../../formats/ere/levels.js';
import { type Archive, openArchive } from '../../formats/ere/open-archive.js';
import { type ArchiveLayout, layoutArchive } from '../../formats/ere/write-archive.js';
import { BudgetError, UnsupportedError } from '../../formats/errors.js';
import { KNOWN_CODECS } from '../codecs/known-codecs.js';
import { withAtomicFile } from '../io/atomic-output.js';
import { openFileSource } from '../io/file-source.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import { PACKAGE_NAME, PACKAGE_VERSION } from '../version.js';
import type { TruncateOptions, TruncateReport } from './api.js';
import { INDEX_SLACK } from './budget-search.js';
import { decodeArchive, fileWorkers } from './decode-archive.js';
import { assertCommonOptions } from './encode-options.js';
import {
  lossOf,
  qualityOf,
  type SelectedTensor,
  type Selection,
  selectTensor,
  selectTensors,
  selectUsable,
} from './select-tensors.js';
import { firstUsableChunkCount } from './usable-prefixes.js';

/** What a truncated archive consists of. */
interface Cut {
  readonly selection: Selection;
  readonly cuts: readonly SelectedTensor[];
  /** Chunks of the original, in the order of the new archive. */
  readonly chunks: readonly number[];
  readonly layout: ArchiveLayout;
}

/**
 * Writes the first part of `archive` as a valid archive: the longest prefix of its chunks that fits `options.to`
 * bytes with its new index, or the lossy level below exact terms. Losses of tensors that are cut are estimated
 * from what the encoder recorded, and said to be; their digests come from decoding them.
 * @throws TypeError for a length without a base; BudgetError when no usable prefix is as short; UnsupportedError
 * for 'lossy' where nothing stands on top of it; otherwise as decode. Nothing is written then.
 */
export async function truncate(archive: string, options: TruncateOptions): Promise<TruncateReport> {
  const started = performance.now();
  assertTruncateOptions(options);
  const source = await openFileSource(archive);
  try {
    const opened = await openArchive(source, { codecs: KNOWN_CODECS });
    const base = options.base === undefined ? undefined : await openCheckpoint(options.base);
    try {
      const outputOptions = {
        overwrite: options.overwrite ?? false,
        inputs: options.base === undefined ? [archive] : [archive, options.base],
        signal: options.signal,
      };
      return await withAtomicFile(options.output, outputOptions, async (file) => {
        const cut =
          options.to === 'lossy'
            ? await cutToLossy(opened)
            : await cutToByteLength(opened, archive, base!, options.to, options);
        await file.write(cut.layout.front);
        for (const chunk of cut.chunks) await file.write(await opened.readChunk(chunk));
        return {
          output: options.output,
          byteLength: cut.layout.byteLength,
          originalByteLength: opened.byteLength,
          quality: qualityOf(cut.cuts),
          loss: lossOf(cut.cuts, opened.index.decoded.squaredResidual),
          digest: cut.layout.index.decoded.digest,
          durationMs: performance.now() - started,
        };
      });
    } finally {
      await base?.close();
    }
  } finally {
    await source.close();
  }
}

function assertTruncateOptions({ to, base, ...options }: TruncateOptions): void {
  assertCommonOptions(options);
  if (to === 'lossy') return;
  if (!Number.isSafeInteger(to) || to < 1)
    throw new RangeError(`expected to be 'lossy' or a length of at least 1 byte, got ${to}`);
  if (base === undefined) throw new TypeError('expected a base with a length to truncate to, got none');
}

async function cutToLossy(archive: Archive): Promise<Cut> {
  const { index, source } = archive;
  if (index.decoded.lossyDigest === undefined) {
    throw new UnsupportedError(
      'lossy level of an archive without one',
      `${source.name} has no exact terms on top of lossy ones, so there is nothing to leave out; ` +
        'expected an archive encoded with --exact-on-top',
    );
  }
  return layOut(archive, { level: 'lossy', chunkCount: index.chunks.length });
}

async function cutToByteLength(
  archive: Archive,
  path: string,
  base: Checkpoint,
  asked: number,
  options: TruncateOptions,
): Promise<Cut> {
  if (archive.byteLength <= asked) return wholeArchive(archive);
  for (let free = asked; ; ) {
    const { selection, cuts } = await longestCut(archive, free, asked);
    const cut = await layOut(
      archive,
      selection,
      await decodeCut(archive, path, base, selection, cuts, options),
    );
    const excess = cut.layout.byteLength - asked;
    if (excess <= 0) return cut;
    // Other digests deflate to some bytes more or less.
    free -= excess + INDEX_SLACK;
  }
}

async function wholeArchive(archive: Archive): Promise<Cut> {
  const { index, byteLength, source } = archive;
  const selection = selectUsable(archive, 'best');
  return {
    selection,
    cuts: selectTensors(index, selection)!,
    chunks: index.chunks.map((_, i) => i),
    layout: { front: await source.read(0, archive.chunkOffset(0)), byteLength, index },
  };
}

/** The most chunks whose archive is at most `byteLength` long. */
async function longestCut(archive: Archive, byteLength: number, asked: number): Promise<Cut> {
  const at = (chunkCount: number): Promise<Cut> => layOut(archive, { level: 'best', chunkCount });
  let low = firstUsableChunkCount(archive);
  let best = await at(low);
  if (best.layout.byteLength > byteLength) {
    throw new BudgetError(
      `the shortest usable prefix of ${archive.source.name} makes an archive of ${best.layout.byteLength} bytes (headers, ` +
        `index, side files and what is stored exactly), which is over the asked ${asked}; ask for more`,
      asked,
      best.layout.byteLength,
    );
  }
  let high = archive.index.chunks.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    const cut = await at(middle);
    if (cut.layout.byteLength <= byteLength) {
      best = cut;
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return best;
}

/**
 * The archive of what a selection reaches.
 * @param digests of tensors that are cut inside their terms, by number; those of the whole tensors stand in for
 * them, as long as only the length matters
 */
async function layOut(
  { index, source }: Archive,
  selection: Selection,
  digests: ReadonlyMap<number, Digest> = new Map(),
): Promise<Cut> {
  const cuts = index.tensors.map((_, i) => selectTensor({ index, source }, i, selection));
  const records = cuts.map((cut, i) => cutRecord(cut, digests.get(i)));
  const { description, chunks } = cutArchive(index, records, await decodedIdentities(records));
  const layout = await layoutArchive(
    { ...description, generator: `${PACKAGE_NAME} ${PACKAGE_VERSION}` },
    chunks.map((chunk) => ({ byteLength: index.chunks[chunk]![0], crc32: index.chunks[chunk]![1] })),
  );
  return { selection, cuts, chunks, layout };
}

/** Digests of the tensors that are cut inside their terms. */
async function decodeCut(
  archive: Archive,
  path: string,
  base: Checkpoint,
  selection: Selection,
  cuts: readonly SelectedTensor[],
  options: TruncateOptions,
): Promise<Map<number, Digest>> {
  const tensors = cuts.flatMap(({ digest }, i) => (digest === undefined ? [i] : []));
  if (tensors.length === 0) return new Map();
  const results = await decodeArchive({
    archive,
    base,
    workers: fileWorkers(path, archive, options.base!),
    selection,
    outputs: [],
    placements: tensors.map((tensor) => ({ tensor, output: undefined, outputOffset: 0 })),
    phase: 'decode',
    options,
  });
  return new Map(tensors.map((tensor, i) => [tensor, results[i]!.digest]));
}

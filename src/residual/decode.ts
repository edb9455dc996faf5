/** decode: an archive and its base to the full checkpoint, bit for bit as the encoder saw it, or nothing. */
import { resolve } from 'node:path';
import type { ByteSource } from '../../formats/byte-source.js';
import type { Checkpoint } from '../../formats/checkpoint.js';
import { tensorByteLength } from '../../formats/dtype.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import { checkpointIdentity } from '../../formats/ere/identity.js';
import { bestLevel } from '../../formats/ere/levels.js';
import { type Archive, openArchive } from '../../formats/ere/open-archive.js';
import { FormatError, UnsupportedError } from '../../formats/errors.js';
import { serializeSafetensorsHeader } from '../../formats/safetensors/serialize-header.js';
import { KNOWN_CODECS } from '../codecs/known-codecs.js';
import { withAtomicFile, withAtomicFolder } from '../io/atomic-output.js';
import { openFileSource } from '../io/file-source.js';
import { flushAhead } from '../io/flush-ahead.js';
import type { GrowingFile } from '../io/growing-file.js';
import { inflateAtOnce } from '../io/inflate-at-once.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import type { OutputFile } from '../io/output-file.js';
import type { StartedThreads } from '../io/worker-pool.js';
import type { DecodeOptions, DecodeReport, Progress } from './api.js';
import { type ArchiveLayout, readArchiveLayout } from './archive-layout.js';
import {
  type DecodeWorkers,
  decodeArchive,
  fileWorkers,
  type Placement,
  startFileWorkers,
} from './decode-archive.js';
import { assertDecodeOptions } from './decode-options.js';
import { findTensors } from './find-tensors.js';
import { readSideFile } from './read-side-file.js';
import { lossOf, qualityOf, type Selection, selectTensor, selectUsable } from './select-tensors.js';

/** What is decoded, from what, into what. */
export interface DecodeInputs {
  readonly archive: Archive;
  readonly base: Checkpoint;
  readonly workers: DecodeWorkers;
  /** Files and folders that the output must not replace. */
  readonly inputPaths: readonly string[];
  readonly layout: ArchiveLayout;
  readonly selection: Selection;
  readonly options: Omit<DecodeOptions, 'base'>;
}

/**
 * Rebuilds the fine-tuned checkpoint of `archive` into `options.output`: a folder with weight files of
 * the original layout and side files, or one .safetensors file; or only `options.tensors`. Every base and
 * decoded tensor is checked against its digest; with `partial`, what a cut file holds in part has none.
 * @throws EreError: FormatError or IntegrityError for a damaged or cut archive, UnsupportedError for one of another
 * version or without the asked quality, CheckpointMismatchError for a wrong base, ConflictError for an output that exists. Nothing is written then.
 */
export async function decode(archive: string, options: DecodeOptions): Promise<DecodeReport> {
  const started = performance.now();
  assertDecodeOptions(options);
  const source = await openFileSource(archive);
  // They load while the archive is read. A few tensors may need none.
  const threads = options.tensors === undefined ? startFileWorkers(source, options) : undefined;
  try {
    return await decodeFile({ file: archive, source, started, threads }, options);
  } finally {
    threads?.close();
    await source.close();
  }
}

/**
 * As `decode`, while the archive is still being written: every tensor as soon as what it needs is there. The output
 * appears when the file is whole.
 * @throws also what the writer ended with
 */
export async function decodeGrowing(file: GrowingFile, options: DecodeOptions): Promise<DecodeReport> {
  const started = performance.now();
  assertDecodeOptions(options);
  return decodeFile({ file, source: file.source(), started }, options);
}

interface ArchiveFile {
  readonly file: string | GrowingFile;
  readonly source: ByteSource;
  readonly started: number;
  readonly threads?: StartedThreads | undefined;
}

async function decodeFile(
  { file, source, started, threads }: ArchiveFile,
  options: DecodeOptions,
): Promise<DecodeReport> {
  const archive = await openArchive(source, {
    codecs: KNOWN_CODECS,
    allowTruncated: true,
    inflate: inflateAtOnce,
  });
  if (archive.isTruncated && options.partial !== true) throw truncatedError(archive);
  const selection = selectUsable(archive, options.quality === 'lossy' ? 'lossy' : 'best');
  const numbers =
    options.tensors === undefined
      ? archive.index.tensors.map((_, i) => i)
      : findTensors(archive, options.tensors);
  const cuts = numbers.map((number) => selectTensor(archive, number, selection));
  const quality = qualityOf(cuts);
  assertQuality(archive, quality, options);
  const base = await openCheckpoint(options.base);
  try {
    const inputs: DecodeInputs = {
      archive,
      base,
      workers: { ...fileWorkers(file, archive, options.base), started: threads },
      inputPaths: [source.name, options.base],
      layout: await readArchiveLayout(archive),
      selection,
      options,
    };
    const written = await decodeOutput(inputs, numbers);
    return {
      output: options.output,
      ...written,
      quality,
      loss: lossOf(cuts, options.tensors === undefined ? archive.index.decoded.squaredResidual : undefined),
      incompleteTensorCount: cuts.filter(({ digest }) => digest === undefined).length,
      durationMs: performance.now() - started,
    };
  } finally {
    await base.close();
  }
}

function truncatedError({ source, byteLength }: Archive): FormatError {
  const message = `truncated: expected ${byteLength} bytes, found ${source.byteLength}; fetch the rest, or decode what is there with the option partial`;
  return new FormatError('ere', message, { file: source.name });
}

/** @throws UnsupportedError, FormatError when 'exact' was asked for and is not there */
function assertQuality(
  { index, source }: Archive,
  found: DecodeReport['quality'],
  options: DecodeOptions,
): void {
  if (options.quality !== 'exact' || found === 'exact') return;
  if (bestLevel(index) === 'exact') {
    throw new FormatError('ere', 'truncated: some exact terms lie behind the cut; ask for lossy quality', {
      file: source.name,
    });
  }
  throw new UnsupportedError(
    'exact quality of a lossy archive',
    `${source.name} is lossy and has no exact terms on top, so it cannot be decoded to exact quality; ` +
      'decode it as lossy, or encode the fine-tune again with exactOnTop or lossless',
  );
}

function outputOptions({ inputPaths, options }: DecodeInputs) {
  return { overwrite: options.overwrite ?? false, inputs: inputPaths, signal: options.signal };
}

export type Written = Pick<DecodeReport, 'files' | 'tensorCount' | 'byteLength' | 'digest'>;

/** Files that hold a whole checkpoint, and its identity. */
type WrittenCheckpoint = Pick<Written, 'files' | 'digest'>;

/** Writes the output that the options ask for: all of the archive, or the tensors of these numbers. */
export async function decodeOutput(inputs: DecodeInputs, numbers: readonly number[]): Promise<Written> {
  const { archive, options } = inputs;
  if (options.tensors !== undefined) return decodeParts(inputs, numbers);
  const { files, tensors } = archive.index;
  const written = options.output.endsWith('.safetensors')
    ? await decodeToFile(inputs)
    : await decodeToFolder(inputs);
  const byteLength = files.reduce((sum, file) => sum + file.byteLength, 0);
  return { ...written, tensorCount: tensors.length, byteLength };
}

async function decodeToFile(inputs: DecodeInputs): Promise<WrittenCheckpoint> {
  const { archive, options } = inputs;
  const { files } = archive.index;
  if (files.length !== 1) {
    throw new UnsupportedError(
      'several weight files in one output',
      `${archive.source.name} decodes to ${files.length} weight files; expected a folder as output, found ${options.output}`,
    );
  }
  const digest = await withAtomicFile(options.output, outputOptions(inputs), (file) =>
    writeWeights(inputs, [file]),
  );
  return { files: [options.output], digest };
}

/** Some tensors alone, in one .safetensors file, in the archive's order. */
async function decodeParts(inputs: DecodeInputs, numbers: readonly number[]): Promise<Written> {
  const { archive, base, workers, selection, options } = inputs;
  const header = serializeSafetensorsHeader(numbers.map((number) => archive.index.tensors[number]!));
  let end = header.byteLength;
  const placements = numbers.map((tensor): Placement => {
    const outputOffset = end;
    const { dtype, shape } = archive.index.tensors[tensor]!;
    end += tensorByteLength(dtype, shape)!;
    return { tensor, output: 0, outputOffset };
  });
  await withAtomicFile(options.output, outputOptions(inputs), async (file) => {
    await file.truncate(end);
    await file.writeAt(0, header);
    const outputs = [resolve(file.path)];
    await decodeArchive({
      archive,
      base,
      workers,
      outputs,
      placements,
      selection,
      phase: 'decode',
      options,
    });
  });
  return { files: [options.output], tensorCount: numbers.length, byteLength: end, digest: undefined };
}

async function decodeToFolder(inputs: DecodeInputs): Promise<WrittenCheckpoint> {
  const { archive, options } = inputs;
  const { files, sideFiles } = archive.index;
  return withAtomicFolder(options.output, outputOptions(inputs), async (folder) => {
    const written: string[] = [];
    if (options.sideFiles !== false) {
      // First: they are quick to check, and a missing one should not show after an hour of decoding.
      for (const file of sideFiles) {
        const bytes = await readSideFile(inputs, file);
        await (await folder.createFile(file.path)).write(bytes);
        written.push(file.path);
      }
    }
    const weights: OutputFile[] = [];
    for (const file of files) weights.push(await folder.createFile(file.path));
    const digest = await writeWeights(inputs, weights);
    return { files: [...files.map((file) => file.path), ...written], digest };
  });
}

/** @returns the identity of the decoded checkpoint */
async function writeWeights(inputs: DecodeInputs, files: readonly OutputFile[]): Promise<Digest> {
  const { archive, layout, selection, options, base, workers } = inputs;
  for (const [i, file] of files.entries()) {
    await file.truncate(archive.index.files[i]!.byteLength);
    await file.writeAt(0, layout.headers[i]!);
  }
  const outputs = files.map((file) => resolve(file.path));
  const { placements } = layout;
  const ahead = flushAhead(files);
  const onProgress = (progress: Progress): void => {
    ahead.wrote(progress.doneByteLength);
    options.onProgress?.(progress);
  };
  const results = await decodeArchive({
    archive,
    base,
    workers,
    outputs,
    placements,
    selection,
    phase: 'decode',
    options: { ...options, onProgress },
  }).finally(() => ahead.settle());
  const { tensors } = archive.index;
  return checkpointIdentity(
    placements.map(({ tensor }, i) => ({ ...tensors[tensor]!, digest: results[i]!.digest })),
  );
}

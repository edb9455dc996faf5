/**
 * encode: a fine-tuned checkpoint as an archive of residuals against its base (arXiv 2305.18425).
 * Pair, analyse, allocate, encode, decode back, assemble; the output appears whole or not at all.
 */
import { resolve } from 'node:path';
import { AbortedError, BudgetError, IoError, isEreError } from '../../formats/errors.js';
import { withAtomicFile } from '../io/atomic-output.js';
import { nodeRuntime } from '../io/node-runtime.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import { journalPath, openTensorJournal, type TensorJournalOptions } from '../io/tensor-journal.js';
import type { EncodeEstimate, EncodeOptions, EncodeReport } from './api.js';
import { basePaths, type ChosenBase, chooseBase } from './choose-base.js';
import { type EncodeInputs, encodeArchive, predictArchive } from './encode-archive.js';
import { assertEncodeOptions, strategyOf, weightByteLength } from './encode-options.js';
import { readImportance } from './importance.js';
import { assertPaired, pairTensors, prefixWarnings } from './pair-tensors.js';
import { assertRelated, sampleRelativeResidual } from './relatedness.js';
import { chosenBase, encodeReport, relativeErrorOf } from './reports.js';
import type { TensorStore } from './stored-chunks.js';

/**
 * Encodes `fineTuned` (a model folder, an index.json or one .safetensors file) against `options.base`
 * into `options.output`. The achieved size is never over the asked one, nor the error over the asked error.
 * @throws EreError: CheckpointMismatchError for a wrong base, BudgetError for a budget out of reach or an error above `failAbove`,
 * FormatError for malformed input, ConflictError for an output that exists; TypeError or RangeError for
 * options out of range. Nothing is written then.
 */
export async function encode(fineTuned: string, options: EncodeOptions): Promise<EncodeReport> {
  return encodeJournaled(fineTuned, options, {});
}

/** `encode`, and when finished tensors begin to go to the disk: small models would never leave any. */
export async function encodeJournaled(
  fineTuned: string,
  options: EncodeOptions,
  journal: Pick<TensorJournalOptions, 'memoryByteLimit'>,
): Promise<EncodeReport> {
  const started = performance.now();
  return withInputs(fineTuned, options, async (inputs, chosen) => {
    const outputOptions = {
      overwrite: options.overwrite ?? false,
      inputs: [...basePaths(options), fineTuned],
      signal: options.signal,
    };
    return withAtomicFile(options.output, outputOptions, async (file) => {
      const warnings = await checkBase(inputs, chosen);
      return withJournal(inputs, journal, async (store) => {
        const encoded = await encodeArchive({ ...inputs, store });
        assertError(relativeErrorOf(encoded.tensors), options.failAbove, options.output);
        await file.write(encoded.layout.front);
        for (const chunk of encoded.chunks) await file.write(await chunk.read());
        return encodeReport({ inputs, chosen }, encoded, warnings, performance.now() - started);
      });
    });
  });
}

/**
 * What `encode` with the same options is expected to write: sizes and errors from spectra and samples, in a small part
 * of its time. Nothing is written, and `output` need not be possible.
 * @throws as encode, but for BudgetErrors that only coding shows
 */
export async function estimateEncode(fineTuned: string, options: EncodeOptions): Promise<EncodeEstimate> {
  const started = performance.now();
  return withInputs(fineTuned, options, async (inputs, chosen) => {
    const warnings = await checkBase(inputs, chosen);
    const predicted = await predictArchive(inputs);
    const fineTunedByteLength = weightByteLength(inputs.fineTuned);
    const { byteLength, lossy, squaredResidual, gemm } = predicted;
    const relative = ({ squaredError }: { readonly squaredError: number }): number =>
      squaredResidual === 0 ? 0 : Math.sqrt(squaredError / squaredResidual);
    return {
      ...chosenBase(chosen),
      archiveByteLength: Math.round(byteLength),
      fineTunedByteLength,
      ratio: byteLength / fineTunedByteLength,
      relativeError: relative(predicted),
      ...(lossy === undefined
        ? {}
        : {
            lossy: {
              byteLength: Math.round(lossy.byteLength),
              ratio: lossy.byteLength / fineTunedByteLength,
              relativeError: relative(lossy),
            },
          }),
      allocation: options.lossless === true ? 'lossless' : strategyOf(options),
      warnings: [...warnings, ...gemm.warnings],
      gemmEngine: gemm.engine,
      durationMs: performance.now() - started,
    };
  });
}

/** Checks the options, opens and pairs both checkpoints, and closes them whatever happens. */
async function withInputs<T>(
  fineTuned: string,
  options: EncodeOptions,
  use: (inputs: EncodeInputs, chosen: ChosenBase) => Promise<T>,
): Promise<T> {
  assertEncodeOptions(options);
  const runtime = nodeRuntime(options.kernels ?? 'wasm');
  const tuned = await openCheckpoint(fineTuned);
  try {
    const chosen = await chooseBase(tuned, runtime, options);
    const base = chosen.checkpoint;
    try {
      const pairing = pairTensors(base, tuned);
      const importance =
        options.importance && (await readImportance(options.importance, pairing.pairs, runtime.kernels));
      const inputs = {
        base,
        basePath: resolve(chosen.path),
        fineTuned: tuned,
        fineTunedPath: resolve(fineTuned),
        pairing,
        runtime,
        ...(importance ? { importance } : {}),
        options,
      };
      return await use(inputs, chosen);
    } finally {
      await base.close();
    }
  } finally {
    await tuned.close();
  }
}

/** Finished tensors wait beside the output; an interrupted run leaves them there, any other end takes them away. */
async function withJournal<T>(
  { options, importance, runtime }: EncodeInputs,
  { memoryByteLimit }: Pick<TensorJournalOptions, 'memoryByteLimit'>,
  use: (store: TensorStore) => Promise<T>,
): Promise<T> {
  const hash = runtime.createHasher();
  for (const [name, weights] of importance ?? []) {
    hash.update(new TextEncoder().encode(name));
    hash.update(new Uint8Array(weights.buffer, weights.byteOffset, weights.byteLength));
  }
  const path = journalPath(options.output);
  const journal = await openTensorJournal(path, {
    resume: options.resume ?? false,
    overwrite: options.overwrite ?? false,
    salt: `${hash.digest()} ${options.gemm ?? 'auto'} ${options.device ?? 'cpu'}`,
    ...(memoryByteLimit === undefined ? {} : { memoryByteLimit }),
  });
  let result: T;
  try {
    result = await use(journal);
  } catch (error) {
    if (!journal.isKept || isRefusal(error, options.signal)) {
      await journal.remove().catch(() => {}); // The first error is the one to tell.
      throw error;
    }
    await journal.close().catch(() => {});
    throw withUnfinished(error, path, options.signal);
  }
  await journal.remove();
  return result;
}

/** Whether another run would end as this one did. */
function isRefusal(error: unknown, signal: AbortSignal | undefined): boolean {
  if (signal?.aborted === true) return false;
  return isEreError(error) && !isEreError(error, 'ERE_ABORTED', 'ERE_IO');
}

/** The error with what the run has left, where it is one of ERE's own. */
function withUnfinished(error: unknown, path: string, signal: AbortSignal | undefined): unknown {
  const left = `finished tensors are in ${path}: continue with resume, or remove it`;
  if (signal?.aborted === true) {
    return new AbortedError(`aborted; ${left}`, path, { cause: error });
  }
  return isEreError(error, 'ERE_IO') ? new IoError(`${error.message}; ${left}`, { cause: error }) : error;
}

/** @throws BudgetError when the error reached is above the one that the caller accepts. */
function assertError(reached: number, accepted: number | undefined, output: string): void {
  if (accepted === undefined || reached <= accepted) return;
  throw new BudgetError(
    `${output} is not written: its relative error would be ${reached.toPrecision(4)}, above the accepted ${accepted}; ` +
      'allow more bytes or a larger error',
    accepted,
    reached,
  );
}

/**
 * Warnings for the user.
 * @throws CheckpointMismatchError for a base that does not belong; with `force` that becomes a warning.
 */
async function checkBase(
  { base, fineTuned, pairing, runtime, options }: EncodeInputs,
  chosen: ChosenBase,
): Promise<string[]> {
  const warnings = [
    ...prefixWarnings(pairing),
    ...pairing.shapeConflicts.map(
      (conflict) => `${conflict}: the base tensor cannot be used, so the tensor is stored whole`,
    ),
    ...chosen.warnings,
  ];
  try {
    assertPaired(pairing, base, fineTuned);
    assertRelated(await sampleRelativeResidual(pairing, base, fineTuned, runtime), base, fineTuned);
  } catch (error) {
    if (!options.force || !(error instanceof Error)) throw error;
    warnings.push(`forced although ${error.message}`);
  }
  return warnings;
}

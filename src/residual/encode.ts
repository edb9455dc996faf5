/**
 * encode: a fine-tuned checkpoint as an archive of residuals against its base (arXiv 2305.18425).
 * Pair, analyse, allocate, encode, decode back, assemble; the output appears whole or not at all.
 */
import { resolve } from 'node:path';
import { BudgetError, EreError, isEreError } from '../../formats/errors.js';
import { withAtomicFile } from '../io/atomic-output.js';
import { nodeRuntime } from '../io/node-runtime.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import { journalPath, openTensorJournal } from '../io/tensor-journal.js';
import type { EncodeEstimate, EncodeOptions, EncodeReport } from './api.js';
import { type EncodeInputs, encodeArchive, predictArchive } from './encode-archive.js';
import { assertEncodeOptions, strategyOf, weightByteLength } from './encode-options.js';
import { readImportance } from './importance.js';
import { assertPaired, pairTensors } from './pair-tensors.js';
import { assertRelated, sampleRelativeResidual } from './relatedness.js';
import { encodeReport, relativeErrorOf } from './reports.js';
import type { TensorStore } from './stored-chunks.js';

/**
 * Encodes `fineTuned` (a model folder, an index.json or one .safetensors file) against `options.base`
 * into `options.output`. The achieved size is never over the asked one, nor the error over the asked error.
 * @throws EreError: CheckpointMismatchError for a wrong base, BudgetError for a budget out of reach or an error above `failAbove`,
 * FormatError for malformed input, ConflictError for an output that exists; TypeError or RangeError for
 * options out of range. Nothing is written then.
 */
export async function encode(fineTuned: string, options: EncodeOptions): Promise<EncodeReport> {
  const started = performance.now();
  return withInputs(fineTuned, options, async (inputs) => {
    const outputOptions = {
      overwrite: options.overwrite ?? false,
      inputs: [options.base, fineTuned],
      signal: options.signal,
    };
    return withAtomicFile(options.output, outputOptions, async (file) => {
      const warnings = await checkBase(inputs);
      return withJournal(inputs, async (store) => {
        const encoded = await encodeArchive({ ...inputs, store });
        assertError(relativeErrorOf(encoded.tensors), options.failAbove, options.output);
        await file.write(encoded.layout.front);
        for (const chunk of encoded.chunks) await file.write(await chunk.read());
        return encodeReport(inputs, encoded, warnings, performance.now() - started);
      });
    });
  });
}

/**
 * What `encode` with the same options is expected to write: sizes and errors from spectra and samples, in a small part
 * of its time. Nothing is written, and `output` need not be possible.
 * @throws as encode, but for BudgetErrors that only coding shows; TypeError for `lossless` and `exactOnTop`
 */
export async function estimateEncode(fineTuned: string, options: EncodeOptions): Promise<EncodeEstimate> {
  const started = performance.now();
  for (const name of ['lossless', 'exactOnTop'] as const) {
    if (options[name] === true) {
      throw new TypeError(
        `expected no ${name} in an estimate: what exact terms take is only known from coding`,
      );
    }
  }
  return withInputs(fineTuned, options, async (inputs) => {
    const warnings = await checkBase(inputs);
    const predicted = await predictArchive(inputs);
    const fineTunedByteLength = weightByteLength(inputs.fineTuned);
    const { byteLength, squaredError, squaredResidual, gemm } = predicted;
    return {
      archiveByteLength: Math.round(byteLength),
      fineTunedByteLength,
      ratio: byteLength / fineTunedByteLength,
      relativeError: squaredResidual === 0 ? 0 : Math.sqrt(squaredError / squaredResidual),
      allocation: strategyOf(options),
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
  use: (inputs: EncodeInputs) => Promise<T>,
): Promise<T> {
  assertEncodeOptions(options);
  const base = await openCheckpoint(options.base);
  try {
    const tuned = await openCheckpoint(fineTuned);
    try {
      const pairing = pairTensors(base, tuned);
      const runtime = nodeRuntime(options.kernels ?? 'wasm');
      const importance =
        options.importance && (await readImportance(options.importance, pairing.pairs, runtime.kernels));
      return await use({
        base,
        basePath: resolve(options.base),
        fineTuned: tuned,
        fineTunedPath: resolve(fineTuned),
        pairing,
        runtime,
        ...(importance ? { importance } : {}),
        options,
      });
    } finally {
      await tuned.close();
    }
  } finally {
    await base.close();
  }
}

/** Finished tensors wait beside the output; an interrupted run leaves them there, any other end takes them away. */
async function withJournal<T>(
  { options, importance, runtime }: EncodeInputs,
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
  });
  let result: T;
  try {
    result = await use(journal);
  } catch (error) {
    if (journal.isKept && isEreError(error, 'ERE_ABORTED', 'ERE_IO')) {
      await journal.close();
      throw new EreError(
        error.code,
        `${error.message}; finished tensors are in ${path}: continue with resume, or remove it`,
        { cause: error },
      );
    }
    await journal.remove();
    throw error;
  }
  await journal.remove();
  return result;
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
async function checkBase({ base, fineTuned, pairing, runtime, options }: EncodeInputs): Promise<string[]> {
  const warnings = pairing.shapeConflicts.map(
    (conflict) => `${conflict}: the base tensor cannot be used, so the tensor is stored whole`,
  );
  try {
    assertPaired(pairing, base, fineTuned);
    assertRelated(await sampleRelativeResidual(pairing, base, fineTuned, runtime), base, fineTuned);
  } catch (error) {
    if (!options.force || !(error instanceof Error)) throw error;
    warnings.push(`forced although ${error.message}`);
  }
  return warnings;
}

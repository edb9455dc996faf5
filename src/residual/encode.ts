/**
 * encode: a fine-tuned checkpoint as an archive of residuals against its base (arXiv 2305.18425).
 * Pair, analyse, allocate, encode, decode back, assemble; the output appears whole or not at all.
 */
import { resolve } from 'node:path';
import { BudgetError } from '../../formats/errors.js';
import { withAtomicFile } from '../io/atomic-output.js';
import { nodeRuntime } from '../io/node-runtime.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import type { EncodeOptions, EncodeReport } from './api.js';
import { type EncodeInputs, encodeArchive } from './encode-archive.js';
import { assertEncodeOptions } from './encode-options.js';
import { readImportance } from './importance.js';
import { assertPaired, pairTensors } from './pair-tensors.js';
import { assertRelated, sampleRelativeResidual } from './relatedness.js';
import { encodeReport, relativeErrorOf } from './reports.js';

/**
 * Encodes `fineTuned` (a model folder, an index.json or one .safetensors file) against `options.base`
 * into `options.output`. The achieved size is never over the asked one, nor the error over the asked error.
 * @throws EreError: CheckpointMismatchError for a wrong base, BudgetError for a budget out of reach or an error above `failAbove`,
 * FormatError for malformed input, ConflictError for an output that exists; TypeError or RangeError for
 * options out of range. Nothing is written then.
 */
export async function encode(fineTuned: string, options: EncodeOptions): Promise<EncodeReport> {
  const started = performance.now();
  assertEncodeOptions(options);
  const base = await openCheckpoint(options.base);
  try {
    const tuned = await openCheckpoint(fineTuned);
    try {
      const pairing = pairTensors(base, tuned);
      const runtime = nodeRuntime(options.kernels ?? 'wasm');
      const importance =
        options.importance && (await readImportance(options.importance, pairing.pairs, runtime.kernels));
      const inputs: EncodeInputs = {
        base,
        basePath: resolve(options.base),
        fineTuned: tuned,
        fineTunedPath: resolve(fineTuned),
        pairing,
        runtime,
        ...(importance ? { importance } : {}),
        options,
      };
      const outputOptions = {
        overwrite: options.overwrite ?? false,
        inputs: [options.base, fineTuned],
        signal: options.signal,
      };
      return await withAtomicFile(options.output, outputOptions, async (file) => {
        const warnings = await checkBase(inputs);
        const encoded = await encodeArchive(inputs);
        assertError(relativeErrorOf(encoded.tensors), options.failAbove, options.output);
        await file.write(encoded.layout.front);
        for (const chunk of encoded.chunks) await file.write(await chunk.read());
        return encodeReport(inputs, encoded, warnings, performance.now() - started);
      });
    } finally {
      await tuned.close();
    }
  } finally {
    await base.close();
  }
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

/** diff: how a fine-tune differs from its base, and what an archive of it would take, before anything is written. */
import { resolve } from 'node:path';
import type { Checkpoint } from '../../formats/checkpoint.js';
import { CheckpointMismatchError } from '../../formats/errors.js';
import { nodeRuntime } from '../io/node-runtime.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import { assertDevice } from '../linalg/devices.js';
import type { Budget } from './api.js';
import { packBlob } from './assemble-archive.js';
import type { DiffOptions, DiffReport } from './diff-report.js';
import { diffTensors, totalsOf } from './diff-tensors.js';
import {
  assertBudget,
  assertCommonOptions,
  budgetOf,
  constraintsOf,
  weightByteLength,
} from './encode-options.js';
import { withEncodePool } from './encode-pool.js';
import { EncodeSession } from './encode-session.js';
import { estimateAtBudgets } from './estimate.js';
import { assertPaired, type Pairing, pairTensors, prefixWarnings } from './pair-tensors.js';
import { assertRelated, sampleRelativeResidual } from './relatedness.js';
import type { Runtime } from './runtime.js';
import { planSideFiles } from './side-files.js';
import { fullSpectrum } from './spectrum-summary.js';

const DEFAULT_BUDGETS: readonly Budget[] = [0.01, 0.03, 0.06, 0.12, 0.25].map((ratio) => ({
  kind: 'ratio',
  ratio,
}));

/** Tells the effective rank within some percent, and is a small part of what an encode computes. */
const DEFAULT_MAX_RANK = 64;

/**
 * Compares `fineTuned` with `options.base`; both are a model folder, an index.json or one .safetensors file.
 * Reads every tensor, computes leading singular values of each residual, and writes nothing. A base that does
 * not belong is no error here: the report says what does not match.
 * @throws EreError: FormatError for malformed input, NotFoundError, IoError, or ERE_ABORTED by the signal;
 * TypeError or RangeError for options out of range.
 */
export async function diff(fineTuned: string, options: DiffOptions): Promise<DiffReport> {
  assertDiffOptions(options);
  const base = await openCheckpoint(options.base);
  try {
    const tuned = await openCheckpoint(fineTuned);
    try {
      return await diffCheckpoints(base, tuned, resolve(fineTuned), options);
    } finally {
      await tuned.close();
    }
  } finally {
    await base.close();
  }
}

/** @throws RangeError */
function assertDiffOptions(options: DiffOptions): void {
  assertCommonOptions(options);
  assertDevice(options);
  const { maxRank = DEFAULT_MAX_RANK, budgets = DEFAULT_BUDGETS } = options;
  if (!(Number.isSafeInteger(maxRank) && maxRank >= 1)) {
    throw new RangeError(`expected maxRank to be an integer of at least 1, got ${maxRank}`);
  }
  for (const budget of budgets) assertBudget(budget);
}

async function diffCheckpoints(
  base: Checkpoint,
  fineTuned: Checkpoint,
  fineTunedPath: string,
  options: DiffOptions,
): Promise<DiffReport> {
  const started = performance.now();
  const { maxRank = DEFAULT_MAX_RANK, budgets = DEFAULT_BUDGETS } = options;
  const runtime = nodeRuntime(options.kernels ?? 'wasm');
  const pairing = pairTensors(base, fineTuned);
  const mismatches = await mismatchesOf(pairing, base, fineTuned, runtime);
  const sideFiles = await planSideFiles(base, fineTuned, runtime);
  const headers = await Promise.all(fineTuned.files.map((file) => packBlob(file.header)));
  const blobs = [...headers, ...sideFiles.flatMap(({ blob }) => blob ?? [])];
  const fineTunedByteLength = weightByteLength(fineTuned);

  const poolInputs = { basePath: resolve(options.base), fineTunedPath, pairing, options };
  return withEncodePool(poolInputs, async (pool) => {
    const { pairs } = pairing;
    const session = new EncodeSession({
      pool,
      pairs,
      compare: true,
      // A diff speaks of the residual as it is.
      constraints: { ...constraintsOf({}), recoverProducts: false, sharedBases: true },
      onProgress: options.onProgress,
    });
    await session.analyse();
    const known = await session.spectra(maxRank);
    const spectra = new Map([...known].map(([pair, spectrum]) => [pair, fullSpectrum(spectrum)]));
    const estimates = await estimateAtBudgets(session, [...spectra.values()], {
      budgets: budgets.map((budget) => ({ budget, resolved: budgetOf({ budget }, fineTuned) })),
      blobByteLength: blobs.reduce((sum, blob) => sum + blob.bytes.byteLength, 0),
      fineTunedByteLength,
      signal: options.signal,
    });
    const { engine, warnings } = await session.engine();
    return {
      fineTunedByteLength,
      ...totalsOf(session, pairs),
      tensors: diffTensors(session, pairs, spectra),
      added: pairs.filter((pair) => pair.base === undefined).map((pair) => pair.fineTuned.name),
      removed: pairing.removed,
      shapeConflicts: pairing.shapeConflicts,
      sideFiles: sideFileStatus(base, sideFiles),
      mismatches,
      estimates,
      warnings: [...prefixWarnings(pairing), ...warnings],
      gemmEngine: engine,
      durationMs: performance.now() - started,
    };
  });
}

/** What encode checks before it starts, as findings. */
async function mismatchesOf(
  pairing: Pairing,
  base: Checkpoint,
  fineTuned: Checkpoint,
  runtime: Runtime,
): Promise<string[]> {
  const relativeResidual = await sampleRelativeResidual(pairing, base, fineTuned, runtime);
  const checks = [
    () => assertPaired(pairing, base, fineTuned),
    () => assertRelated(relativeResidual, base, fineTuned),
  ];
  return checks.flatMap((check) => {
    try {
      check();
      return [];
    } catch (error) {
      if (!(error instanceof CheckpointMismatchError)) throw error;
      return [error.message];
    }
  });
}

/** Side files of the fine-tune in path order, then those that only the base has. */
function sideFileStatus(
  base: Checkpoint,
  planned: Awaited<ReturnType<typeof planSideFiles>>,
): DiffReport['sideFiles'] {
  const inBase = new Set(base.sideFiles.map((file) => file.path));
  const inFineTuned = new Set(planned.map((file) => file.path));
  const statusOf = ({ path, blob }: (typeof planned)[number]) => {
    if (blob === undefined) return 'same';
    return inBase.has(path) ? 'changed' : 'added';
  };
  const removed = [...inBase].filter((path) => !inFineTuned.has(path));
  return [
    ...planned.map((file) => ({ path: file.path, status: statusOf(file) }) as const),
    ...removed.map((path) => ({ path, status: 'removed' }) as const),
  ];
}

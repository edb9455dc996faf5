/** The encoder between open checkpoints and an archive that only has to be written. */
import { basename } from 'node:path';
import type { Checkpoint } from '../../formats/checkpoint.js';
import type { ArchiveIndex, Digest } from '../../formats/ere/archive-index.js';
import { type ArchiveLayout, layoutArchive } from '../../formats/ere/write-archive.js';
import type { AllocationResult, StrategyName } from '../allocation/allocate.js';
import { describeBits } from '../codecs/bits-profile.js';
import type { WorkerPool } from '../io/worker-pool.js';
import { PACKAGE_NAME, PACKAGE_VERSION } from '../version.js';
import type { EncodeOptions } from './api.js';
import {
  type AssembledArchive,
  type AssembledTensor,
  assembleArchive,
  type PackedBlob,
  type PlannedSideFile,
  packBlob,
} from './assemble-archive.js';
import { type ResolvedBudget, searchBudget } from './budget-search.js';
import { digestTensor } from './digest-tensor.js';
import type { EncodeJob, EncodeJobResult } from './encode-jobs.js';
import { budgetOf, constraintsOf, strategyOf } from './encode-options.js';
import { withEncodePool } from './encode-pool.js';
import { EncodeSession } from './encode-session.js';
import type { Importance } from './importance.js';
import type { Pairing } from './pair-tensors.js';
import { presetOf } from './presets.js';
import type { Runtime } from './runtime.js';
import { planSideFiles } from './side-files.js';

/** What one encode works on. Paths are absolute, for the worker threads. */
export interface EncodeInputs {
  readonly base: Checkpoint;
  readonly basePath: string;
  readonly fineTuned: Checkpoint;
  readonly fineTunedPath: string;
  readonly pairing: Pairing;
  readonly runtime: Runtime;
  /** Weights of the input channels, read and checked. */
  readonly importance?: Importance;
  readonly options: EncodeOptions;
}

export interface EncodedArchive extends AssembledArchive {
  readonly layout: ArchiveLayout;
  /** In the order of the pairs. */
  readonly tensors: readonly AssembledTensor[];
  readonly sideFiles: readonly PlannedSideFile[];
  readonly allocation: AllocationResult;
  readonly productRanks: readonly number[];
  /** Name of the engine of the matrix products; 'none' when there was no residual. */
  readonly gemmEngine: string;
  readonly gemmWarning: string | undefined;
}

export async function encodeArchive(inputs: EncodeInputs): Promise<EncodedArchive> {
  return withEncodePool(inputs, (pool) => encodeWithPool(inputs, pool));
}

/** Parts of the archive that no allocation changes. */
interface FixedParts {
  readonly base: Parameters<typeof assembleArchive>[0]['base'];
  readonly weightHeaders: readonly PackedBlob[];
  readonly sideFiles: readonly PlannedSideFile[];
}

async function encodeWithPool(
  inputs: EncodeInputs,
  pool: WorkerPool<EncodeJob, EncodeJobResult>,
): Promise<EncodedArchive> {
  const { fineTuned, options, pairing } = inputs;
  const session = new EncodeSession({
    pool,
    pairs: pairing.pairs,
    constraints: constraintsOf(options),
    onProgress: options.onProgress,
  });
  await session.analyse();
  const fixed = await fixedParts(inputs, session);
  const budget = budgetOf(options, fineTuned);
  const allocateOptions = {
    strategy: strategyOf(options),
    bits: options.bits ?? presetOf(options).bits,
    prior: options.prior ?? 0,
  } as const;
  const blobs = [...fixed.weightHeaders, ...fixed.sideFiles.flatMap(({ blob }) => blob ?? [])];
  const { archive, allocation } = await searchBudget({
    budget,
    fixedByteLength: session.exactByteLength + blobs.reduce((sum, blob) => sum + blob.bytes.byteLength, 0),
    squaredResidual: session.squaredResidual,
    attempt: async (target) => {
      const allocation = await session.allocate(target, allocateOptions, initialRank(budget, session));
      const archive = await assemble(inputs, session, fixed, allocation);
      const residuals = archive.tensors.filter((tensor) => tensor.analysis.squaredResidual > 0);
      const squaredError = residuals.reduce((sum, tensor) => sum + tensor.encoded.squaredError, 0);
      const { payloadByteLength } = session;
      return { allocation, archive, byteLength: archive.layout.byteLength, payloadByteLength, squaredError };
    },
  });
  const { gemmEngine, gemmWarning, productRanks } = session;
  return { ...archive, sideFiles: fixed.sideFiles, allocation, productRanks, gemmEngine, gemmWarning };
}

async function fixedParts(inputs: EncodeInputs, session: EncodeSession): Promise<FixedParts> {
  const { base, fineTuned, pairing, options, runtime, basePath } = inputs;
  const digests = new Map<string, Digest>();
  for (const [i, pair] of pairing.pairs.entries()) {
    const digest = session.analyses[i]!.baseDigest;
    if (pair.base !== undefined && digest !== undefined) digests.set(pair.base.name, digest);
  }
  const tensors = [];
  for (const tensor of base.tensors.values()) {
    // Removed tensors belong to the base's identity all the same.
    const digest = digests.get(tensor.name) ?? (await digestTensor(base, tensor, runtime));
    tensors.push({ name: tensor.name, dtype: tensor.dtype, shape: tensor.shape, digest });
  }
  return {
    base: {
      name: options.baseName ?? basename(basePath),
      ...(options.baseRevision === undefined ? {} : { revision: options.baseRevision }),
      tensors,
    },
    weightHeaders: await Promise.all(fineTuned.files.map((file) => packBlob(file.header))),
    sideFiles: options.sideFiles === false ? [] : await planSideFiles(base, fineTuned, runtime),
  };
}

async function assemble(
  inputs: EncodeInputs,
  session: EncodeSession,
  fixed: FixedParts,
  allocation: AllocationResult,
): Promise<AssembledArchive & { layout: ArchiveLayout; tensors: readonly AssembledTensor[] }> {
  const { pairing, options, fineTuned } = inputs;
  const encoded = await session.encode(allocation);
  const tensors = pairing.pairs.map((pair, i): AssembledTensor => {
    const analysis = session.analyses[i]!;
    const result = encoded[i] ?? { terms: [], decodedDigest: analysis.fineTunedDigest, squaredError: 0 };
    return { pair, analysis, encoded: result, singularValues: session.singularValues(i) };
  });
  const assembled = await assembleArchive({
    generator: `${PACKAGE_NAME} ${PACKAGE_VERSION}`,
    encoding: encodingRecord(options, allocation),
    ...fixed,
    fineTuned,
    tensors,
    removed: pairing.removed,
  });
  return { ...assembled, tensors, layout: await layoutArchive(assembled.description, assembled.chunks) };
}

/** The options that shaped the archive, for humans. */
function encodingRecord(options: EncodeOptions, allocation: AllocationResult): ArchiveIndex['encoding'] {
  const strategy: StrategyName = strategyOf(options);
  return {
    ...(options.preset === undefined ? {} : { preset: options.preset }),
    allocation: strategy,
    bits: describeBits(allocation.bits),
    ...(options.importance === undefined ? {} : { importance: true }),
    ...(strategy === 'layerwise' && options.prior ? { prior: options.prior } : {}),
  };
}

/** Width that the first guess of a rank assumes: narrow, so that it is seldom too small. */
const GUESS_BITS = 3;
/** Ranks to begin with when no size bounds them; doubled as needed. */
const FIRST_RANK = 32;

/** Components to look at first: a quarter more than the size could pay for everywhere alike. */
function initialRank(budget: ResolvedBudget, session: EncodeSession): number {
  if (budget.kind === 'fixed' && Number.isInteger(budget.value) && budget.value >= 1) return budget.value;
  if (budget.kind !== 'size') return FIRST_RANK;
  const affordable = (budget.byteLength * 8) / (GUESS_BITS * Math.max(1, session.componentElements));
  return Math.ceil(1.25 * affordable) + 4;
}

/** The encoder between open checkpoints and an archive that only has to be written. */
import { basename } from 'node:path';
import type { Checkpoint } from '../../formats/checkpoint.js';
import type { ArchiveIndex, Digest } from '../../formats/ere/archive-index.js';
import { lossyByteLength } from '../../formats/ere/levels.js';
import { type ArchiveLayout, layoutArchive } from '../../formats/ere/write-archive.js';
import type { AllocationResult, StrategyName } from '../allocation/allocate.js';
import { describeBits } from '../codecs/bits-profile.js';
import type { EncodedTerm } from '../codecs/codec.js';
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
import { INDEX_SLACK, type ResolvedBudget, searchBudget } from './budget-search.js';
import { digestTensor } from './digest-tensor.js';
import type { EncodeJob, EncodeJobResult } from './encode-jobs.js';
import { budgetOf, constraintsOf, strategyOf } from './encode-options.js';
import { withEncodePool } from './encode-pool.js';
import { EncodeSession } from './encode-session.js';
import type { EncodedTensor } from './encode-tensor.js';
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
  readonly options: EncodeOptions;
}

export interface EncodedArchive extends AssembledArchive {
  readonly layout: ArchiveLayout;
  /** In the order of the pairs. */
  readonly tensors: readonly AssembledTensor[];
  readonly sideFiles: readonly PlannedSideFile[];
  readonly allocation: AllocationResult;
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
  const { options, pairing } = inputs;
  const session = new EncodeSession({
    pool,
    pairs: pairing.pairs,
    constraints: constraintsOf(options),
    onProgress: options.onProgress,
  });
  await session.analyse();
  const fixed = await fixedParts(inputs, session);
  const { archive, allocation } =
    options.lossless === true
      ? await encodeLossless(inputs, session, fixed)
      : options.exactOnTop === true
        ? await encodeExactOnTop(inputs, session, fixed)
        : await encodeLossy(inputs, session, fixed, 0);
  const { gemmEngine, gemmWarning } = session;
  return { ...archive, sideFiles: fixed.sideFiles, allocation, gemmEngine, gemmWarning };
}

type Assembled = AssembledArchive & {
  readonly layout: ArchiveLayout;
  readonly tensors: readonly AssembledTensor[];
};

interface Encoded {
  readonly archive: Assembled;
  readonly allocation: AllocationResult;
}

/** @param reserved bytes of the budget to leave free */
async function encodeLossy(
  inputs: EncodeInputs,
  session: EncodeSession,
  fixed: FixedParts,
  reserved: number,
): Promise<Encoded> {
  const { fineTuned, options } = inputs;
  const budget = budgetOf(options, fineTuned);
  const allocateOptions = {
    strategy: strategyOf(options),
    bits: options.bits ?? presetOf(options).bits,
    prior: options.prior ?? 0,
  } as const;
  const blobs = [...fixed.weightHeaders, ...fixed.sideFiles.flatMap(({ blob }) => blob ?? [])];
  return searchBudget({
    budget,
    fixedByteLength:
      reserved + session.exactByteLength + blobs.reduce((sum, blob) => sum + blob.bytes.byteLength, 0),
    squaredResidual: session.squaredResidual,
    attempt: async (target) => {
      const allocation = await session.allocate(target, allocateOptions, initialRank(budget, session));
      const archive = await assemble(inputs, session, fixed, {
        encoding: encodingRecord(options, allocation),
        tensors: await session.encode(allocation),
      });
      const residuals = archive.tensors.filter((tensor) => tensor.analysis.squaredResidual > 0);
      const squaredError = residuals.reduce((sum, tensor) => sum + tensor.encoded.squaredError, 0);
      return {
        allocation,
        archive,
        byteLength: archive.layout.byteLength + reserved,
        payloadByteLength: session.payloadByteLength,
        squaredError,
      };
    },
  });
}

async function encodeLossless(
  inputs: EncodeInputs,
  session: EncodeSession,
  fixed: FixedParts,
): Promise<Encoded> {
  const tensors = await session.encodeExactly();
  for (const [pair, tensor] of tensors.entries()) {
    if (tensor !== undefined) session.assertExact(pair, tensor.decodedDigest);
  }
  const archive = await assemble(inputs, session, fixed, { encoding: { lossless: true }, tensors });
  return { archive, allocation: { points: [], bits: 0 } };
}

/** What a tensor's exact terms add to the deflated index: a digest, a term, a chunk. */
const REFINEMENT_INDEX_BYTE_LENGTH = 64;

/** A lossy archive within the budget, index of the whole included, and exact terms behind it. */
async function encodeExactOnTop(
  inputs: EncodeInputs,
  session: EncodeSession,
  fixed: FixedParts,
): Promise<Encoded> {
  const budget = budgetOf(inputs.options, inputs.fineTuned);
  const residuals = session.analyses.filter(({ squaredResidual }) => squaredResidual > 0);
  let reserved = residuals.length * REFINEMENT_INDEX_BYTE_LENGTH;
  for (;;) {
    const { archive: lossy, allocation } = await encodeLossy(inputs, session, fixed, reserved);
    const tensors = lossy.tensors.map(({ encoded }) => encoded);
    const archive = await assemble(inputs, session, fixed, {
      encoding: { ...encodingRecord(inputs.options, allocation), exactOnTop: true },
      tensors,
      refinements: await session.refine(tensors),
    });
    const excess = budget.kind === 'size' ? lossyByteLength(archive.layout) - budget.byteLength : 0;
    if (excess <= 0) return { archive, allocation };
    reserved += excess + INDEX_SLACK;
  }
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

/** What differs from one attempt to the next. By pair; undefined for a tensor that is the base's. */
interface EncodedParts {
  readonly encoding: ArchiveIndex['encoding'];
  readonly tensors: readonly (EncodedTensor | undefined)[];
  readonly refinements?: readonly (readonly EncodedTerm[] | undefined)[];
}

async function assemble(
  inputs: EncodeInputs,
  session: EncodeSession,
  fixed: FixedParts,
  parts: EncodedParts,
): Promise<Assembled> {
  const { pairing, fineTuned } = inputs;
  const tensors = pairing.pairs.map((pair, i): AssembledTensor => {
    const analysis = session.analyses[i]!;
    const identical = { terms: [], decodedDigest: analysis.fineTunedDigest, squaredError: 0 };
    const refinement = parts.refinements?.[i];
    return {
      pair,
      analysis,
      encoded: parts.tensors[i] ?? identical,
      ...(refinement === undefined ? {} : { refinement }),
      singularValues: session.singularValues(i),
    };
  });
  const assembled = await assembleArchive({
    generator: `${PACKAGE_NAME} ${PACKAGE_VERSION}`,
    encoding: parts.encoding,
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

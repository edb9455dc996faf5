/** The encoder between open checkpoints and an archive that only has to be written. */
import { basename } from 'node:path';
import type { Checkpoint } from '../../formats/checkpoint.js';
import type { ArchiveIndex, Digest } from '../../formats/ere/archive-index.js';
import { lossyByteLength } from '../../formats/ere/levels.js';
import { type ArchiveLayout, layoutArchive } from '../../formats/ere/write-archive.js';
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
import { INDEX_SLACK } from './budget-search.js';
import { digestTensor } from './digest-tensor.js';
import type { EncodeJob, EncodeJobResult, EngineResult } from './encode-jobs.js';
import { budgetOf, constraintsOf, strategyOf } from './encode-options.js';
import { withEncodePool } from './encode-pool.js';
import {
  type FoundArchive,
  firstRank,
  type LossySearch,
  type Prediction,
  predictLossless,
  predictLossy,
  searchLossy,
} from './encode-search.js';
import { EncodeSession } from './encode-session.js';
import type { Importance } from './importance.js';
import type { Pairing } from './pair-tensors.js';
import type { Runtime } from './runtime.js';
import { planSideFiles } from './side-files.js';
import type { StoredTensor, StoredTerm, TensorStore } from './stored-chunks.js';

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
  /** Where finished tensors go; default: memory. */
  readonly store?: TensorStore;
  readonly options: EncodeOptions;
}

export interface EncodedArchive extends AssembledArchive {
  readonly layout: ArchiveLayout;
  /** In the order of the pairs. */
  readonly tensors: readonly AssembledTensor[];
  readonly sideFiles: readonly PlannedSideFile[];
  /** Bits per factor entry, where the strategy has widths. */
  readonly bits: number | string | undefined;
  /** Quantiser step of most residuals, where the strategy has steps. */
  readonly step?: number;
  readonly productRanks: readonly number[];
  /** The engine of the matrix products; 'none' when there was no residual. */
  readonly gemm: EngineResult;
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

/** What an encode is expected to come to. */
export interface PredictedArchive extends Omit<Prediction, 'choiceOf'> {
  /** The part of it below exact terms on top, where these were asked for. */
  readonly lossy?: Omit<Prediction, 'choiceOf'>;
  /** Σ‖R‖². */
  readonly squaredResidual: number;
  readonly gemm: EngineResult;
}

/** Analyses and predicts; nothing is encoded. */
export async function predictArchive(inputs: EncodeInputs): Promise<PredictedArchive> {
  return withEncodePool(inputs, async (pool) => {
    const isLossless = inputs.options.lossless === true;
    const work = await openWork(inputs, pool, isLossless ? 'lossless' : 'exact-rows');
    const { session } = work;
    return {
      ...(isLossless ? predictLossless(lossySearch(work, 0)) : await predictOnTop(work)),
      squaredResidual: session.squaredResidual,
      gemm: await session.engine(),
    };
  });
}

/** Lossy terms, and exact ones on top where these are asked for. */
async function predictOnTop(
  work: EncodeWork,
): Promise<Pick<PredictedArchive, 'byteLength' | 'squaredError' | 'lossy'>> {
  const { session } = work;
  if (work.inputs.options.exactOnTop !== true) return predictLossy(lossySearch(work, 0));
  const { choiceOf, ...lossy } = await predictLossy(lossySearch(work, refinementIndexByteLength(session)));
  const byteLength = lossy.byteLength + (await session.estimateOnTop(choiceOf));
  return { byteLength, squaredError: 0, lossy };
}

/**
 * The session, its pairs analysed, and what no allocation changes.
 * @param estimate what is estimated instead of coded; default: nothing
 */
async function openWork(
  inputs: EncodeInputs,
  pool: WorkerPool<EncodeJob, EncodeJobResult>,
  estimate?: 'exact-rows' | 'lossless',
): Promise<EncodeWork> {
  const { options, pairing, fineTuned } = inputs;
  const session = new EncodeSession({
    pool,
    pairs: pairing.pairs,
    constraints: {
      ...constraintsOf(options),
      sampleRows: strategyOf(options) === 'rate-distortion',
      // Weights belong to columns, which a shared basis spans.
      sharedBases: strategyOf(options) === 'rate-distortion' && options.importance === undefined,
    },
    ...(inputs.store === undefined ? {} : { store: inputs.store }),
    onProgress: options.onProgress,
  });
  await session.analyse(firstRank(options, budgetOf(options, fineTuned)), estimate);
  return { inputs, session, fixed: await fixedParts(inputs, session) };
}

async function encodeWithPool(
  inputs: EncodeInputs,
  pool: WorkerPool<EncodeJob, EncodeJobResult>,
): Promise<EncodedArchive> {
  const { options } = inputs;
  const work = await openWork(inputs, pool);
  const { session, fixed } = work;
  const { archive, ...choice } =
    options.lossless === true
      ? await encodeLossless(work)
      : options.exactOnTop === true
        ? await encodeExactOnTop(work)
        : await encodeLossy(work, 0);
  const { productRanks } = session;
  return {
    ...archive,
    sideFiles: fixed.sideFiles,
    ...choice,
    productRanks,
    gemm: await session.engine(),
  };
}

interface EncodeWork {
  readonly inputs: EncodeInputs;
  readonly session: EncodeSession;
  readonly fixed: FixedParts;
}

type Encoded = FoundArchive<Assembled>;

/** @param reserved bytes of the budget to leave free */
async function encodeLossy(work: EncodeWork, reserved: number): Promise<Encoded> {
  const { inputs, session, fixed } = work;
  return searchLossy({
    ...lossySearch(work, reserved),
    attempt: async (choiceOf, encoding) => {
      const archive = await assemble(inputs, session, fixed, {
        encoding,
        tensors: await session.encode(choiceOf),
      });
      const residuals = archive.tensors.filter((tensor) => tensor.analysis.squaredResidual > 0);
      return {
        archive,
        byteLength: archive.layout.byteLength + reserved,
        payloadByteLength: session.payloadByteLength,
        squaredError: residuals.reduce((sum, tensor) => sum + tensor.encoded.squaredError, 0),
        parts: session.parts,
      };
    },
  });
}

function lossySearch(
  { inputs, session, fixed }: EncodeWork,
  reserved: number,
): Omit<LossySearch<Assembled>, 'attempt'> {
  const { options, fineTuned } = inputs;
  const blobs = [...fixed.weightHeaders, ...fixed.sideFiles.flatMap(({ blob }) => blob ?? [])];
  return {
    session,
    options,
    budget: budgetOf(options, fineTuned),
    fixedByteLength: blobs.reduce(
      (sum, blob) => sum + blob.bytes.byteLength,
      reserved + session.exactByteLength,
    ),
  };
}

async function encodeLossless({ inputs, session, fixed }: EncodeWork): Promise<Encoded> {
  const tensors = await session.encodeExactly();
  const archive = await assemble(inputs, session, fixed, { encoding: { lossless: true }, tensors });
  return { archive, bits: undefined };
}

/** What a tensor's exact terms add to the deflated index: a digest, a term, a chunk. */
const REFINEMENT_INDEX_BYTE_LENGTH = 64;

function refinementIndexByteLength({ analyses }: EncodeSession): number {
  const residuals = analyses.filter(({ squaredResidual }) => squaredResidual > 0);
  return residuals.length * REFINEMENT_INDEX_BYTE_LENGTH;
}

/** A lossy archive within the budget, index of the whole included, and exact terms behind it. */
async function encodeExactOnTop(work: EncodeWork): Promise<Encoded> {
  const { inputs, session, fixed } = work;
  const budget = budgetOf(inputs.options, inputs.fineTuned);
  let reserved = refinementIndexByteLength(session);
  for (;;) {
    const { archive: lossy, ...choice } = await encodeLossy(work, reserved);
    const tensors = lossy.tensors.map(({ encoded }) => encoded);
    const archive = await assemble(inputs, session, fixed, {
      encoding: { ...lossy.layout.index.encoding, exactOnTop: true },
      tensors,
      refinements: await session.refine(tensors),
    });
    const excess = budget.kind === 'size' ? lossyByteLength(archive.layout) - budget.byteLength : 0;
    if (excess <= 0) return { archive, ...choice };
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

type Assembled = AssembledArchive & Pick<EncodedArchive, 'layout' | 'tensors'>;

/** What differs from one attempt to the next. By pair; undefined for a tensor that is the base's. */
interface EncodedParts {
  readonly encoding: ArchiveIndex['encoding'];
  readonly tensors: readonly (StoredTensor | undefined)[];
  readonly refinements?: readonly (readonly StoredTerm[] | undefined)[];
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
    const encoded: StoredTensor = parts.tensors[i] ?? identical;
    const refinement = parts.refinements?.[i];
    return {
      pair,
      analysis,
      encoded,
      ...(refinement === undefined ? {} : { refinement }),
      singularValues: encoded.singularValues ?? session.singularValues(i),
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

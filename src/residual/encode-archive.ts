/** The encoder between open checkpoints and an archive that only has to be written. */
import { basename } from 'node:path';
import type { Checkpoint } from '../../formats/checkpoint.js';
import type { ArchiveIndex, Digest } from '../../formats/ere/archive-index.js';
import { lossyByteLength } from '../../formats/ere/levels.js';
import { PRELUDE_BYTE_LENGTH } from '../../formats/ere/prelude.js';
import { type ArchiveLayout, layoutArchive } from '../../formats/ere/write-archive.js';
import type { Choice, RateDistortionChoice } from '../allocation/operating-points.js';
import { describeBits } from '../codecs/bits-profile.js';
import type { WorkerPool } from '../io/worker-pool.js';
import { EFFORTS, type Effort, LAMBDA } from '../rate-distortion/efforts.js';
import { FIRST_RANK } from '../rate-distortion/encode-residual.js';
import { modelledStep } from '../rate-distortion/model-step.js';
import { bestPlan, type ResidualSpectrum } from '../rate-distortion/plan-residual.js';
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
import { type Attempt, INDEX_SLACK, type ResolvedBudget, searchBudget } from './budget-search.js';
import { digestTensor } from './digest-tensor.js';
import type { EncodeJob, EncodeJobResult, EngineResult } from './encode-jobs.js';
import { budgetOf, constraintsOf, strategyOf } from './encode-options.js';
import { withEncodePool } from './encode-pool.js';
import { EncodeSession } from './encode-session.js';
import type { Importance } from './importance.js';
import type { Pairing } from './pair-tensors.js';
import { presetOf } from './presets.js';
import type { Runtime } from './runtime.js';
import { planSideFiles } from './side-files.js';
import { fullSpectrum } from './spectrum-summary.js';
import { type FoundStep, type StepAttempt, searchStep } from './step-search.js';
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

async function encodeWithPool(
  inputs: EncodeInputs,
  pool: WorkerPool<EncodeJob, EncodeJobResult>,
): Promise<EncodedArchive> {
  const { options, pairing } = inputs;
  const session = new EncodeSession({
    pool,
    pairs: pairing.pairs,
    constraints: constraintsOf(options),
    ...(inputs.store === undefined ? {} : { store: inputs.store }),
    onProgress: options.onProgress,
  });
  await session.analyse(firstRank(inputs));
  const fixed = await fixedParts(inputs, session);
  const work: EncodeWork = { inputs, session, fixed };
  const { archive, bits } =
    options.lossless === true
      ? await encodeLossless(work)
      : options.exactOnTop === true
        ? await encodeExactOnTop(work)
        : await encodeLossy(work, 0);
  const { productRanks } = session;
  return {
    ...archive,
    sideFiles: fixed.sideFiles,
    bits,
    productRanks,
    gemm: await session.engine(),
  };
}

interface EncodeWork {
  readonly inputs: EncodeInputs;
  readonly session: EncodeSession;
  readonly fixed: FixedParts;
}

interface Encoded {
  readonly archive: Assembled;
  /** Bits per factor entry, where the strategy has widths. */
  readonly bits: number | string | undefined;
}

interface Search extends EncodeWork {
  readonly budget: ResolvedBudget;
  /** Bytes of the budget to leave free. */
  readonly reserved: number;
}

/** @param reserved bytes of the budget to leave free */
async function encodeLossy(work: EncodeWork, reserved: number): Promise<Encoded> {
  const { fineTuned, options } = work.inputs;
  const search: Search = { ...work, budget: budgetOf(options, fineTuned), reserved };
  return strategyOf(options) === 'rate-distortion' ? searchSteps(search) : searchPoints(search);
}

/** Bytes of the file that no choice changes, index aside. */
function fixedByteLength({ session, fixed, reserved }: Search): number {
  const blobs = [...fixed.weightHeaders, ...fixed.sideFiles.flatMap(({ blob }) => blob ?? [])];
  return reserved + session.exactByteLength + blobs.reduce((sum, blob) => sum + blob.bytes.byteLength, 0);
}

/** Encodes at one choice a residual, and measures. */
async function attemptChoices(
  { inputs, session, fixed, reserved }: Search,
  choiceOf: (residual: number) => Choice,
  encoding: ArchiveIndex['encoding'],
): Promise<Attempt<Assembled> & StepAttempt> {
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
}

/** Strategies that choose among operating points: allocate on predictions, then correct with real bytes. */
async function searchPoints(search: Search): Promise<Attempt<Assembled> & Encoded> {
  const { session, budget } = search;
  const { options } = search.inputs;
  const strategy = strategyOf(options);
  if (strategy === 'rate-distortion') throw new RangeError('expected a strategy of operating points');
  const allocateOptions = {
    strategy,
    bits: options.bits ?? presetOf(options).bits,
    prior: options.prior ?? 0,
  };
  return searchBudget({
    budget,
    fixedByteLength: fixedByteLength(search),
    squaredResidual: session.squaredResidual,
    attempt: async (target) => {
      const allocation = await session.allocate(target, allocateOptions, initialRank(budget, session));
      const bits = describeBits(allocation.bits);
      const encoding = {
        ...encodingRecord(options),
        bits,
        ...(strategy === 'layerwise' && options.prior ? { prior: options.prior } : {}),
      };
      return { ...(await attemptChoices(search, (i) => allocation.points[i].choice, encoding)), bits };
    },
  });
}

/** Rate–distortion: one quantiser step for the whole model, searched for among predictions first. */
async function searchSteps(search: Search): Promise<Encoded> {
  const { session, budget } = search;
  const { options } = search.inputs;
  const effort = options.effort ?? 'default';
  const spectra = await modelSpectra(session);
  const predicted = await predictStep(search, spectra);
  const { found } = await searchStep({
    budget,
    squaredResidual: session.squaredResidual,
    residuals: session.residualShapes,
    firstStep: predicted.step,
    attempt: (stepOf) => {
      const encoding = { ...encodingRecord(options), effort };
      return attemptChoices(
        search,
        (i): Choice => {
          const step = stepOf(i);
          const product = session.product(i);
          // Where its bytes are spent anyway, the product itself is kept: it decodes to nearly every bit.
          if (
            product !== undefined &&
            bestPlan(spectra[i], { step, lambda: LAMBDA }).bits / 8 >= product.byteLength
          ) {
            return { kind: 'low-rank', rank: product.rank, bits: product.bits };
          }
          return rateDistortionChoice(step, effort);
        },
        encoding,
      );
    },
  });
  return { archive: found.archive, bits: undefined };
}

function rateDistortionChoice(step: number, effort: Effort): RateDistortionChoice {
  return { kind: 'rate-distortion', step, lambda: LAMBDA, ...EFFORTS[effort] };
}

/** Deflated bytes of the index: of the whole, of an identical tensor, and of any other with its chunks. */
const INDEX_BYTES = { base: 200, identical: 52, other: 150 };

/** The step at which predictions from spectra and samples meet the budget. */
async function predictStep(
  search: Search,
  spectra: readonly ResidualSpectrum[],
): Promise<FoundStep<StepAttempt>> {
  const { session, budget } = search;
  const effort = search.inputs.options.effort ?? 'default';
  const fixed = session.analyses.reduce(
    (sum, analysis) => sum + (analysis.case === 'identical' ? INDEX_BYTES.identical : INDEX_BYTES.other),
    fixedByteLength(search) + PRELUDE_BYTE_LENGTH + INDEX_BYTES.base,
  );
  return searchStep({
    budget,
    squaredResidual: session.squaredResidual,
    residuals: session.residualShapes,
    firstStep: modelFirstStep(search, spectra),
    attempt: async (stepOf) => {
      const parts = await session.estimate((i) => rateDistortionChoice(stepOf(i), effort));
      return {
        parts,
        byteLength: parts.reduce((sum, { byteLength }) => sum + byteLength, fixed),
        squaredError: parts.reduce((sum, { squaredError }) => sum + squaredError, 0),
      };
    },
  });
}

/** Components to look at while a residual is first in memory; undefined where more must be known first, or none. */
function firstRank({ options, fineTuned }: EncodeInputs): number | undefined {
  if (options.lossless === true) return undefined;
  if (strategyOf(options) === 'rate-distortion') return MODELLED_VALUES;
  const budget = budgetOf(options, fineTuned);
  const isRank = strategyOf(options) === 'uniform' && budget.kind === 'fixed' && budget.value >= 1;
  return isRank ? budget.value : undefined;
}

/** Leading singular values that the first step is modelled on; the coder looks at as many anyway. */
const MODELLED_VALUES = FIRST_RANK;

/** Residuals as the model sees them, in order: what is known of their spectra, continued. */
async function modelSpectra(session: EncodeSession): Promise<readonly ResidualSpectrum[]> {
  const spectra = [...(await session.spectra(MODELLED_VALUES)).values()].map(fullSpectrum);
  return spectra.map((spectrum) => ({ ...spectrum, singularValues: spectrum.fullSingularValues }));
}

/** Where the search for the step begins. */
function modelFirstStep(search: Search, spectra: readonly ResidualSpectrum[]): number {
  const { session, budget } = search;
  if (budget.kind === 'fixed') {
    throw new RangeError('expected a size or an error for a rate–distortion allocation');
  }
  return modelledStep(
    spectra,
    budget.kind === 'size'
      ? { kind: 'size', byteLength: Math.max(1, budget.byteLength - fixedByteLength(search)) }
      : { kind: 'error', squaredError: budget.relativeError ** 2 * session.squaredResidual },
  );
}

async function encodeLossless({ inputs, session, fixed }: EncodeWork): Promise<Encoded> {
  const tensors = await session.encodeExactly();
  for (const [pair, tensor] of tensors.entries()) {
    if (tensor !== undefined) session.assertExact(pair, tensor.decodedDigest);
  }
  const archive = await assemble(inputs, session, fixed, { encoding: { lossless: true }, tensors });
  return { archive, bits: undefined };
}

/** What a tensor's exact terms add to the deflated index: a digest, a term, a chunk. */
const REFINEMENT_INDEX_BYTE_LENGTH = 64;

/** A lossy archive within the budget, index of the whole included, and exact terms behind it. */
async function encodeExactOnTop(work: EncodeWork): Promise<Encoded> {
  const { inputs, session, fixed } = work;
  const budget = budgetOf(inputs.options, inputs.fineTuned);
  const residuals = session.analyses.filter(({ squaredResidual }) => squaredResidual > 0);
  let reserved = residuals.length * REFINEMENT_INDEX_BYTE_LENGTH;
  for (;;) {
    const { archive: lossy, bits } = await encodeLossy(work, reserved);
    const tensors = lossy.tensors.map(({ encoded }) => encoded);
    const archive = await assemble(inputs, session, fixed, {
      encoding: { ...lossy.layout.index.encoding, exactOnTop: true },
      tensors,
      refinements: await session.refine(tensors),
    });
    const excess = budget.kind === 'size' ? lossyByteLength(archive.layout) - budget.byteLength : 0;
    if (excess <= 0) return { archive, bits };
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

/** The options that shaped the archive, for humans. */
function encodingRecord(options: EncodeOptions): ArchiveIndex['encoding'] {
  return {
    ...(options.preset === undefined ? {} : { preset: options.preset }),
    allocation: strategyOf(options),
    ...(options.importance === undefined ? {} : { importance: true }),
  };
}

/** Width that the first guess of a rank assumes: narrow, so that it is seldom too small. */
const GUESS_BITS = 3;
/** Ranks to begin with when no size bounds them; doubled as needed. */
const OPEN_RANK = 32;

/** Components to look at first: a quarter more than the size could pay for everywhere alike. */
function initialRank(budget: ResolvedBudget, session: EncodeSession): number {
  if (budget.kind === 'fixed' && Number.isInteger(budget.value) && budget.value >= 1) return budget.value;
  if (budget.kind !== 'size') return OPEN_RANK;
  const affordable = (budget.byteLength * 8) / (GUESS_BITS * Math.max(1, session.componentElements));
  return Math.ceil(1.25 * affordable) + 4;
}

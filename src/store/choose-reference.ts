/**
 * What a version is coded against: its base, its parent or another version of the same base, whichever is expected to
 * take the fewest bytes and does not take too long to decode (docs/spec/store.md §7). Sketches tell, so that no version
 * has to be decoded to be considered.
 */
import { elementCount as countOf, tensorByteLength } from '../../formats/dtype.js';
import { CheckpointMismatchError, NotFoundError } from '../../formats/errors.js';
import { parseSketch } from '../../formats/sketch/parse-sketch.js';
import type { Sketch } from '../../formats/sketch/sketch.js';
import { unlessMissing } from '../io/unless-missing.js';
import type { Budget } from '../residual/api.js';
import { type ExpectedCoding, expectedBits } from '../sketch/expected-bits.js';
import { type ExpectedBudget, expectedStep } from '../sketch/expected-step.js';
import { type BaseRank, diagnoseBase, rankBases } from '../sketch/rank-bases.js';
import type { CommitOptions, ReferenceCandidate } from './api.js';
import { expectedCoding } from './coding-options.js';
import { decodeCost } from './decode-cost.js';
import { sketchPath } from './describe-checkpoint.js';
import { type StoredVersion, shortId } from './manifest.js';
import { readBlob } from './objects.js';
import { DEFAULT_MAX_DECODE_COST } from './reanchor.js';
import type { StoredBase, StoreReader } from './store-reader.js';
import { readSummaries } from './summaries.js';
import { chainCost } from './trace-cost.js';

export interface Plan {
  readonly base: StoredBase;
  /** Undefined for the base itself. */
  readonly reference: StoredVersion | undefined;
  /** "base llama", or a version's id. */
  readonly description: string;
  readonly candidates: readonly ReferenceCandidate[];
  /** Of the checkpoint. */
  readonly sketch: Sketch;
  /** Coded bytes that one step from the base is expected to take, relative to the weights. */
  readonly directRatio: number;
  /** ‖W − W_base‖², from samples: what errors are relative to; undefined where the base is the reference. */
  readonly squaredResidual: number | undefined;
}

/** Versions that are considered besides the parent: the newest of the same base. */
const MAX_CANDIDATES = 16;

/** @throws CheckpointMismatchError where no registered base fits, or the one asked for does not; NotFoundError */
export async function chooseReference(
  reader: StoreReader,
  path: string,
  parent: StoredVersion | undefined,
  options: CommitOptions,
): Promise<Plan> {
  const sketch = await sketchPath(path, options);
  const elementCount = sum([...sketch.tensors.values()].map(({ shape }) => countOf(shape)));
  const { base, sketch: baseSketch } = await chooseBase(reader, path, sketch, parent, options);
  const coding = codingOf(options, parent, sketch, baseSketch);
  const fromBase = expectedBits(sketch, baseSketch, coding);
  const versions = await versionsToConsider(reader, base, parent, options);
  const directRatio = measuredRatio(versions, coding) ?? fromBase.ratio;
  const scale = { elementCount, directRatio, byteLength: weightByteLength(sketch) };
  const all: Candidate[] = [{ version: undefined, expectedRatio: fromBase.ratio, decodeCost: 1 }];
  for (const version of versions) {
    const candidate = await consider(reader, version, sketch, coding, scale);
    if (candidate !== undefined) all.push(candidate);
  }
  const limit = options.maxDecodeCost ?? DEFAULT_MAX_DECODE_COST;
  const isAllowed = ({ version, decodeCost }: Candidate): boolean =>
    version === undefined || decodeCost <= limit;
  const asked = await askedReference(reader, options);
  const best = all.filter(isAllowed).sort((x, y) => x.expectedRatio - y.expectedRatio)[0]!;
  const reference = asked === undefined ? best.version : asked.version;
  return {
    base,
    reference,
    description: describe(base, reference),
    candidates: all.map((candidate) => ({
      reference: describe(base, candidate.version),
      expectedRatio: candidate.expectedRatio,
      decodeCost: candidate.decodeCost,
      isWithinLimit: isAllowed(candidate),
    })),
    sketch,
    directRatio,
    squaredResidual: reference === undefined ? undefined : fromBase.squaredResidual,
  };
}

interface Candidate {
  /** Undefined for the base. */
  readonly version: StoredVersion | undefined;
  readonly expectedRatio: number;
  readonly decodeCost: number;
}

function describe(base: StoredBase, version: StoredVersion | undefined): string {
  return version === undefined ? `base ${base.ref.name}` : shortId(version.id);
}

/** References are compared at one step: the one asked for, or that at which the base would meet the budget. */
function codingOf(
  options: CommitOptions,
  parent: StoredVersion | undefined,
  sketch: Sketch,
  base: Sketch,
): ExpectedCoding {
  const { lossless, budget } = expectedCoding(options, parent);
  if (lossless) return { lossless };
  const goal = expectedBudget(budget, weightByteLength(sketch));
  const step = budget?.kind === 'step' ? budget.step : goal && expectedStep(sketch, base, goal);
  return step === undefined ? { lossless: true } : { step };
}

/** Undefined where the method alone decides, and for what every reference meets without a loss. */
function expectedBudget(budget: Budget | undefined, byteLength: number): ExpectedBudget | undefined {
  const isShare = (share: number): boolean => share > 0 && share < 1;
  if (budget?.kind === 'max-error') {
    return isShare(budget.relativeError) ? { relativeError: budget.relativeError } : undefined;
  }
  if (budget?.kind !== 'ratio' && budget?.kind !== 'size') return undefined;
  const ratio = budget.kind === 'ratio' ? budget.ratio : budget.byteLength / byteLength;
  return isShare(ratio) ? { ratio } : undefined;
}

interface ChosenBase {
  readonly base: StoredBase;
  readonly sketch: Sketch;
}

/** The base asked for, or the parent's, or the one whose weights are nearest. */
async function chooseBase(
  reader: StoreReader,
  path: string,
  sketch: Sketch,
  parent: StoredVersion | undefined,
  { base: name, force, onEvent }: CommitOptions,
): Promise<ChosenBase> {
  const { location } = reader.backend;
  const bases: ChosenBase[] = [];
  for (const base of await reader.bases()) {
    const found = await readSketch(reader, base);
    if (found !== undefined) bases.push({ base, sketch: found });
  }
  const known = bases.map(({ base }) => base.ref.name);
  if (bases.length === 0) throw new NotFoundError(`${location}: has no base; register one with base add`);
  const wanted = name ?? parent?.manifest.base?.name;
  const asked = bases.find(({ base }) => base.ref.name === wanted);
  if (name !== undefined && asked === undefined) {
    throw new NotFoundError(
      `${location}: has no base "${name}", only ${known.join(', ')}; register it with base add`,
    );
  }
  const ranks = rankBases(
    sketch,
    bases.map(({ base, sketch }) => ({ name: base.ref.name, sketch })),
  );
  const rank = ranks.find((candidate) => candidate.name === asked?.base.ref.name) ?? ranks[0]!;
  if (rank.verdict === 'unrelated' && force !== true) throw noBase(path, ranks, asked?.base.ref.name);
  if (asked === undefined) onEvent?.({ kind: 'base-found', base: rank.name, because: rank.because });
  return asked ?? bases.find(({ base }) => base.ref.name === rank.name)!;
}

function noBase(
  path: string,
  ranks: readonly BaseRank[],
  asked: string | undefined,
): CheckpointMismatchError {
  const told = asked === undefined ? 'no registered base fits' : `base "${asked}" does not fit`;
  return new CheckpointMismatchError(`${path}: ${told}: ${diagnoseBase(ranks, asked)}`, {
    expected: 'a base with related weights',
    found: ranks.map(({ name, distance }) => `${name} at distance ${distance.toFixed(2)}`).join(', '),
  });
}

async function readSketch(reader: StoreReader, { manifest, id }: StoredVersion): Promise<Sketch | undefined> {
  if (manifest.sketch === undefined) return undefined;
  const bytes = await readBlob(reader.backend, manifest.sketch);
  return parseSketch(bytes, `${reader.backend.location}, sketch of ${shortId(id)}`);
}

async function versionsToConsider(
  reader: StoreReader,
  base: StoredBase,
  parent: StoredVersion | undefined,
  { against }: CommitOptions,
): Promise<StoredVersion[]> {
  if (against !== undefined) return [];
  const summaries = [...(await readSummaries(reader)).values()];
  const recent = summaries
    .filter(
      (summary) => summary.kind === 'version' && summary.base?.id === base.id && summary.id !== parent?.id,
    )
    .sort((x, y) => (x.createdAt < y.createdAt ? 1 : -1))
    .slice(0, MAX_CANDIDATES);
  const others = await Promise.all(recent.map(({ id }) => reader.findVersion(id)));
  return [...(parent === undefined ? [] : [parent]), ...others.filter((version) => version !== undefined)];
}

/**
 * What one step from the base took of the newest version that was coded so, and alike: samples see no low-rank structure,
 * and what a fine-tune takes changes little from one version to the next.
 */
function measuredRatio(versions: readonly StoredVersion[], coding: ExpectedCoding): number | undefined {
  const found = versions.find(
    ({ manifest: { reference, encoding } }) =>
      reference?.kind === 'base' &&
      ('step' in coding ? encoding.step === coding.step : encoding.lossless === coding.lossless),
  );
  return found && found.manifest.directByteLength / found.manifest.fineTunedByteLength;
}

interface Scale {
  readonly elementCount: number;
  readonly directRatio: number;
  /** Of the checkpoint's tensors. */
  readonly byteLength: number;
}

async function consider(
  reader: StoreReader,
  version: StoredVersion,
  sketch: Sketch,
  coding: ExpectedCoding,
  { elementCount, directRatio, byteLength }: Scale,
): Promise<Candidate | undefined> {
  const reference = await unlessMissing(readSketch(reader, version));
  if (reference === undefined) return undefined; // Removed meanwhile, or without one.
  const expectedRatio = expectedBits(sketch, reference, coding).ratio;
  const below = await chainCost(reader, version.manifest.tensors);
  const cost = {
    elementCount,
    steppedElementCount: below.steppedElementCount + elementCount,
    chainByteLength: below.chainByteLength + expectedRatio * byteLength,
  };
  return { version, expectedRatio, decodeCost: decodeCost(cost, directRatio * byteLength) };
}

/** What the options say, whatever it costs; undefined where they say nothing. */
async function askedReference(
  reader: StoreReader,
  { against }: CommitOptions,
): Promise<{ readonly version: StoredVersion | undefined } | undefined> {
  if (against === undefined) return undefined;
  if (against === 'base') return { version: undefined };
  const version = await reader.resolve(against);
  return { version: version.manifest.kind === 'base' ? undefined : version };
}

function weightByteLength({ tensors }: Sketch): number {
  return sum([...tensors.values()].map(({ dtype, shape }) => tensorByteLength(dtype, shape) ?? 0));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

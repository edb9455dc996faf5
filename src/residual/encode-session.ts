/**
 * One encode in progress: analyses every pair once, and has spectra extended (residual-spectra.ts) and tensors
 * encoded (tensor-encoder.ts) as a budget search asks for them.
 */
import type { AllocateOptions, AllocationResult } from '../allocation/allocate.js';
import type { AllocationTarget } from '../allocation/allocation.js';
import type { Choice, RateDistortionChoice } from '../allocation/operating-points.js';
import { componentByteLength } from '../codecs/low-rank.js';
import type { WorkerPool } from '../io/worker-pool.js';
import type { ResidualEstimate } from '../rate-distortion/encode-residual.js';
import { SHARED_SHARE } from '../rate-distortion/model-step.js';
import type { Progress } from './api.js';
import type { AnalyseResult, EncodeJob, EncodeJobResult, EngineResult } from './encode-jobs.js';
import { findUnits } from './encode-units.js';
import type { TensorPair } from './pair-tensors.js';
import { ResidualSpectra } from './residual-spectra.js';
import {
  allocationTensor,
  canShareBasis,
  type KnownSpectrum,
  type ProductSize,
  type ResidualState,
  type TensorConstraints,
} from './residual-state.js';
import { SessionJobs } from './session-jobs.js';
import {
  memoryStore,
  type StoredChunk,
  type StoredTensor,
  type StoredTerm,
  storedByteLength,
  type TensorStore,
} from './stored-chunks.js';
import { TensorEncoder } from './tensor-encoder.js';
import { findTied } from './tied-tensors.js';

export interface EncodeSessionOptions {
  readonly pool: WorkerPool<EncodeJob, EncodeJobResult>;
  readonly pairs: readonly TensorPair[];
  /** Fill in `comparison` of the analyses; default false. */
  readonly compare?: boolean;
  readonly constraints: TensorConstraints;
  /** Where finished tensors go; default: memory. */
  readonly store?: TensorStore;
  readonly onProgress: ((progress: Progress) => void) | undefined;
}

export class EncodeSession {
  readonly analyses: AnalyseResult[] = [];
  readonly #pairs: readonly TensorPair[];
  readonly #compare: boolean;
  readonly #constraints: EncodeSessionOptions['constraints'];
  readonly #jobs: SessionJobs;
  readonly #encoder: TensorEncoder;
  readonly #spectra: ResidualSpectra;
  readonly #residuals: ResidualState[] = [];
  #aliases: readonly number[] = [];
  #units: readonly (readonly number[])[] | undefined;

  constructor(options: EncodeSessionOptions) {
    const { pairs, compare = false, constraints, store = memoryStore } = options;
    this.#pairs = pairs;
    this.#compare = compare;
    this.#constraints = constraints;
    this.#jobs = new SessionJobs(options);
    const { recoverProducts } = constraints;
    this.#encoder = new TensorEncoder({ jobs: this.#jobs, analyses: this.analyses, store, recoverProducts });
    this.#spectra = new ResidualSpectra(this.#jobs, constraints, this.#encoder.growths);
  }

  /** Per pair the index of an earlier pair with the same bytes on both sides (tied tensors), or its own. */
  get aliases(): readonly number[] {
    return this.#aliases;
  }

  /** Σ‖W_ft − W_base‖² over all residuals, tied ones each. */
  get squaredResidual(): number {
    return this.#residuals.reduce((sum, state) => sum + state.copies * state.energy, 0);
  }

  /** Payload bytes of what is coded exactly whatever the budget. */
  get exactByteLength(): number {
    return this.analyses.reduce(
      (sum, analysis, i) => sum + (this.#aliases[i] === i ? analysis.exactByteLength : 0),
      0,
    );
  }

  /** Payload bytes of residuals coded exactly, as the analysis estimated them. */
  get losslessByteLength(): number {
    return this.analyses.reduce(
      (sum, analysis, i) => sum + (this.#aliases[i] === i ? (analysis.losslessByteLength ?? 0) : 0),
      0,
    );
  }

  /** Payload bytes of the points that were encoded last. */
  get payloadByteLength(): number {
    return this.#residuals.reduce((sum, state) => sum + state.payloadByteLength, 0);
  }

  /** Entries of one component of every residual together: Σ (rows + columns). */
  get componentElements(): number {
    return this.#residuals.reduce(
      (sum, { pair }) => sum + this.#pairs[pair]!.commonRows + this.#pairs[pair]!.columns,
      0,
    );
  }

  /**
   * Digests, residual norms and exact terms of every pair; the largest first, so that threads end together.
   * @param maxRank leading singular values to compute while a residual is in memory; default: none
   * @param estimate code nothing, and estimate what exact coding takes instead; default: code
   */
  async analyse(maxRank?: number, estimate?: 'exact-rows' | 'lossless'): Promise<void> {
    const options = {
      compare: this.#compare,
      ...(maxRank === undefined ? {} : { spectrum: this.#spectra.request(maxRank) }),
      ...(estimate === undefined ? {} : { estimate }),
    };
    const order = this.#pairs.map((_, i) => i);
    order.sort(
      (x, y) => this.#pairs[y]!.fineTuned.byteLength - this.#pairs[x]!.fineTuned.byteLength || x - y,
    );
    await this.#jobs.forEach('analyse', order, async (pair) => {
      const { encoded, ...analysis } = await this.#jobs.run({ kind: 'analyse', pair, ...options });
      this.analyses[pair] = analysis;
      if (encoded !== undefined) await this.#encoder.keep(pair, encoded);
    });
    this.#aliases = findTied(this.#pairs, this.analyses);
    for (const [i, analysis] of this.analyses.entries()) {
      if (analysis.squaredResidual === 0) continue;
      const tied = this.#residuals.find((state) => state.pair === this.#aliases[i]);
      if (tied !== undefined) {
        tied.copies++;
        continue;
      }
      const state: ResidualState = {
        pair: i,
        energy: analysis.squaredResidual,
        roundingEnergy: analysis.roundingEnergy,
        copies: 1,
        singularValues: new Float64Array(0),
        isComplete: false,
        productBits: undefined,
        productByteLength: undefined,
        payloadByteLength: 0,
        // A segment that does not shrink is stored, so the tensor's bytes are a bound.
        exactByteLength: this.#pairs[i]!.fineTuned.byteLength,
      };
      this.#residuals.push(state);
      if (analysis.spectrum !== undefined) this.#spectra.set(state, analysis.spectrum);
    }
  }

  /** Leading singular values of a pair's residual as far as they are known; none without a residual. */
  singularValues(pair: number): Float64Array {
    const state = this.#residuals.find((candidate) => candidate.pair === this.#aliases[pair]);
    return state?.singularValues ?? new Float64Array(0);
  }

  /** Leading singular values of every residual, at least `maxRank` where there are so many; by pair, aliases left out. */
  async spectra(maxRank: number): Promise<ReadonlyMap<number, KnownSpectrum>> {
    await this.#spectra.extend(this.#residuals, () => maxRank);
    const shared = new Set(this.units.filter((unit) => unit.length > 1).flat());
    return new Map(
      this.#residuals.map((state, i) => [
        state.pair,
        {
          ...allocationTensor(state, this.#pairs[state.pair]!, this.#constraints),
          complete: state.isComplete,
          sharesBasis: shared.has(i),
        },
      ]),
    );
  }

  /** Rank of the product of every residual that was recognised as one, aliases left out. */
  get productRanks(): readonly number[] {
    const products = this.#residuals.filter((state) => state.productBits !== undefined);
    return products.map((state) => state.singularValues.length);
  }

  /** Computes spectra up to `maxRank`, then allocates; spectra that turn out too short are doubled. */
  async allocate(
    target: AllocationTarget,
    options: AllocateOptions,
    maxRank: number,
  ): Promise<AllocationResult> {
    return this.#spectra.allocate(this.#residuals, target, options, maxRank);
  }

  /** The i-th residual as a low-rank product that was merged and rounded, where it was recognised as one. */
  product(residual: number): ProductSize | undefined {
    const { pair, productBits: bits, productByteLength, singularValues } = this.#residuals[residual]!;
    if (bits === undefined) return undefined;
    const { commonRows, columns } = this.#pairs[pair]!;
    const rank = singularValues.length;
    const byteLength = rank * componentByteLength(commonRows, columns, bits);
    return { rank, bits, byteLength, withSmallWeights: productByteLength ?? byteLength };
  }

  /** The engine of the matrix products. */
  async engine(): Promise<EngineResult> {
    if (this.#residuals.length === 0) return { engine: 'none', warnings: [] };
    return this.#jobs.runAnywhere({ kind: 'engine', pair: 0 });
  }

  /**
   * Residuals that take one step: alone, or those with the same inputs together, where they are small enough that
   * a shared basis pays for its time. By number, in the order of their first ones.
   */
  get units(): readonly (readonly number[])[] {
    this.#units ??= findUnits(
      this.#residuals.map((state) => {
        const { fineTuned, columns } = this.#pairs[state.pair]!;
        const isGroupable =
          this.#constraints.sharedBases === true &&
          this.analyses[state.pair]!.case === 'residual' &&
          canShareBasis(state, this.#pairs[state.pair]!);
        return { name: fineTuned.name, columns, isGroupable };
      }),
    );
    return this.#units;
  }

  /** Units as the search for a step sees them. */
  get unitShapes(): readonly { readonly elements: number; readonly energy: number }[] {
    return this.units.map((unit) => {
      const states = unit.map((i) => this.#residuals[i]!);
      const elements = states.map(({ pair }) => this.#pairs[pair]!.commonRows * this.#pairs[pair]!.columns);
      return {
        elements: elements.reduce((sum, count) => sum + count, 0),
        energy: states.reduce((sum, { energy }) => sum + energy, 0),
      };
    });
  }

  /**
   * Encodes every tensor that is not the base's. By pair, aliases included.
   * @param choiceOf what the i-th residual is coded as
   */
  async encode(choiceOf: (residual: number) => Choice): Promise<(StoredTensor | undefined)[]> {
    const choices = new Map<number, Choice>();
    for (const unit of this.units) {
      const group = unit.map((i) => this.#residuals[i]!.pair);
      for (const [m, i] of unit.entries()) {
        const choice = choiceOf(i);
        const isTogether = unit.length > 1 && choice.kind === 'rate-distortion';
        choices.set(group[m]!, isTogether ? { ...choice, group } : choice);
      }
    }
    return this.#encodeChoices((pair) => choices.get(pair) ?? { kind: 'none' });
  }

  /** By unit what the choice of it came to when it was encoded last. */
  get parts(): readonly { readonly byteLength: number; readonly squaredError: number }[] {
    return this.units.map((unit) => {
      const states = unit.map((i) => this.#residuals[i]!);
      const shared = new Map<StoredChunk, number>();
      for (const { pair } of unit.length > 1 ? states : []) {
        for (const { chunks } of this.#encoder.encoded(pair)?.terms ?? [])
          for (const { chunk } of chunks) shared.set(chunk, (shared.get(chunk) ?? -1) + 1);
      }
      let byteLength = states.reduce((sum, state) => sum + state.payloadByteLength, 0);
      for (const [chunk, repeats] of shared) byteLength -= repeats * chunk.byteLength;
      return {
        byteLength,
        squaredError: states.reduce(
          (sum, { pair, copies }) => sum + copies * (this.#encoder.encoded(pair)?.squaredError ?? 0),
          0,
        ),
      };
    });
  }

  /**
   * Predicts what encoding would come to, by unit, from spectra and samples.
   * @param choiceOf what the i-th residual is coded as; a product is as large as it says
   */
  async estimate(
    choiceOf: (residual: number) => RateDistortionChoice,
  ): Promise<readonly Pick<ResidualEstimate, 'byteLength' | 'squaredError'>[]> {
    const estimates: ResidualEstimate[] = [];
    await this.#jobs.forEach(
      'analyse',
      this.#residuals.map(({ pair }) => pair),
      async (pair) => {
        const i = this.#residuals.findIndex((state) => state.pair === pair);
        const { copies, roundingEnergy } = this.#residuals[i]!;
        const product = this.product(i);
        const choice = choiceOf(i);
        const estimate = await this.#jobs.run({ kind: 'estimate', pair, choice });
        // The sum is rounded to the tensor's dtype; the base alone is not.
        const isCoded = estimate.rank > 0 || estimate.dense;
        const takesProduct = product !== undefined && product.byteLength <= estimate.byteLength;
        estimates[i] = takesProduct
          ? { byteLength: product.byteLength, squaredError: 0, rank: product.rank, dense: false }
          : { ...estimate, squaredError: copies * (estimate.squaredError + (isCoded ? roundingEnergy : 0)) };
      },
    );
    return this.units.map((unit) => {
      const own = unit.map((i) => estimates[i]!);
      const byteLength = own.reduce((sum, estimate) => sum + estimate.byteLength, 0);
      return {
        byteLength: Math.ceil(unit.length > 1 ? SHARED_SHARE * byteLength : byteLength),
        squaredError: own.reduce((sum, estimate) => sum + estimate.squaredError, 0),
      };
    });
  }

  /** Bytes that exact terms on top of these choices are expected to take, together. */
  async estimateOnTop(choiceOf: (residual: number) => Choice): Promise<number> {
    let byteLength = 0;
    const ofPair = new Map(this.#residuals.map(({ pair }, i) => [pair, i]));
    await this.#jobs.forEach('refine', [...ofPair.keys()], async (pair) => {
      const i = ofPair.get(pair)!;
      const productByteLength = this.product(i)?.byteLength;
      const job = { kind: 'estimate-on-top', pair, choice: choiceOf(i), productByteLength } as const;
      const estimate = await this.#jobs.run(job);
      byteLength += estimate;
    });
    return byteLength;
  }

  /**
   * Encodes every tensor that is not the base's bit for bit. By pair, aliases included.
   * @throws IntegrityError where one is not
   */
  async encodeExactly(): Promise<(StoredTensor | undefined)[]> {
    const tensors = await this.#encodeChoices((pair) => {
      const tensorCase = this.analyses[pair]!.case;
      const isResidual = tensorCase === 'residual' || tensorCase === 'resized';
      return isResidual ? { kind: 'exact', lowRankFirst: true } : { kind: 'none' };
    });
    for (const [pair, tensor] of tensors.entries()) {
      if (tensor !== undefined) this.#encoder.assertExact(pair, tensor.decodedDigest);
    }
    return tensors;
  }

  /**
   * Exact terms on top of tensors that lost something; undefined for others. By pair, aliases included.
   * @throws IntegrityError where they do not make a tensor exact
   */
  async refine(
    tensors: readonly (StoredTensor | undefined)[],
  ): Promise<(readonly StoredTerm[] | undefined)[]> {
    const lossy = this.#pairs.flatMap((_, pair) => {
      const tensor = tensors[pair];
      const isLossy = tensor !== undefined && tensor.decodedDigest !== this.analyses[pair]!.fineTunedDigest;
      return isLossy && this.#aliases[pair] === pair ? [pair] : [];
    });
    await this.#encoder.refine(lossy, tensors);
    const isRefined = new Set(lossy);
    return this.#aliases.map((first) => (isRefined.has(first) ? this.#encoder.refined(first) : undefined));
  }

  async #encodeChoices(choiceOf: (pair: number) => Choice): Promise<(StoredTensor | undefined)[]> {
    const own = this.#pairs.flatMap((_, pair) =>
      this.#aliases[pair] === pair && this.analyses[pair]!.case !== 'identical' ? [pair] : [],
    );
    await this.#encoder.encode(own, choiceOf);
    for (const state of this.#residuals) this.#measure(state, choiceOf(state.pair));
    return this.#aliases.map((first) => this.#encoder.encoded(first));
  }

  /** The terms of a choice are those of the common rows; further rows are exact whatever the budget. */
  #measure(state: ResidualState, choice: Choice): void {
    const { commonRows } = this.#pairs[state.pair]!;
    const terms = choice.kind === 'none' ? [] : this.#encoder.encoded(state.pair)!.terms;
    const own = terms.filter(({ rows }) => rows === undefined || rows[0] < commonRows);
    state.payloadByteLength = storedByteLength(own);
    if (choice.kind === 'exact') state.exactByteLength = state.payloadByteLength;
  }
}

/**
 * One encode in progress: analyses every pair once, keeps spectra as long as the allocation needs
 * them, and encodes tensors for the operating points that a budget search asks for. A tensor is
 * encoded again only when its point changed.
 */
import type { Digest } from '../../formats/ere/archive-index.js';
import { IntegrityError } from '../../formats/errors.js';
import { type AllocateOptions, type AllocationResult, allocate } from '../allocation/allocate.js';
import type { AllocationTarget } from '../allocation/allocation.js';
import type { Choice, RateDistortionChoice } from '../allocation/operating-points.js';
import { componentByteLength } from '../codecs/low-rank.js';
import type { WorkerPool } from '../io/worker-pool.js';
import type { SvdGrowth } from '../linalg/growing-svd.js';
import type { ResidualEstimate } from '../rate-distortion/encode-residual.js';
import { SHARED_SHARE } from '../rate-distortion/model-step.js';
import type { Progress } from './api.js';
import type {
  AnalyseResult,
  EncodeJob,
  EncodeJobResult,
  EngineResult,
  SpectrumRequest,
  SpectrumResult,
} from './encode-jobs.js';
import type { EncodedTensor, TensorRefinement } from './encode-tensor.js';
import { findUnits, shareBasis } from './encode-units.js';
import type { TensorPair } from './pair-tensors.js';
import {
  allocationTensor,
  canShareBasis,
  type KnownSpectrum,
  type ProductSize,
  type ResidualState,
  rankLimit,
  type TensorConstraints,
} from './residual-state.js';
import {
  loadTerms,
  memoryStore,
  type StoredChunk,
  type StoredTensor,
  type StoredTerm,
  storedByteLength,
  type TensorStore,
} from './stored-chunks.js';

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

/** Pairs that are coded together by a choice. */
function groupOf(choice: Choice): readonly number[] | undefined {
  return choice.kind === 'rate-distortion' ? choice.group : undefined;
}

export class EncodeSession {
  readonly analyses: AnalyseResult[] = [];
  /** Per pair the index of an earlier pair with the same bytes on both sides (tied tensors), or its own. */
  readonly aliases: number[] = [];
  readonly #pool: WorkerPool<EncodeJob, EncodeJobResult>;
  readonly #pairs: readonly TensorPair[];
  readonly #compare: boolean;
  readonly #constraints: EncodeSessionOptions['constraints'];
  readonly #onProgress: EncodeSessionOptions['onProgress'];
  readonly #workers: number[] = [];
  readonly #residuals: ResidualState[] = [];
  /** Pairs of which all singular values are known: as many as the smaller side, or fewer than asked for. */
  readonly #complete = new Set<number>();
  readonly #encoded = new Map<number, { readonly key: string; readonly result: StoredTensor }>();
  readonly #refined = new Map<number, { readonly of: StoredTensor; readonly terms: readonly StoredTerm[] }>();
  readonly #store: TensorStore;
  /** By pair how components were looked for so far: factors follow from it. */
  readonly #growths: SvdGrowth[] = [];
  #units: readonly (readonly number[])[] | undefined;

  constructor(options: EncodeSessionOptions) {
    this.#pool = options.pool;
    this.#pairs = options.pairs;
    this.#compare = options.compare ?? false;
    this.#constraints = options.constraints;
    this.#store = options.store ?? memoryStore;
    this.#onProgress = options.onProgress;
  }

  /** Σ‖W_ft − W_base‖² over all residuals, tied ones each. */
  get squaredResidual(): number {
    return this.#residuals.reduce((sum, state) => sum + state.copies * state.energy, 0);
  }

  /** Payload bytes of what is coded exactly whatever the budget. */
  get exactByteLength(): number {
    return this.analyses.reduce(
      (sum, analysis, i) => sum + (this.aliases[i] === i ? analysis.exactByteLength : 0),
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
   */
  async analyse(maxRank?: number): Promise<void> {
    const spectrum = maxRank === undefined ? {} : { spectrum: this.#spectrumRequest(maxRank) };
    const order = this.#pairs.map((_, i) => i);
    order.sort(
      (x, y) => this.#pairs[y]!.fineTuned.byteLength - this.#pairs[x]!.fineTuned.byteLength || x - y,
    );
    await this.#forEach('analyse', order, async (pair) => {
      const { result, worker } = await this.#pool.run({
        kind: 'analyse',
        pair,
        compare: this.#compare,
        ...spectrum,
      });
      const { encoded, ...analysis } = result as AnalyseResult;
      this.analyses[pair] = analysis;
      this.#workers[pair] = worker;
      if (encoded !== undefined) {
        const choice: Choice = { kind: 'none' };
        const key = this.#storeKey(pair, choice);
        const stored = this.#store.find(key) ?? (await this.#store.put(key, encoded));
        this.#encoded.set(pair, { key: JSON.stringify(choice), result: stored });
      }
    });
    const firsts = new Map<string, number>();
    for (const [i, analysis] of this.analyses.entries()) {
      const { fineTuned, base } = this.#pairs[i]!;
      const { dtype, shape } = fineTuned;
      const key = [analysis.fineTunedDigest, dtype, shape.join(), analysis.baseDigest, base?.dtype].join();
      if (!firsts.has(key)) firsts.set(key, i);
      this.aliases[i] = firsts.get(key)!;
      if (analysis.squaredResidual === 0) continue;
      const tied = this.#residuals.find((state) => state.pair === this.aliases[i]);
      if (tied !== undefined) {
        tied.copies++;
        continue;
      }
      const state: ResidualState = {
        pair: i,
        worker: this.#workers[i]!,
        energy: analysis.squaredResidual,
        roundingEnergy: analysis.roundingEnergy,
        copies: 1,
        singularValues: new Float64Array(0),
        productBits: undefined,
        productByteLength: undefined,
        payloadByteLength: 0,
        // A segment that does not shrink is stored, so the tensor's bytes are a bound.
        exactByteLength: fineTuned.byteLength,
      };
      this.#residuals.push(state);
      if (analysis.spectrum !== undefined) this.#setSpectrum(state, analysis.spectrum);
    }
  }

  /** Leading singular values of a pair's residual as far as they are known; none without a residual. */
  singularValues(pair: number): Float64Array {
    const state = this.#residuals.find((candidate) => candidate.pair === this.aliases[pair]);
    return state?.singularValues ?? new Float64Array(0);
  }

  /** Leading singular values of every residual, at least `maxRank` where there are so many; by pair, aliases left out. */
  async spectra(maxRank: number): Promise<ReadonlyMap<number, KnownSpectrum>> {
    await this.#extendSpectra(this.#residuals, () => maxRank);
    const shared = new Set(this.units.filter((unit) => unit.length > 1).flat());
    return new Map(
      this.#residuals.map((state, i) => [
        state.pair,
        {
          ...allocationTensor(state, this.#pairs[state.pair]!, this.#constraints),
          complete: this.#isComplete(state),
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
    await this.#extendSpectra(this.#residuals, () => maxRank);
    for (;;) {
      const result = allocate(
        this.#residuals.map((state) => allocationTensor(state, this.#pairs[state.pair]!, this.#constraints)),
        target,
        options,
      );
      const short = this.#residuals.filter((state, i) => {
        const { choice } = result.points[i]!;
        return (
          choice.kind === 'low-rank' &&
          choice.rank === state.singularValues.length &&
          choice.rank < rankLimit(state, this.#constraints) &&
          !this.#isComplete(state)
        );
      });
      if (short.length === 0) return result;
      await this.#extendSpectra(short, (state) => 2 * state.singularValues.length);
    }
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
    return (await this.#pool.run({ kind: 'engine', pair: 0 })).result as EngineResult;
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
        for (const { chunks } of this.#encoded.get(pair)?.result.terms ?? [])
          for (const { chunk } of chunks) shared.set(chunk, (shared.get(chunk) ?? -1) + 1);
      }
      let byteLength = states.reduce((sum, state) => sum + state.payloadByteLength, 0);
      for (const [chunk, repeats] of shared) byteLength -= repeats * chunk.byteLength;
      return {
        byteLength,
        squaredError: states.reduce(
          (sum, { pair, copies }) => sum + copies * (this.#encoded.get(pair)?.result.squaredError ?? 0),
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
    await this.#forEach(
      'analyse',
      this.#residuals.map(({ pair }) => pair),
      async (pair) => {
        const i = this.#residuals.findIndex((state) => state.pair === pair);
        const { copies, worker, roundingEnergy } = this.#residuals[i]!;
        const product = this.product(i);
        const choice = choiceOf(i);
        const { result } = await this.#pool.run({ kind: 'estimate', pair, choice }, worker);
        const estimate = result as ResidualEstimate;
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

  /** Encodes every tensor that is not the base's bit for bit. By pair, aliases included. */
  async encodeExactly(): Promise<(StoredTensor | undefined)[]> {
    return this.#encodeChoices((pair) => {
      const tensorCase = this.analyses[pair]!.case;
      const isResidual = tensorCase === 'residual' || tensorCase === 'resized';
      return isResidual ? { kind: 'exact', lowRankFirst: true } : { kind: 'none' };
    });
  }

  /** Exact terms on top of tensors that lost something; undefined for others. By pair, aliases included. */
  async refine(
    tensors: readonly (StoredTensor | undefined)[],
  ): Promise<(readonly StoredTerm[] | undefined)[]> {
    const lossy = this.#pairs.flatMap((_, pair) => {
      const tensor = tensors[pair];
      const isLossy = tensor !== undefined && tensor.decodedDigest !== this.analyses[pair]!.fineTunedDigest;
      return isLossy && this.aliases[pair] === pair ? [pair] : [];
    });
    await this.#forEach('refine', lossy, async (pair) => {
      const tensor = tensors[pair]!;
      if (this.#refined.get(pair)?.of === tensor) return;
      const { terms, decodedDigest } = await this.#refine(pair, tensor);
      this.assertExact(pair, decodedDigest);
      this.#refined.set(pair, { of: tensor, terms });
    });
    const isRefined = new Set(lossy);
    return this.#pairs.map((_, pair) => {
      const first = this.aliases[pair]!;
      return isRefined.has(first) ? this.#refined.get(first)!.terms : undefined;
    });
  }

  async #refine(pair: number, tensor: StoredTensor): Promise<StoredTensor> {
    // What the terms decode to follows from their payload.
    const payload = tensor.terms.map(({ codec, rows, params, chunks }) => ({
      codec,
      rows,
      params,
      chunks: chunks.map(({ chunk }) => [chunk.byteLength, chunk.crc32]),
    }));
    const key = JSON.stringify([this.#pairKey(pair), 'refined', tensor.decodedDigest, payload]);
    const found = this.#store.find(key);
    if (found !== undefined) return found;
    const job: EncodeJob = { kind: 'refine', pair, terms: await loadTerms(tensor.terms) };
    const refinement = (await this.#pool.run(job)).result as TensorRefinement;
    return this.#store.put(key, { ...refinement, squaredError: 0 });
  }

  /** @throws IntegrityError unless the digest is that of the fine-tuned tensor */
  assertExact(pair: number, decodedDigest: Digest): void {
    const { fineTunedDigest } = this.analyses[pair]!;
    if (decodedDigest === fineTunedDigest) return;
    throw new IntegrityError(
      `tensor "${this.#pairs[pair]!.fineTuned.name}" as encoded exactly`,
      fineTunedDigest,
      decodedDigest,
      'the checkpoint changed meanwhile, or this build is at fault',
    );
  }

  /** Encodes the tensors whose choice is not the one they were last encoded with. */
  async #encodeChoices(choiceOf: (pair: number) => Choice): Promise<(StoredTensor | undefined)[]> {
    const pending = this.#pairs.flatMap((_, pair) => {
      if (this.aliases[pair] !== pair || this.analyses[pair]!.case === 'identical') return [];
      const choice = choiceOf(pair);
      return this.#encoded.get(pair)?.key === JSON.stringify(choice) ? [] : [{ pair, choice }];
    });
    /** By pair, or by the first one of a group. */
    const byPair = new Map(
      pending.map(({ pair, choice }) => [groupOf(choice)?.[0] ?? pair, choice] as const),
    );
    await this.#forEach('encode', [...byPair.keys()], async (pair) => {
      const choice = byPair.get(pair)!;
      const group = groupOf(choice);
      const results =
        group === undefined
          ? [await this.#encode(pair, choice)]
          : await this.#encodeGroup(group, choice as RateDistortionChoice);
      for (const [i, member] of (group ?? [pair]).entries())
        this.#encoded.set(member, { key: JSON.stringify(choice), result: results[i]! });
    });
    for (const state of this.#residuals) this.#measure(state, choiceOf(state.pair));
    return this.#pairs.map((_, pair) => this.#encoded.get(this.aliases[pair]!)?.result);
  }

  /** A tensor that an interrupted run has finished, or encodes it. */
  async #encode(pair: number, choice: Choice): Promise<StoredTensor> {
    const key = this.#storeKey(pair, choice);
    const found = this.#store.find(key);
    if (found === undefined) {
      const { result } = await this.#pool.run({ kind: 'encode', pair, choice }, this.#workers[pair]);
      const encoded = result as EncodedTensor;
      if (encoded.growth !== undefined) this.#growths[pair] = encoded.growth;
      return this.#store.put(key, encoded);
    }
    const { growth, singularValues } = found;
    const isOther = JSON.stringify(growth) !== JSON.stringify(this.#growths[pair]);
    if (isOther && growth !== undefined && singularValues !== undefined) {
      // The thread goes on as if it had encoded the tensor itself: what comes next is the same then.
      await this.#pool.run({ kind: 'recall', pair, growth, singularValues }, this.#workers[pair]);
      this.#growths[pair] = growth;
    }
    return found;
  }

  /** The same of a group; what a part of it was interrupted in is encoded anew. */
  async #encodeGroup(
    group: readonly number[],
    choice: RateDistortionChoice,
  ): Promise<readonly StoredTensor[]> {
    // A shared basis follows from every member.
    const members = group.map((pair) => this.#pairKey(pair));
    const keys = group.map((_, i) => JSON.stringify([members, 'group', i, choice]));
    const found = keys.map((key) => this.#store.find(key)).filter((tensor) => tensor !== undefined);
    if (found.length === group.length) return shareBasis(found);
    const energies = group.map((pair) => this.#residuals.find((state) => state.pair === pair)!.energy);
    const [pair] = group as [number];
    const job: EncodeJob = { kind: 'encode-group', pair, pairs: group, energies, choice };
    const tensors = (await this.#pool.run(job, this.#workers[pair])).result as readonly EncodedTensor[];
    const stored: StoredTensor[] = [];
    for (const [i, tensor] of tensors.entries()) stored.push(await this.#store.put(keys[i]!, tensor));
    return shareBasis(stored);
  }

  /** What an encoded tensor follows from. */
  #storeKey(pair: number, choice: Choice): string {
    const { recoverProducts } = this.#constraints;
    return JSON.stringify([this.#pairKey(pair), this.#growths[pair], recoverProducts, choice]);
  }

  #pairKey(pair: number): unknown {
    const { fineTunedDigest, baseDigest } = this.analyses[pair]!;
    const { name, shape, dtype } = this.#pairs[pair]!.fineTuned;
    return [name, dtype, shape, fineTunedDigest, baseDigest];
  }

  /** The terms of a choice are those of the common rows; further rows are exact whatever the budget. */
  #measure(state: ResidualState, choice: Choice): void {
    const { commonRows } = this.#pairs[state.pair]!;
    const terms = choice.kind === 'none' ? [] : this.#encoded.get(state.pair)!.result.terms;
    const own = terms.filter(({ rows }) => rows === undefined || rows[0] < commonRows);
    state.payloadByteLength = storedByteLength(own);
    if (choice.kind === 'exact') state.exactByteLength = state.payloadByteLength;
  }

  #isComplete(state: ResidualState): boolean {
    return this.#complete.has(state.pair);
  }

  async #extendSpectra(
    states: readonly ResidualState[],
    rankOf: (state: ResidualState) => number,
  ): Promise<void> {
    const wanted = states.filter(
      (state) => !this.#isComplete(state) && state.singularValues.length < rankOf(state),
    );
    await this.#forEach(
      'analyse',
      wanted.map((state) => state.pair),
      async (pair) => {
        const state = wanted.find((candidate) => candidate.pair === pair)!;
        const spectrum = this.#spectrumRequest(rankOf(state));
        const { result } = await this.#pool.run({ kind: 'spectrum', pair, spectrum }, state.worker);
        this.#setSpectrum(state, result as SpectrumResult);
      },
    );
  }

  #spectrumRequest(maxRank: number): SpectrumRequest {
    const { recoverProducts: recover, sampleRows: sample = false } = this.#constraints;
    return { maxRank, recover, sample };
  }

  #setSpectrum(state: ResidualState, spectrum: SpectrumResult): void {
    const { singularValues, asked, growth, productBits, productByteLength } = spectrum;
    state.singularValues = singularValues;
    state.productBits = productBits;
    state.productByteLength = productByteLength;
    this.#growths[state.pair] = growth;
    const { commonRows, columns } = this.#pairs[state.pair]!;
    const known = singularValues.length;
    if (known < asked || known === Math.min(commonRows, columns)) this.#complete.add(state.pair);
  }

  /** Runs `work` for every pair at once (the pool queues), reporting progress as they end. */
  async #forEach(
    phase: Progress['phase'],
    pairs: readonly number[],
    work: (pair: number) => Promise<void>,
  ): Promise<void> {
    const totalByteLength = pairs.reduce((sum, pair) => sum + this.#pairs[pair]!.fineTuned.byteLength, 0);
    let doneByteLength = 0;
    await Promise.all(
      pairs.map(async (pair) => {
        await work(pair);
        const { name, byteLength } = this.#pairs[pair]!.fineTuned;
        doneByteLength += byteLength;
        this.#onProgress?.({ phase, doneByteLength, totalByteLength, tensor: name });
      }),
    );
  }
}

/** The encoder's work on single tensors, run by the worker pool. Factors stay in the thread that made them. */
import type { MessagePort } from 'node:worker_threads';
import type { Checkpoint } from '../../formats/checkpoint.js';
import type { RateDistortionChoice } from '../allocation/operating-points.js';
import type { EncodedTerm } from '../codecs/codec.js';
import { nodeRuntime } from '../io/node-runtime.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import type { JobRunner } from '../io/worker-pool.js';
import type { Kernels } from '../kernels/kernels.js';
import { type GemmKernel, type OpenedGemmEngine, openGemmEngine } from '../linalg/gemm-engine.js';
import type { ResidualEstimate } from '../rate-distortion/encode-residual.js';
import { estimateUnweighted } from '../rate-distortion/estimate-unweighted.js';
import { analyseTensor, type ReadablePair } from './analyse-tensor.js';
import { compareTensor } from './compare-tensor.js';
import type {
  AnalyseResult,
  EncodeJob,
  EncodeJobResult,
  EncodeJobsInit,
  SpectrumRequest,
  SpectrumResult,
} from './encode-job.js';
import { type EncodedTensor, encodeTensor, finishTensor, refineTensor } from './encode-tensor.js';
import { byteLengthOf } from './encoded-terms.js';
import { estimateExactly, estimateRowsExactly } from './estimate-exact.js';
import { estimateOnTop } from './estimate-on-top.js';
import { encodeExactly } from './exact-terms.js';
import { GroupSource } from './group-source.js';
import type { Importance } from './importance.js';
import { PairSource, type RecoverNoise } from './pair-source.js';
import { pairTensors } from './pair-tensors.js';
import type { Runtime } from './runtime.js';

export type * from './encode-job.js';

export async function openJobs(
  init: EncodeJobsInit,
  port?: MessagePort,
): Promise<JobRunner<EncodeJob, EncodeJobResult>> {
  const base = await openCheckpoint(init.base);
  const fineTuned = await openCheckpoint(init.fineTuned);
  return new EncodeJobs(init, base, fineTuned, port);
}

/** Share of a thread's memory that is kept between jobs; a job works in the rest. */
const KEPT_SHARE = 0.6;

/** Share of it for the components of groups. */
const GROUPS_SHARE = 0.1;

class EncodeJobs implements JobRunner<EncodeJob, EncodeJobResult> {
  readonly #base: Checkpoint;
  readonly #fineTuned: Checkpoint;
  readonly #runtime: Runtime;
  readonly #gemm: EncodeJobsInit['gemm'];
  readonly #device: { readonly name: string; readonly port: MessagePort } | undefined;
  readonly #deviceWarning: string | undefined;
  readonly #importance: Importance | undefined;
  readonly #pairs: ReturnType<typeof pairTensors>['pairs'];
  readonly #exactTerms = new Map<number, readonly EncodedTerm[]>();
  readonly #noise = new Map<number, RecoverNoise>();
  /** The least recently used first. */
  readonly #sources = new Map<number, PairSource>();
  /** By first pair. */
  readonly #groups = new Map<number, GroupSource>();
  readonly #memoryShare: number;
  #opened: Promise<OpenedGemmEngine> | undefined;

  constructor(init: EncodeJobsInit, base: Checkpoint, fineTuned: Checkpoint, port: MessagePort | undefined) {
    this.#base = base;
    this.#fineTuned = fineTuned;
    this.#runtime = nodeRuntime(init.kernels);
    this.#gemm = init.gemm;
    const { name, warning } = init.device;
    this.#device = name === undefined || port === undefined ? undefined : { name, port };
    this.#deviceWarning = warning;
    this.#importance = init.importance;
    this.#memoryShare = init.memoryShare;
    this.#pairs = pairTensors(base, fineTuned).pairs;
  }

  async run(job: EncodeJob): Promise<EncodeJobResult> {
    if (job.kind === 'analyse' || job.kind === 'spectrum' || job.kind === 'encode') {
      const source = this.#source(job.pair);
      this.#trim(source.missingByteLength, source);
    } else if (job.kind === 'encode-group') {
      const pairs = job.pairs.map((pair) => this.#pairs[pair]!);
      const elements = pairs.reduce((sum, { commonRows, columns }) => sum + commonRows * columns, 0);
      this.#trim(elements * Float32Array.BYTES_PER_ELEMENT);
    }
    try {
      return await this.#run(job);
    } finally {
      this.#trim();
    }
  }

  async #run(job: EncodeJob): Promise<EncodeJobResult> {
    const readable = this.#readable(job.pair);
    switch (job.kind) {
      case 'analyse':
        return this.#analyse(job, readable);
      case 'engine': {
        const { engine, warning } = await this.#engine();
        const warnings = [this.#deviceWarning, warning].filter((text) => text !== undefined);
        return { engine: engine.name, warnings };
      }
      case 'spectrum':
        return this.#spectrum(job.pair, job.spectrum);
      case 'estimate':
        return this.#estimate(job.pair, job.choice);
      case 'estimate-on-top':
        return estimateOnTop(readable, this.#source(job.pair), job.choice, job.productByteLength);
      case 'encode':
        return encodeTensor(
          readable,
          job.choice,
          this.#source(job.pair),
          this.#exactTerms.get(job.pair) ?? [],
        );
      case 'recall':
        this.#source(job.pair).recall(job.growth, job.singularValues);
        return undefined;
      case 'encode-group':
        return this.#encodeGroup(job);
      case 'refine':
        return refineTensor(readable, job.terms);
    }
  }

  #estimate(pair: number, choice: RateDistortionChoice): Promise<ResidualEstimate> {
    const { energy } = this.#noise.get(pair)!;
    return estimateUnweighted(this.#source(pair), energy, choice, this.#runtime.kernels);
  }

  async #encodeGroup({
    pair,
    pairs,
    energies,
    choice,
  }: Extract<EncodeJob, { readonly kind: 'encode-group' }>): Promise<readonly EncodedTensor[]> {
    let group = this.#groups.get(pair);
    if (group === undefined) {
      const members = pairs.map((member, i) => ({ readable: this.#readable(member), energy: energies[i]! }));
      group = new GroupSource(members, {
        engine: async () => (await this.#engine()).engine,
        cacheByteLimit: this.#memoryShare * KEPT_SHARE,
      });
      this.#groups.set(pair, group);
    }
    try {
      return await group.encode(choice);
    } finally {
      group.dropMembers();
      this.#trimGroups();
    }
  }

  #trimGroups(): void {
    const groups = [...this.#groups.values()];
    const held = groups.reduce((sum, { factorByteLength }) => sum + factorByteLength, 0);
    if (held > this.#memoryShare * GROUPS_SHARE) for (const group of groups) group.dropFactors();
  }

  async #analyse(
    { pair, compare, spectrum, estimate }: Extract<EncodeJob, { readonly kind: 'analyse' }>,
    readable: ReadablePair,
  ): Promise<AnalyseResult> {
    const source = this.#source(pair);
    const { exactRows, ...analysis } = await analyseTensor(readable, (hashed) =>
      source.beginFirstPass(hashed),
    );
    const { squaredResidual, roundingEnergy } = analysis;
    source.squaredResidual = squaredResidual;
    source.endFirstPass(squaredResidual > 0);
    const isResidual = analysis.case === 'residual' || analysis.case === 'resized';
    this.#noise.set(pair, { energy: squaredResidual, roundingEnergy });
    const found = {
      ...analysis,
      ...(compare && analysis.case !== 'identical' ? { comparison: await compareTensor(readable) } : {}),
      ...(spectrum && squaredResidual > 0 ? { spectrum: await this.#spectrum(pair, spectrum) } : {}),
    };
    if (estimate !== undefined) {
      const isWanted = isResidual && estimate === 'lossless';
      return {
        ...found,
        exactByteLength: exactRows === undefined ? 0 : await estimateRowsExactly(readable, exactRows),
        ...(isWanted ? { losslessByteLength: await estimateExactly(readable, source) } : {}),
      };
    }
    const exactTerms = exactRows === undefined ? [] : await encodeExactly(readable, exactRows);
    if (isResidual) this.#exactTerms.set(pair, exactTerms);
    return {
      ...found,
      exactByteLength: byteLengthOf(exactTerms),
      ...(isResidual || exactTerms.length === 0 || compare
        ? {}
        : { encoded: await finishTensor(readable, exactTerms) }),
    };
  }

  async #spectrum(pair: number, { maxRank, recover, sample }: SpectrumRequest): Promise<SpectrumResult> {
    const source = this.#source(pair);
    const { rows, columns } = source.stream;
    // One component of noise more tells that a product ends where the wanted rank does.
    const asked = Math.min(maxRank + (recover ? 1 : 0), rows, columns);
    const productBits = recover ? await source.recover(asked, this.#noise.get(pair)!) : undefined;
    const { singularValues } = await source.factors(asked);
    if (sample) await source.sample();
    return {
      singularValues: singularValues.slice(0, asked),
      asked,
      growth: source.growth,
      productBits,
      productByteLength: productBits === undefined ? undefined : byteLengthOf(await source.product()),
    };
  }

  /**
   * Lets go of what is over the share: residuals that are read again first, then what is computed again.
   * @param room bytes to be taken next
   * @param used what they are taken for: keeps what it has
   */
  #trim(room = 0, used?: PairSource): void {
    const sources = [...this.#sources.values()];
    const limit = this.#memoryShare * KEPT_SHARE - room;
    const kinds = [
      ['streamByteLength', 'dropStream'],
      ['resultByteLength', 'dropResults'],
      ['sampleByteLength', 'dropSample'],
    ] as const;
    let held = sources.reduce(
      (sum, source) => kinds.reduce((bytes, [byteLength]) => bytes + source[byteLength], sum),
      0,
    );
    for (const [byteLength, drop] of kinds) {
      for (const source of sources) {
        if (held <= limit) return;
        if (source === used) continue;
        held -= source[byteLength];
        source[drop]();
      }
    }
  }

  /** One GEMM thread a worker: the pool already uses every core, and results do not depend on the thread count. */
  #engine(): Promise<OpenedGemmEngine> {
    this.#opened ??= openGemmEngine({
      threads: 1,
      preferred: this.#gemm,
      ...(this.#device === undefined ? {} : { device: this.#device }),
      fallback: gemmKernel(this.#runtime.kernels),
    });
    return this.#opened;
  }

  #source(pair: number): PairSource {
    const source =
      this.#sources.get(pair) ??
      new PairSource({
        readable: this.#readable(pair),
        engine: async () => (await this.#engine()).engine,
        columnWeights: this.#importance?.get(this.#pairs[pair]!.fineTuned.name),
        cacheByteLimit: this.#memoryShare * KEPT_SHARE,
      });
    this.#sources.delete(pair);
    this.#sources.set(pair, source);
    return source;
  }

  async close(): Promise<void> {
    await (await this.#opened)?.engine.close();
    await Promise.all([this.#base.close(), this.#fineTuned.close()]);
  }

  #readable(index: number): ReadablePair {
    const pair = this.#pairs[index]!;
    const { base, fineTuned } = pair;
    return {
      pair,
      readFineTuned: (offset, length) => this.#fineTuned.read(fineTuned.name, offset, length),
      readBase:
        base === undefined ? undefined : (offset, length) => this.#base.read(base.name, offset, length),
      runtime: this.#runtime,
    };
  }
}

/** The WebAssembly product as the engine wants it. */
function gemmKernel(kernels: Kernels): GemmKernel {
  return (transposeA, m, n, k, a, b, c, accumulate) =>
    kernels.gemm({ transposeA, m, n, k, a, b, c, accumulate });
}

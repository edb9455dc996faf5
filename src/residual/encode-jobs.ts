/** The encoder's work on single tensors, run by the worker pool. Factors stay in the thread that made them. */
import type { Checkpoint } from '../../formats/checkpoint.js';
import type { Choice } from '../allocation/operating-points.js';
import type { EncodedTerm } from '../codecs/codec.js';
import type { LowRankFactors } from '../codecs/low-rank.js';
import { nodeRuntime } from '../io/node-runtime.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import type { JobRunner } from '../io/worker-pool.js';
import type { KernelPath, Kernels } from '../kernels/kernels.js';
import {
  type GemmEngine,
  type GemmKernel,
  type OpenedGemmEngine,
  openGemmEngine,
} from '../linalg/gemm-engine.js';
import type { MatrixStream } from '../linalg/matrix-stream.js';
import { streamProducts } from '../linalg/stream-products.js';
import { truncatedSvd } from '../linalg/truncated-svd.js';
import { normalizeWeights, weightColumns } from '../rate-distortion/weight-columns.js';
import { analyseTensor, type ReadablePair, type TensorAnalysis } from './analyse-tensor.js';
import { compareTensor, type TensorComparison } from './compare-tensor.js';
import {
  type EncodedTensor,
  encodeProduct,
  encodeTensor,
  type ResidualSource,
  refineTensor,
  type TensorRefinement,
} from './encode-tensor.js';
import { byteLengthOf } from './encoded-terms.js';
import { encodeRowsExactly } from './exact-terms.js';
import type { Importance } from './importance.js';
import { pairTensors } from './pair-tensors.js';
import { recoverProduct } from './recover-product.js';
import { residualStream } from './residual-stream.js';
import type { Runtime } from './runtime.js';

export interface EncodeJobsInit {
  readonly base: string;
  readonly fineTuned: string;
  readonly kernels: KernelPath;
  readonly gemm: 'auto' | 'wasm';
  /** Weights of the columns' errors, by tensor. */
  readonly importance: Importance | undefined;
}

export type EncodeJob =
  /** With `compare`: also equal elements and norms of both sides, for diff. */
  | { readonly kind: 'analyse'; readonly pair: number; readonly compare: boolean }
  /** Opens the engine of the matrix products; the pair is not looked at. */
  | { readonly kind: 'engine'; readonly pair: number }
  /** Leading singular values; the factors stay in the thread. With `recover`, a product that explains the residual. */
  | {
      readonly kind: 'spectrum';
      readonly pair: number;
      readonly maxRank: number;
      readonly recover?: { readonly energy: number; readonly roundingEnergy: number };
    }
  | { readonly kind: 'encode'; readonly pair: number; readonly choice: Choice }
  /** Exact terms on top of the lossy ones. */
  | { readonly kind: 'refine'; readonly pair: number; readonly terms: readonly EncodedTerm[] };

export type AnalyseResult = Omit<TensorAnalysis, 'exactTerms'> & {
  readonly exactByteLength: number;
  /** Where it was asked for, and the tensor is not the base's. */
  readonly comparison?: TensorComparison;
};
export interface SpectrumResult {
  /** Those of the product alone, where one was recovered. */
  readonly singularValues: Float64Array;
  /** Where the residual is a rounded product: the width that suffices for it. */
  readonly productBits: number | undefined;
  /** Then also the payload bytes of the product with its small weights. */
  readonly productByteLength: number | undefined;
}
export interface EngineResult {
  /** Name of the engine of the matrix products. */
  readonly engine: string;
  readonly warning: string | undefined;
}
export type EncodeJobResult =
  | AnalyseResult
  | SpectrumResult
  | EngineResult
  | EncodedTensor
  | TensorRefinement;

export async function openJobs(init: EncodeJobsInit): Promise<JobRunner<EncodeJob, EncodeJobResult>> {
  const base = await openCheckpoint(init.base);
  const fineTuned = await openCheckpoint(init.fineTuned);
  return new EncodeJobs(init, base, fineTuned);
}

class EncodeJobs implements JobRunner<EncodeJob, EncodeJobResult> {
  readonly #base: Checkpoint;
  readonly #fineTuned: Checkpoint;
  readonly #runtime: Runtime;
  readonly #gemm: EncodeJobsInit['gemm'];
  readonly #importance: Importance | undefined;
  readonly #pairs: ReturnType<typeof pairTensors>['pairs'];
  readonly #exactTerms = new Map<number, readonly EncodedTerm[]>();
  readonly #energies = new Map<number, number>();
  readonly #sources = new Map<number, PairSource>();
  #opened: Promise<OpenedGemmEngine> | undefined;

  constructor(init: EncodeJobsInit, base: Checkpoint, fineTuned: Checkpoint) {
    this.#base = base;
    this.#fineTuned = fineTuned;
    this.#runtime = nodeRuntime(init.kernels);
    this.#gemm = init.gemm;
    this.#importance = init.importance;
    this.#pairs = pairTensors(base, fineTuned).pairs;
  }

  async run(job: EncodeJob): Promise<EncodeJobResult> {
    const readable = this.#readable(job.pair);
    switch (job.kind) {
      case 'analyse': {
        const { exactTerms, ...analysis } = await analyseTensor(readable);
        this.#exactTerms.set(job.pair, exactTerms);
        this.#energies.set(job.pair, analysis.squaredResidual);
        const chunks = exactTerms.flatMap((term) => term.chunks);
        const compare = job.compare && analysis.case !== 'identical';
        return {
          ...analysis,
          exactByteLength: chunks.reduce((sum, chunk) => sum + chunk.bytes.byteLength, 0),
          ...(compare ? { comparison: await compareTensor(readable) } : {}),
        };
      }
      case 'engine': {
        const { engine, warning } = await this.#engine();
        return { engine: engine.name, warning };
      }
      case 'spectrum': {
        const source = this.#source(job.pair);
        const productBits = job.recover && (await source.recover(job.maxRank, job.recover));
        const { singularValues } = await source.factors(job.maxRank);
        return {
          singularValues: singularValues.slice(0, job.maxRank),
          productBits,
          productByteLength: productBits === undefined ? undefined : byteLengthOf(await source.product()),
        };
      }
      case 'encode':
        return encodeTensor(
          readable,
          job.choice,
          this.#source(job.pair),
          this.#exactTerms.get(job.pair) ?? [],
        );
      case 'refine':
        return refineTensor(readable, job.terms);
    }
  }

  /** One GEMM thread a worker: the pool already uses every core, and results do not depend on the thread count. */
  #engine(): Promise<OpenedGemmEngine> {
    this.#opened ??= openGemmEngine({
      threads: 1,
      preferred: this.#gemm,
      fallback: gemmKernel(this.#runtime.kernels),
    });
    return this.#opened;
  }

  #source(pair: number): PairSource {
    let source = this.#sources.get(pair);
    if (source === undefined) {
      const weights = this.#importance?.get(this.#pairs[pair]!.fineTuned.name);
      const engine = async (): Promise<GemmEngine> => (await this.#engine()).engine;
      source = new PairSource(this.#readable(pair), this.#energies.get(pair) ?? 0, engine, weights);
      this.#sources.set(pair, source);
    }
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

/** The residual of one pair: its stream, and as many components as were asked for so far. */
class PairSource implements ResidualSource {
  readonly engine: () => Promise<GemmEngine>;
  readonly columnWeights: Float32Array | undefined;
  readonly #readable: ReadablePair;
  readonly #energy: number;
  #stream: MatrixStream | undefined;
  #known: { readonly asked: number; readonly factors: LowRankFactors } | undefined;
  #exact: Promise<EncodedTerm> | undefined;
  #product: Promise<readonly EncodedTerm[]> | undefined;

  constructor(
    readable: ReadablePair,
    energy: number,
    engine: () => Promise<GemmEngine>,
    weights: Float32Array | undefined,
  ) {
    this.#readable = readable;
    this.#energy = energy;
    this.engine = engine;
    this.columnWeights = weights && normalizeWeights(weights);
  }

  async energy(): Promise<number> {
    if (this.columnWeights === undefined) return this.#energy;
    return streamProducts(this.#weighted(), { engine: await this.engine() }).energy();
  }

  /** R · diag(√weights), whose leading components serve the weighted error best. */
  #weighted(): MatrixStream {
    return this.columnWeights === undefined ? this.stream : weightColumns(this.stream, this.columnWeights);
  }

  get stream(): MatrixStream {
    this.#stream ??= residualStream(this.#readable);
    return this.#stream;
  }

  async factors(rank: number): Promise<LowRankFactors> {
    const { rows, columns } = this.stream;
    const wanted = Math.min(rank, rows, columns);
    if (this.#known === undefined || this.#known.asked < wanted) {
      const factors = await truncatedSvd(this.#weighted(), { maxRank: wanted, engine: await this.engine() });
      this.#known = { asked: wanted, factors };
    }
    return this.#known.factors;
  }

  /** Looks for a product that explains the residual, and takes its factors from then on; its width, if there is one. */
  async recover(
    rank: number,
    noise: { energy: number; roundingEnergy: number },
  ): Promise<number | undefined> {
    const factors = await this.factors(rank);
    const product = await recoverProduct(this.#readable, { factors, ...noise, engine: await this.engine() });
    if (product === undefined) return undefined;
    this.#known = { asked: Number.POSITIVE_INFINITY, factors: product.factors };
    this.#product = encodeProduct(this.#readable, product);
    return product.bits;
  }

  async product(): Promise<readonly EncodedTerm[]> {
    if (this.#product === undefined) throw new RangeError('expected a residual that is a product');
    return this.#product;
  }

  exact(): Promise<EncodedTerm> {
    this.#exact ??= encodeRowsExactly(this.#readable, 0, this.#readable.pair.commonRows);
    return this.#exact;
  }
}

/** The WebAssembly product as the engine wants it. */
function gemmKernel(kernels: Kernels): GemmKernel {
  return (transposeA, m, n, k, a, b, c, accumulate) =>
    kernels.gemm({ transposeA, m, n, k, a, b, c, accumulate });
}

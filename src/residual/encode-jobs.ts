/** The encoder's work on single tensors, run by the worker pool. Factors stay in the thread that made them. */
import type { Checkpoint } from '../../formats/checkpoint.js';
import type { Choice } from '../allocation/operating-points.js';
import type { EncodedTerm } from '../codecs/codec.js';
import type { LowRankFactors } from '../codecs/low-rank.js';
import { nodeRuntime } from '../io/node-runtime.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import type { JobRunner } from '../io/worker-pool.js';
import type { KernelPath, Kernels } from '../kernels/kernels.js';
import { type GemmKernel, type OpenedGemmEngine, openGemmEngine } from '../linalg/gemm-engine.js';
import { analyseTensor, type ReadablePair, type TensorAnalysis } from './analyse-tensor.js';
import { compareTensor, type TensorComparison } from './compare-tensor.js';
import { type EncodedTensor, encodeTensor } from './encode-tensor.js';
import { pairTensors } from './pair-tensors.js';
import { recoverProduct } from './recover-product.js';
import { residualFactors } from './residual-factors.js';
import type { Runtime } from './runtime.js';

export interface EncodeJobsInit {
  readonly base: string;
  readonly fineTuned: string;
  readonly kernels: KernelPath;
  readonly gemm: 'auto' | 'wasm';
}

export type EncodeJob =
  /** With `compare`: also equal elements and norms of both sides, for diff. */
  | { readonly kind: 'analyse'; readonly pair: number; readonly compare: boolean }
  /** Leading singular values; the factors stay in the thread. With `recover`, a product that explains the residual. */
  | {
      readonly kind: 'spectrum';
      readonly pair: number;
      readonly maxRank: number;
      readonly recover?: { readonly energy: number; readonly roundingEnergy: number };
    }
  | { readonly kind: 'encode'; readonly pair: number; readonly choice: Choice };

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
  /** Engine of the matrix products. */
  readonly engine: string;
  readonly warning: string | undefined;
}
export type EncodeJobResult = AnalyseResult | SpectrumResult | EncodedTensor;

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
  readonly #pairs: ReturnType<typeof pairTensors>['pairs'];
  readonly #exactTerms = new Map<number, readonly EncodedTerm[]>();
  readonly #factors = new Map<number, LowRankFactors>();
  #opened: Promise<OpenedGemmEngine> | undefined;

  constructor(init: EncodeJobsInit, base: Checkpoint, fineTuned: Checkpoint) {
    this.#base = base;
    this.#fineTuned = fineTuned;
    this.#runtime = nodeRuntime(init.kernels);
    this.#gemm = init.gemm;
    this.#pairs = pairTensors(base, fineTuned).pairs;
  }

  async run(job: EncodeJob): Promise<EncodeJobResult> {
    const readable = this.#readable(job.pair);
    switch (job.kind) {
      case 'analyse': {
        const { exactTerms, ...analysis } = await analyseTensor(readable);
        this.#exactTerms.set(job.pair, exactTerms);
        const chunks = exactTerms.flatMap((term) => term.chunks);
        const compare = job.compare && analysis.case !== 'identical';
        return {
          ...analysis,
          exactByteLength: chunks.reduce((sum, chunk) => sum + chunk.bytes.byteLength, 0),
          ...(compare ? { comparison: await compareTensor(readable) } : {}),
        };
      }
      case 'spectrum': {
        // One GEMM thread a worker: the pool already uses every core, and results do not depend on the thread count.
        this.#opened ??= openGemmEngine({
          threads: 1,
          preferred: this.#gemm,
          fallback: gemmKernel(this.#runtime.kernels),
        });
        const { engine, warning } = await this.#opened;
        const leading = await residualFactors(readable, job.maxRank, engine);
        const product =
          job.recover && (await recoverProduct(readable, { factors: leading, ...job.recover, engine }));
        const factors = product?.factors ?? leading;
        this.#factors.set(job.pair, factors);
        const { singularValues } = factors;
        return { singularValues, productBits: product?.bits, engine: engine.name, warning };
      }
      case 'encode':
        return encodeTensor(
          readable,
          job.choice,
          this.#factors.get(job.pair),
          this.#exactTerms.get(job.pair) ?? [],
        );
    }
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

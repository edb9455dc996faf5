/** What the encoder asks of its threads, and what they answer: structured-cloneable. */
import type { Choice, RateDistortionChoice } from '../allocation/operating-points.js';
import type { EncodedTerm } from '../codecs/codec.js';
import type { KernelPath } from '../kernels/kernels.js';
import type { SvdGrowth } from '../linalg/growing-svd.js';
import type { ResidualEstimate } from '../rate-distortion/encode-residual.js';
import type { TensorAnalysis } from './analyse-tensor.js';
import type { TensorComparison } from './compare-tensor.js';
import type { EncodedTensor, TensorRefinement } from './encode-tensor.js';
import type { Importance } from './importance.js';

export interface EncodeJobsInit {
  readonly base: string;
  readonly fineTuned: string;
  readonly kernels: KernelPath;
  readonly gemm: 'auto' | 'wasm';
  /** Where large products run besides, by a port of each thread; and what to say where that is not possible. */
  readonly device: { readonly name: string | undefined; readonly warning: string | undefined };
  /** Weights of the columns' errors, by tensor. */
  readonly importance: Importance | undefined;
  /** Bytes that a thread may keep of residuals and what was computed of them. */
  readonly memoryShare: number;
}

/** Leading singular values that are wanted of a residual. */
export interface SpectrumRequest {
  readonly maxRank: number;
  /** Look for a product that explains the residual. */
  readonly recover: boolean;
  /** Take the sample that estimates are made from; default false. */
  readonly sample?: boolean;
}

export type EncodeJob =
  /**
   * With `compare`: also equal elements and norms of both sides, for diff. With `spectrum`: that of the residual as
   * well, while it is in memory.
   */
  | {
      readonly kind: 'analyse';
      readonly pair: number;
      readonly compare: boolean;
      readonly spectrum?: SpectrumRequest;
      /** Code nothing, and say what exact coding is expected to take: of exact rows only, or of residuals as well. */
      readonly estimate?: 'exact-rows' | 'lossless';
    }
  /** Opens the engine of the matrix products; the pair is not looked at. */
  | { readonly kind: 'engine'; readonly pair: number }
  /** Leading singular values; the factors stay in the thread. With `recover`, a product that explains the residual. */
  | {
      readonly kind: 'spectrum';
      readonly pair: number;
      readonly spectrum: SpectrumRequest;
    }
  /** What coding would take, from the spectrum and a sample of rows. */
  | {
      readonly kind: 'estimate';
      readonly pair: number;
      readonly choice: RateDistortionChoice;
    }
  /** What the exact term on top of a lossy choice would take, from a sample of rows. */
  | {
      readonly kind: 'estimate-on-top';
      readonly pair: number;
      readonly choice: Choice;
      /** Payload bytes of the product that the residual was recognised as, where it was. */
      readonly productByteLength: number | undefined;
    }
  | { readonly kind: 'encode'; readonly pair: number; readonly choice: Choice }
  /** Nothing to do: an earlier run has encoded the pair, and by then knew so much of its spectrum. */
  | {
      readonly kind: 'recall';
      readonly pair: number;
      readonly growth: SvdGrowth;
      readonly singularValues: Float64Array;
    }
  /** Tensors with the same inputs, together; `pair` is the first of `pairs`. All jobs of a group go to one thread. */
  | {
      readonly kind: 'encode-group';
      readonly pair: number;
      readonly pairs: readonly number[];
      /** ‖R‖² of each. */
      readonly energies: readonly number[];
      readonly choice: RateDistortionChoice;
    }
  /** Exact terms on top of the lossy ones. */
  | { readonly kind: 'refine'; readonly pair: number; readonly terms: readonly EncodedTerm[] };

export type AnalyseResult = Omit<TensorAnalysis, 'exactRows'> & {
  /** Of the exact rows; expected ones where it was asked for. */
  readonly exactByteLength: number;
  /** Where it was asked for, and there is a residual: expected bytes of it, coded exactly. */
  readonly losslessByteLength?: number;
  /** Where it was asked for, and the tensor is not the base's. */
  readonly comparison?: TensorComparison;
  /** Where it was asked for, and there is a residual. */
  readonly spectrum?: SpectrumResult;
  /** A tensor that only exact terms apply to, finished; not for diff. */
  readonly encoded?: EncodedTensor;
};
export interface SpectrumResult {
  /** Singular values that were looked for; fewer means that there are no more. */
  readonly asked: number;
  /** Those of the product alone, where one was recovered. */
  readonly singularValues: Float64Array;
  /** How they were looked for. */
  readonly growth: SvdGrowth;
  /** Where the residual is a rounded product: the width that suffices for it. */
  readonly productBits: number | undefined;
  /** Then also the payload bytes of the product with its small weights. */
  readonly productByteLength: number | undefined;
}
export interface EngineResult {
  /** Name of the engine of the matrix products. */
  readonly engine: string;
  /** What the user should know of it, a sentence each. */
  readonly warnings: readonly string[];
}
/** What a job of each kind comes to. */
export interface EncodeJobResults {
  readonly analyse: AnalyseResult;
  readonly engine: EngineResult;
  readonly spectrum: SpectrumResult;
  readonly estimate: ResidualEstimate;
  /** Bytes. */
  readonly 'estimate-on-top': number;
  readonly encode: EncodedTensor;
  readonly recall: undefined;
  readonly 'encode-group': readonly EncodedTensor[];
  readonly refine: TensorRefinement;
}
export type EncodeJobResult = EncodeJobResults[EncodeJob['kind']];

/** Options and report of diff. */
import type { Budget, CommonOptions, GemmOptions, TensorCase } from './api.js';

export interface DiffOptions extends CommonOptions, GemmOptions {
  /** Path of the base: a model folder, an index.json, or one .safetensors file. */
  readonly base: string;
  /** Sizes, errors or ranks to estimate an archive for; default: ratios of 1 %, 3 %, 6 %, 12 % and 25 %. */
  readonly budgets?: readonly Budget[];
  /** Leading singular values to compute of each residual, at least 1; default 64. Estimates continue them. */
  readonly maxRank?: number;
}

/** The spectrum of one residual in a few numbers. */
export interface SpectrumSummary {
  /** Singular values that were computed. */
  readonly knownRank: number;
  /** Whether these are all there are; else the effective rank rests on a continuation of them. */
  readonly complete: boolean;
  /** Share of ‖R‖² in the strongest component. */
  readonly energyTop1: number;
  readonly energyTop8: number;
  /** Like the others at most what the known values hold: with a maxRank below 32 a lower bound. */
  readonly energyTop32: number;
  /** exp of the entropy of σ_i / Σσ (Roy and Vetterli 2007): from 1 to min(rows, columns). */
  readonly effectiveRank: number;
}

export interface TensorDiff {
  readonly name: string;
  readonly case: TensorCase;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly elementCount: number;
  /** Elements with the dtype and the bits of the base's (6-bit elements in groups of four); added rows have none. */
  readonly unchangedCount: number;
  /** unchangedCount / elementCount; 1 for a tensor without elements. */
  readonly unchangedShare: number;
  /** Bytes in the fine-tuned checkpoint. */
  readonly fineTunedByteLength: number;
  /** ‖R‖² over the common rows; absent without a base and, unless identical, for integers and non-finite values. */
  readonly squaredResidual?: number;
  /** ‖R‖ / ‖W_base‖ over the common rows; absent likewise, and for a base of zeros. */
  readonly relativeResidual?: number;
  /** Of a float matrix that differs from the base's. */
  readonly spectrum?: SpectrumSummary;
}

/** What an archive would take, predicted from spectra without encoding. */
export interface SizeEstimate {
  readonly budget: Budget;
  /** Whole file. */
  readonly archiveByteLength: number;
  /** archiveByteLength / fineTunedByteLength. */
  readonly ratio: number;
  /** ‖R − R̂‖ / ‖R‖ over all tensors with a residual. */
  readonly relativeError: number;
  /** Whether the budget can be met: a size may be below what index, side files and exact tensors take. */
  readonly reachable: boolean;
  /** Whether it rests on singular values that were not computed but continued. */
  readonly extrapolated: boolean;
}

export interface DiffReport {
  /** Sum of the fine-tuned weight files. */
  readonly fineTunedByteLength: number;
  /** Of the fine-tuned checkpoint, all tensors together. */
  readonly elementCount: number;
  readonly unchangedCount: number;
  readonly unchangedShare: number;
  /** Tensors that are in the base and differ from it in dtype, shape or bytes. */
  readonly changedTensorCount: number;
  /** ‖R‖ / ‖W_base‖ over the tensors that differ and have both; 0 where there is none. */
  readonly relativeResidual: number;
  /** In the order of the fine-tuned checkpoint. */
  readonly tensors: readonly TensorDiff[];
  /** Names of tensors that the base has not, or not in a shape that can be used. */
  readonly added: readonly string[];
  /** Names of base tensors that the fine-tune does not have. */
  readonly removed: readonly string[];
  /** "name: base [..], fine-tuned [..]" of every tensor whose shape in the base cannot be used. */
  readonly shapeConflicts: readonly string[];
  readonly sideFiles: readonly {
    readonly path: string;
    readonly status: 'same' | 'changed' | 'added' | 'removed';
  }[];
  /** Why encode would refuse the pair without `force`: names and shapes that do not match, or weights that look unrelated. */
  readonly mismatches: readonly string[];
  /** One a budget, in their order. */
  readonly estimates: readonly SizeEstimate[];
  /** An engine fallback, … One sentence each. */
  readonly warnings: readonly string[];
  /** 'onnxruntime-node 1.30.0' or 'wasm'; 'none' without a residual. */
  readonly gemmEngine: string;
  readonly durationMs: number;
}

/**
 * Values of a tensor in both checkpoints, a block of rows at a time; what is random in a row depends on nothing but
 * the seed, the tensor and the row.
 *
 * Matrices: the base is Gaussian of spread 0.02 with log-normal row and column scales. The residual is a Gaussian bulk
 * with such scales, and on it spikes, σ_k ∝ k^−0.6, the last of them 1.5 times the edge of a bulk without scales
 * (Marchenko–Pastur: deviation · (√rows + √columns)); they hold about half of the energy, as in full fine-tunes.
 * Embeddings: few rows change much, some a little, the others not at all. Norms: near 1, most keep their bf16 value.
 */
import type { Kernels } from '../../../src/kernels/kernels.js';
import { RandomStream } from './random-stream.js';
import type { TensorKind } from './tensors.js';

/** A tensor as a matrix; a vector is one row. */
export interface RowsSpec {
  /** Place in the checkpoint, which keys its random numbers. */
  readonly index: number;
  readonly kind: TensorKind;
  readonly rows: number;
  readonly columns: number;
}

/** bf16 bytes of the same rows in both checkpoints. */
export interface RowBlock {
  readonly base: Uint8Array;
  readonly fineTuned: Uint8Array;
}

export const BASE_DEVIATION = 0.02;
/** Spread of the logarithm of a base matrix's row and column scales. */
const BASE_LOG_DEVIATION = 0.15;
/** Of a residual's bulk, over all tensors; a tensor's own is log-normal around it. */
export const BULK_DEVIATION = 2.5e-4;
const BULK_LOG_DEVIATION = 0.25;
const ROW_LOG_DEVIATION = 0.25;
const COLUMN_LOG_DEVIATION = 0.25;
/** σ_k ∝ k^−DECAY. */
const SPIKE_DECAY = 0.6;
/** σ of the last spike over the edge of the bulk: over the wider edge of a bulk with scales, too. */
const LAST_SPIKE = 1.5;
/** Shares of an embedding's rows, and their deviation over that of the bulk. */
const STRONG_ROWS = { share: 0.02, factor: 8 } as const;
const WEAK_ROWS = { share: 0.38, factor: 1 } as const;
const NORM_DEVIATION = 0.1;
/** Half a unit in the last place of bf16 just under 1. */
const NORM_CHANGE = 2 ** -9;

/** Rank of the spikes: a 64th of the smaller side, within 16 and 64; a quarter of it for the smallest. */
export function spikeRank(rows: number, columns: number): number {
  const side = Math.min(rows, columns);
  return Math.min(64, Math.max(16, Math.round(side / 64)), Math.ceil(side / 4));
}

/** What a random stream is for; part of its key. */
const PURPOSES = ['tensor', 'base-columns', 'columns', 'right', 'left', 'base', 'residual'] as const;
type Purpose = (typeof PURPOSES)[number];

/** What all blocks of a tensor share. */
interface TensorParts {
  readonly index: number;
  readonly bulkDeviation: number;
  readonly baseColumnScales: Float32Array;
  readonly columnScales: Float32Array;
  /** rank × columns, the spikes' magnitude in it; empty where there are none. */
  readonly right: Float32Array;
  readonly rank: number;
}

/** Makes blocks; keeps what the blocks of one tensor share, so ask for them tensor by tensor. */
export class TensorRows {
  readonly #kernels: Kernels;
  readonly #seed: number;
  readonly #stream = new RandomStream();
  #parts: TensorParts | undefined;
  /** Of the last block, grown when a larger one comes: fresh memory for every block would be page faults. */
  #base = new Float32Array();
  #residual = new Float32Array();
  #bytes = new Uint8Array();

  constructor(kernels: Kernels, seed: number) {
    this.#kernels = kernels;
    this.#seed = seed;
  }

  /** Rows [begin, end), valid until the next call. */
  block(tensor: RowsSpec, begin: number, end: number): RowBlock {
    const length = (end - begin) * tensor.columns;
    if (this.#base.length < length) {
      this.#base = new Float32Array(length);
      this.#residual = new Float32Array(length);
      this.#bytes = new Uint8Array(4 * length);
    }
    const base = this.#base.subarray(0, length);
    const residual = this.#residual.subarray(0, length).fill(0);
    if (tensor.kind === 'norm') this.#norm(tensor, base, residual);
    else this.#matrix(tensor, begin, end, base, residual);
    const baseBytes = this.#bytes.subarray(0, 2 * length);
    const fineTunedBytes = this.#bytes.subarray(2 * length, 4 * length);
    this.#kernels.fromFloat32('BF16', base, baseBytes);
    this.#kernels.addAndRound('BF16', 'BF16', baseBytes, residual, fineTunedBytes);
    return { base: baseBytes, fineTuned: fineTunedBytes };
  }

  #norm(tensor: RowsSpec, base: Float32Array, residual: Float32Array): void {
    this.#start(tensor, 'base').fillNormal(base, 0, base.length);
    this.#start(tensor, 'residual').fillNormal(residual, 0, residual.length);
    for (let i = 0; i < base.length; i++) {
      base[i] = 1 + NORM_DEVIATION * base[i]!;
      residual[i]! *= NORM_CHANGE;
    }
  }

  #matrix(tensor: RowsSpec, begin: number, end: number, base: Float32Array, residual: Float32Array): void {
    const { columns } = tensor;
    const parts = this.#partsOf(tensor);
    const { rank, right, baseColumnScales, columnScales, bulkDeviation } = parts;
    if (rank > 0) {
      const left = this.#left(tensor, rank, begin, end);
      this.#kernels.gemm({ m: end - begin, n: columns, k: rank, a: left, b: right, c: residual });
    }
    const noise = new Float32Array(columns);
    for (let row = begin; row < end; row++) {
      const offset = (row - begin) * columns;
      const baseStream = this.#start(tensor, 'base', row);
      const baseScale = BASE_DEVIATION * logNormal(baseStream, BASE_LOG_DEVIATION);
      baseStream.fillNormal(base, offset, offset + columns);
      for (let j = 0; j < columns; j++) base[offset + j]! *= baseScale * baseColumnScales[j]!;

      const stream = this.#start(tensor, 'residual', row);
      const scale = bulkDeviation * rowFactor(tensor.kind, stream);
      if (scale === 0) continue;
      stream.fillNormal(noise, 0, columns);
      for (let j = 0; j < columns; j++) residual[offset + j]! += scale * columnScales[j]! * noise[j]!;
    }
  }

  #partsOf(tensor: RowsSpec): TensorParts {
    if (this.#parts?.index === tensor.index) return this.#parts;
    const { index, rows, columns } = tensor;
    const bulkDeviation = BULK_DEVIATION * logNormal(this.#start(tensor, 'tensor'), BULK_LOG_DEVIATION);
    const rank = tensor.kind === 'matrix' ? spikeRank(rows, columns) : 0;
    const right = new Float32Array(rank * columns);
    this.#start(tensor, 'right').fillNormal(right, 0, right.length);
    const edge = bulkDeviation * (Math.sqrt(rows) + Math.sqrt(columns));
    for (let k = 0; k < rank; k++) {
      const singularValue = LAST_SPIKE * edge * ((k + 1) / rank) ** -SPIKE_DECAY;
      // Normal vectors of `rows` and `columns` elements have about the lengths √rows and √columns.
      const scale = singularValue / Math.sqrt(rows * columns);
      for (let j = 0; j < columns; j++) right[k * columns + j]! *= scale;
    }
    const scales = (purpose: Purpose, deviation: number) => {
      const stream = this.#start(tensor, purpose);
      return Float32Array.from({ length: columns }, () => logNormal(stream, deviation));
    };
    this.#parts = {
      index,
      bulkDeviation,
      rank,
      right,
      baseColumnScales: scales('base-columns', BASE_LOG_DEVIATION),
      columnScales: scales('columns', COLUMN_LOG_DEVIATION),
    };
    return this.#parts;
  }

  /** Rows [begin, end) of the left factor, rank columns. */
  #left(tensor: RowsSpec, rank: number, begin: number, end: number): Float32Array {
    const left = new Float32Array((end - begin) * rank);
    for (let row = begin; row < end; row++) {
      const offset = (row - begin) * rank;
      this.#start(tensor, 'left', row).fillNormal(left, offset, offset + rank);
    }
    return left;
  }

  #start(tensor: RowsSpec, purpose: Purpose, row = 0): RandomStream {
    return this.#stream.start(this.#seed, tensor.index * PURPOSES.length + PURPOSES.indexOf(purpose), row);
  }
}

/** Of mean square 1, so that scales leave the energy as it is. */
function logNormal(stream: RandomStream, deviation: number): number {
  return Math.exp(deviation * stream.normal() - deviation ** 2);
}

/** A row's deviation over that of the tensor's bulk; 0 keeps the base's row. */
function rowFactor(kind: TensorKind, stream: RandomStream): number {
  const scale = logNormal(stream, ROW_LOG_DEVIATION);
  if (kind !== 'embedding') return scale;
  const place = stream.uniform();
  if (place < STRONG_ROWS.share) return STRONG_ROWS.factor * scale;
  return place < STRONG_ROWS.share + WEAK_ROWS.share ? WEAK_ROWS.factor * scale : 0;
}

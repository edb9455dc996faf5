/** What low-rank components leave of a residual, quantised and coded entry by entry. */
import { ansDenseTerm } from '../codecs/ans-dense.js';
import type { EncodedTerm } from '../codecs/codec.js';
import { codedDenseTerm } from '../codecs/coded-dense.js';
import type { Kernels } from '../kernels/kernels.js';
import type { RowsEncoder } from '../kernels/matrix-coder.js';
import type { ResidualEncoding } from './encode-residual.js';

/**
 * Matrices from this size and rate on are coded by numeral systems, which decode about three times as fast. Below, they take
 * over 1 % more bytes than binary decisions, which then have little to decode.
 */
const LEAST_ANS_ELEMENTS = 1 << 18;
const LEAST_ANS_BITS = 0.5;

/** A matrix to be coded densely. */
export interface DenseMatrix {
  readonly rows: number;
  readonly columns: number;
  /** Bits per entry that it will take, about. */
  readonly bits: number;
}

/** Codes rows with one step, and keeps the (weighted) sums from which the error at any scale follows. */
export class DenseEncoder {
  /** Σ w x². */
  energy = 0;
  /** Σ w x q and Σ w q², q in half steps. */
  #inner = 0;
  #codeEnergy = 0;
  readonly #columns: number;
  readonly #encoding: ResidualEncoding;
  readonly #kernels: Kernels;
  readonly #weights: Float32Array | undefined;
  readonly #encoder: RowsEncoder;

  readonly #isAns: boolean;

  constructor(
    { rows, columns, bits }: DenseMatrix,
    encoding: ResidualEncoding,
    kernels: Kernels,
    columnWeights?: Float32Array,
  ) {
    const states = encoding.denseStates;
    this.#columns = columns;
    this.#encoding = encoding;
    this.#kernels = kernels;
    this.#weights = columnWeights;
    this.#isAns = states === 1 && rows * columns >= LEAST_ANS_ELEMENTS && bits >= LEAST_ANS_BITS;
    this.#encoder = this.#isAns
      ? kernels.createAnsEncoder(columns)
      : kernels.createMatrixEncoder({ columns, states });
  }

  encodeRows(values: Float32Array, rows: number, codes: Int16Array): void {
    const { step, lambda } = this.#encoding;
    const weights = this.#weights;
    const request = { values, factor: 1 / step, rows, lambda, codes };
    this.#encoder.encodeRows(weights === undefined ? request : { ...request, columnWeights: weights });
    this.countRows(values);
    if (weights === undefined) {
      const { inner, codeEnergy } = this.#kernels.codeSums(values, codes);
      this.#inner += inner;
      this.#codeEnergy += codeEnergy;
    } else this.#addWeighted(values, codes, weights);
  }

  /** Rows that are left uncoded, or were coded. */
  countRows(values: Float32Array): void {
    const weights = this.#weights;
    if (weights === undefined) {
      this.energy += this.#kernels.statistics(values).sumOfSquares;
      return;
    }
    for (let i = 0, j = 0; i < values.length; i++, j = j + 1 === this.#columns ? 0 : j + 1) {
      this.energy += weights[j] * values[i] * values[i];
    }
  }

  endChunk(): Uint8Array {
    return this.#encoder.endChunk();
  }

  /** The term of all chunks. @param blockRows rows of each but the last */
  term(chunks: EncodedTerm['chunks'], scale: number, blockRows: number): EncodedTerm {
    return this.#isAns
      ? ansDenseTerm(chunks, scale, blockRows)
      : codedDenseTerm(chunks, scale, this.#encoding.denseStates, blockRows);
  }

  /** The scale of a half step that fits the codes best: reconstruction points move to the centroids of their cells. */
  bestScale(): number {
    return this.#codeEnergy === 0 ? 0 : Math.fround(this.#inner / this.#codeEnergy);
  }

  /** Σ w (x − scale · q)². */
  squaredErrorAt(scale: number): number {
    return this.energy - 2 * scale * this.#inner + scale * scale * this.#codeEnergy;
  }

  free(): void {
    this.#encoder.free();
  }

  #addWeighted(values: Float32Array, codes: Int16Array, weights: Float32Array): void {
    for (let i = 0, j = 0; i < values.length; i++, j = j + 1 === this.#columns ? 0 : j + 1) {
      this.#inner += weights[j] * values[i] * codes[i];
      this.#codeEnergy += weights[j] * codes[i] * codes[i];
    }
  }
}

/**
 * Factors as they are decoded, component after component, to the rows that products take. In 16 bits as long as
 * every entry fits, which those of the archives written here nearly always do.
 */
import type { DecodeKernels } from '../kernels/kernels.js';
import { INT16_FACTOR_LIMIT } from './integer-product.js';

/** Codes held before they are put into rows: many components at a time make whole cache lines. */
const GROUP_BYTE_LENGTH = 4 << 20;

export class FactorRows {
  readonly #length: number;
  readonly #rank: number;
  readonly #kernels: DecodeKernels;
  readonly #codes: Int16Array;
  readonly #gains: Uint16Array;
  #rows: Int16Array | Int32Array;
  /** Components in `#codes`. */
  #pending = 0;
  /** Components in `#rows`. */
  #placed = 0;

  /** @param length entries of a component; @param rank components */
  constructor(length: number, rank: number, kernels: DecodeKernels) {
    this.#length = length;
    this.#rank = rank;
    this.#kernels = kernels;
    const group = Math.min(rank, Math.max(8, Math.floor(GROUP_BYTE_LENGTH / (2 * Math.max(1, length)))));
    this.#codes = new Int16Array(group * length);
    this.#gains = new Uint16Array(group);
    this.#rows = new Int16Array(length * rank);
  }

  /** Room for the codes of the next component, which is entered by `add`. */
  get next(): Int16Array {
    return this.#codes.subarray(this.#pending * this.#length, (this.#pending + 1) * this.#length);
  }

  /** Takes the codes in `next` times `gain`. */
  add(gain: number): void {
    this.#gains[this.#pending++] = gain;
    if (this.#pending === this.#gains.length) this.#place();
  }

  /** length × rank, row-major. */
  finish(): Int16Array | Int32Array {
    this.#place();
    return this.#rows;
  }

  #place(): void {
    const count = this.#pending;
    if (count === 0) return;
    const request = {
      codes: this.#codes.subarray(0, count * this.#length),
      gains: this.#gains.subarray(0, count),
      length: this.#length,
      stride: this.#rank,
      first: this.#placed,
    };
    const largest = this.#kernels.scaleComponents({ ...request, out: this.#rows });
    if (largest > INT16_FACTOR_LIMIT && this.#rows instanceof Int16Array) {
      this.#rows = new Int32Array(this.#rows);
      this.#kernels.scaleComponents({ ...request, out: this.#rows });
    }
    this.#placed += count;
    this.#pending = 0;
  }
}

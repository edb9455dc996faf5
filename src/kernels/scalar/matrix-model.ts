/** The model of docs/spec/matrix-coder.md §1 to §4, written once for both directions. */
import {
  BLOCK_LEVELS,
  CONTEXT,
  CONTEXT_COUNT,
  FIRST_COUNT,
  firstProbabilities,
  LEVELS,
  MAX_LEVEL_NUMBER,
  UNARY,
} from '../matrix-model.js';
import { type BitCoder, Contexts } from './range-coder.js';
import { RowModel } from './row-model.js';

const FAST = 6;
const SLOW = 8;

/** Next state by 2 · state + parity of k, and the states that use Q1. */
const TRELLIS: Readonly<Record<number, { next: readonly number[]; second: readonly number[] }>> = {
  1: { next: [0, 0], second: [0] },
  4: { next: [0, 2, 2, 0, 1, 3, 3, 1], second: [0, 0, 1, 1] },
  8: { next: [0, 1, 3, 2, 5, 4, 6, 7, 1, 0, 2, 3, 4, 5, 7, 6], second: [0, 1, 0, 1, 0, 1, 0, 1] },
};

/** Bits of a magnitude at this level that are coded as they are. */
export function levelShift(level: number): number {
  return level < 24 ? 0 : (level - 22) >> 1;
}

/** Row of the magnitude contexts. */
export function moreRow(quantizer: number, level: number): number {
  return quantizer * 26 + (level < 26 ? level : 24 + (level & 1));
}

export class MatrixModel extends RowModel {
  readonly contexts = new Contexts(CONTEXT_COUNT);
  readonly states: number;
  readonly next: readonly number[];
  /** 1 for the states that use Q1. */
  readonly second: readonly number[];
  /** State of the trellis. */
  place = 0;

  constructor(columns: number, states: number) {
    super(columns);
    this.states = states;
    ({ next: this.next, second: this.second } = TRELLIS[states]);
    for (const [i, probability] of firstProbabilities().entries()) {
      this.contexts.fast[i] = probability;
      this.contexts.slow[i] = probability * 65_536;
      this.contexts.count[i] = FIRST_COUNT;
    }
  }

  /** Codes whether the row is all zeros (`scale` undefined), else its scale. Returns true for zeros. */
  codeRowStart(coder: BitCoder, scale: number | undefined): boolean {
    if (this.#bit(coder, CONTEXT.rowZero, scale === undefined ? 1 : 0) === 1) return true;
    if (this.fresh) {
      this.scale = Math.min(coder.raw((scale ?? 0) + 40, 7) - 40, 60);
      return false;
    }
    const move = scale === undefined ? 0 : scale - this.scale;
    if (this.#bit(coder, CONTEXT.rowMoves, move === 0 ? 0 : 1) === 0) return false;
    const down = this.#bit(coder, CONTEXT.rowDown, move < 0 ? 1 : 0);
    let size = 1;
    while (size < 100) {
      const context = CONTEXT.rowFurther + Math.min(size - 1, 19);
      if (this.#bit(coder, context, Math.abs(move) > size ? 1 : 0) === 0) break;
      size++;
    }
    this.scale = Math.min(Math.max(this.scale + (down === 1 ? -size : size), -40), 60);
    return false;
  }

  /** Codes the entries [start, end) of the row: k when encoding; half steps in both directions afterwards. */
  codeEntries(coder: BitCoder, codes: Int16Array, start: number, end: number): void {
    for (let block = start; block < end; block += 16) {
      const blockEnd = Math.min(block + 16, end);
      let j = block;
      const top = this.blockLevel(block, end);
      if (top !== undefined) {
        const any = codes.subarray(block, blockEnd).some((k) => k !== 0) ? 1 : 0;
        if (this.#bit(coder, CONTEXT.block + top, any) === 0) {
          codes.fill(0, block, blockEnd);
          continue;
        }
        for (let k = 0; j < blockEnd && k === 0; j++) {
          const context = CONTEXT.first + j - block;
          const last = j === blockEnd - 1;
          k =
            last || this.#bit(coder, context, codes[j] === 0 ? 0 : 1) === 1
              ? this.#magnitude(coder, j, codes[j])
              : 0;
          this.#finish(codes, j, k);
        }
      }
      for (; j < blockEnd; j++) {
        const context = CONTEXT.zero + this.second[this.place] * LEVELS + this.levels[j];
        const k =
          this.#bit(coder, context, codes[j] === 0 ? 0 : 1) === 1 ? this.#magnitude(coder, j, codes[j]) : 0;
        this.#finish(codes, j, k);
      }
    }
  }

  /** The highest level of the 16 entries at `block` when they may be coded at once, else undefined. */
  blockLevel(block: number, end: number): number | undefined {
    if (this.states > 1 || end - block < 16) return undefined;
    let top = 0;
    for (let j = block; j < block + 16; j++) top = Math.max(top, this.levels[j]);
    return top < BLOCK_LEVELS ? top : undefined;
  }

  #finish(codes: Int16Array, j: number, k: number): void {
    codes[j] = 2 * k - this.second[this.place] * Math.sign(k);
    this.place = this.next[2 * this.place + (k & 1)];
  }

  #magnitude(coder: BitCoder, j: number, value: number): number {
    const level = this.levels[j];
    const shift = levelShift(level);
    const row = CONTEXT.more + moreRow(this.second[this.place], level) * 16;
    const rest = Math.max(Math.abs(value) - 1, 0);
    const target = rest >> shift;
    let count = 0;
    while (count < UNARY && this.#bit(coder, row + count, target > count ? 1 : 0) === 1) count++;
    if (count === UNARY) {
      const escaped = Math.max(target - UNARY + 1, 1);
      const length = 31 - Math.clz32(escaped);
      let t = 0;
      while (t < 14 && this.#bit(coder, CONTEXT.escape + t, t < length ? 1 : 0) === 1) t++;
      count = UNARY - 1 + ((1 << t) | coder.raw(escaped, t));
    }
    const low = coder.raw(((rest & ((1 << shift) - 1)) << 1) | (value < 0 ? 1 : 0), shift + 1);
    const size = Math.min(count * 2 ** shift + (low >> 1) + 1, MAX_LEVEL_NUMBER);
    return low & 1 ? -size : size;
  }

  #bit(coder: BitCoder, context: number, value: number): number {
    return coder.bit(this.contexts, context, value, FAST, SLOW);
  }
}

/** Rows of docs/spec/matrix-coder.md §3: their scale, the columns' averages, and the levels that follow. */
import { FIRST_AVERAGE, LEVELS } from '../matrix-model.js';

/** 4096 · 2^(−f/4) */
const INVERSE = [4096, 3444, 2896, 2435];

const float = new Float32Array(1);
const word = new Int32Array(float.buffer);

export class RowModel {
  readonly columns: number;
  readonly averages: Int32Array;
  readonly levels: Uint8Array;
  /** Row scale in quarter octaves of half steps. */
  scale = 0;
  #rows = 0;

  constructor(columns: number) {
    this.columns = columns;
    this.averages = new Int32Array(columns).fill(FIRST_AVERAGE);
    this.levels = new Uint8Array(columns);
  }

  /** Rows with a scale that are behind, at most 2^20. */
  get rows(): number {
    return this.#rows;
  }

  /** No row with a scale was coded yet. */
  get fresh(): boolean {
    return this.#rows === 0;
  }

  /** Levels of the columns from `first` on. */
  prepareLevels(first = 0): void {
    const offset = 2 * this.scale - 127 * 8 - 128 + 74;
    for (let j = first; j < this.columns; j++) {
      float[0] = this.averages[j];
      this.levels[j] = Math.min(Math.max(((word[0] >> 20) + offset) >> 2, 0), LEVELS - 1);
    }
  }

  /** Moves the averages from `first` on towards the magnitudes of the row, in half steps. */
  updateAverages(codes: Int16Array, first = 0): void {
    const count = this.#rows;
    this.#rows = Math.min(count + 1, 1 << 20);
    const rate = count < 2 ? 2 : count < 6 ? 3 : count < 16 ? 4 : count < 40 ? 5 : count < 100 ? 6 : 7;
    const inverse = INVERSE[this.scale & 3];
    const shift = 4 - (this.scale >> 2);
    const factor = 2 ** shift;
    for (let j = first; j < this.columns; j++) {
      const x = Math.min(Math.floor(Math.abs(codes[j]) * inverse * factor), 1 << 22);
      const average = this.averages[j];
      this.averages[j] = Math.max(average + ((x - average) >> rate), 256);
    }
  }
}

/**
 * Householder reflections. Their vectors stay in the arena's operand region from one use to the next; more than it
 * holds go through it.
 */
import type { Reflections } from '../kernels.js';
import { createReflections as createScalar } from '../scalar/reflections.js';
import { type Arena, OPERAND_START } from './arena.js';

/** Longest vectors that are worked on in the arena: a tenth of its scratch, and of the least operand region. */
const MAX_DIMENSION = 1 << 16;

/** Reflections of one call, for room in the scratch region. */
const MAX_COUNT = 1 << 16;

class ArenaReflections implements Reflections {
  readonly #arena: Arena;
  readonly #dimension: number;
  /** Of them all, one after another; behind them room for more. */
  #vectors: Float64Array;
  #qs: Float64Array;
  #count = 0;
  /** Who has the operand region; without the vectors, which it would keep. */
  readonly #token = {};
  /** Vectors that are in the operand region as long as it is ours. */
  #placed = 0;

  constructor(arena: Arena, dimension: number) {
    this.#arena = arena;
    this.#dimension = dimension;
    this.#vectors = new Float64Array(dimension);
    this.#qs = new Float64Array(1);
  }

  get count(): number {
    return this.#count;
  }

  add(w: Float64Array, q: number): void {
    if (this.#count === this.#qs.length) {
      this.#vectors = grown(this.#vectors);
      this.#qs = grown(this.#qs);
    }
    this.#vectors.set(w, this.#count * this.#dimension);
    this.#qs[this.#count++] = q;
  }

  apply(x: Float64Array, isBackward: boolean): void {
    const arena = this.#arena;
    const step = Math.min(MAX_COUNT, Math.floor(arena.operandByteLength / (8 * this.#dimension)));
    const [qs, place] = arena.layOut(8 * Math.min(step, this.#count), 8 * x.length) as [number, number];
    arena.float64.set(x, place / 8);
    for (let i = 0; i < this.#count; i += step) {
      const size = Math.min(step, this.#count - i);
      const from = isBackward ? this.#count - i - size : i;
      this.#place(from, from + size);
      arena.float64.set(this.#qs.subarray(from, from + size), qs / 8);
      arena.kernels.applyReflections(
        OPERAND_START,
        qs,
        from,
        from + size,
        isBackward ? 1 : 0,
        place,
        x.length,
      );
    }
    x.set(arena.float64.subarray(place / 8, place / 8 + x.length));
  }

  /** Puts vectors [from, to) into the operand region, those that are not there already. */
  #place(from: number, to: number): void {
    const arena = this.#arena;
    const dimension = this.#dimension;
    const areAll = from === 0 && to === this.#count;
    if (!areAll || arena.operand !== this.#token) this.#placed = 0;
    arena.reserve(OPERAND_START + (to - from) * dimension * 8);
    const first = from + this.#placed;
    const part = this.#vectors.subarray(first * dimension, to * dimension);
    arena.float64.set(part, OPERAND_START / 8 + this.#placed * dimension);
    this.#placed = areAll ? to : 0;
    arena.operand = areAll ? this.#token : undefined;
  }
}

function grown(values: Float64Array): Float64Array {
  const larger = new Float64Array(2 * values.length);
  larger.set(values);
  return larger;
}

export function createReflections(arena: Arena, dimension: number): Reflections {
  return dimension > MAX_DIMENSION ? createScalar() : new ArenaReflections(arena, dimension);
}

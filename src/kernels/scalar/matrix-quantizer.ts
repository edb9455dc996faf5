/**
 * The encoder's choices: row scales and levels that minimise weight · squared error + lambda · bits, with
 * the costs that the contexts have now. Not normative; float32 throughout, so that both implementations
 * choose alike.
 */
import { BLOCK_LEVELS, CONTEXT, decisionCosts, LEVELS, MAX_LEVEL_NUMBER, UNARY } from '../matrix-model.js';
import { levelShift, type MatrixModel, moreRow } from './matrix-model.js';

/** The row has no entry that can become a code. */
export const NO_SCALE = -100;

const f32 = Math.fround;
const float = new Float32Array(1);
const word = new Int32Array(float.buffer);

/** Bits of a decision of probability p/32768. */
function cost(probability: number): number {
  return decisionCosts()[probability >> 3];
}

/** log2 to about 0.01, from the float's own exponent. */
function roughLog2(x: number): number {
  float[0] = x;
  const bits = word[0];
  word[0] = (bits & 0x7fffff) | 0x3f800000;
  const fraction = f32(float[0] - 1);
  const bend = f32(f32(0.34) * f32(fraction - f32(fraction * fraction)));
  return f32(f32((bits >>> 23) - 127 + fraction) + bend);
}

/**
 * The row scale for a row: that of its mean magnitude, moved towards the last one where that saves more
 * bits than it costs. NO_SCALE when no entry can become a code.
 * @param previous undefined for the first row, whose scale has one price
 * @param moveCost bits of a move of the row scale
 */
export function chooseScale(
  values: Float32Array,
  previous: number | undefined,
  moveCost: (move: number) => number,
): number {
  let sum = 0;
  let largest = 0;
  for (const value of values) {
    const size = Math.abs(value);
    if (size > f32(0.6)) sum += Math.min(size, 16_384);
    if (size > largest) largest = size;
  }
  if (!(largest > 0.5)) return NO_SCALE;
  const ideal = f32(4 * roughLog2(f32((2 * sum) / values.length + 0.0001)));
  const wanted = Math.min(Math.max(nearestEven(ideal), -40), 60);
  if (previous === undefined) return wanted;
  const step = wanted < previous ? 1 : -1;
  const loss = f32(f32(0.0217) * f32(Math.min(sum, values.length)));
  let best = wanted;
  let bestCost = Number.POSITIVE_INFINITY;
  for (let scale = wanted; ; scale += step) {
    const off = f32(scale - ideal);
    const total = f32(f32(f32(loss * off) * off) + moveCost(scale - previous));
    if (total < bestCost) {
      bestCost = total;
      best = scale;
    }
    if (scale === previous) return best;
  }
}

/** Bits of a move of the row scale. */
export function moveCost(model: MatrixModel, move: number): number {
  const { contexts } = model;
  const moves = contexts.zero(CONTEXT.rowMoves);
  if (move === 0) return cost(moves);
  let total = f32(cost(32_768 - moves) + 1);
  const size = Math.abs(move);
  for (let i = 1; i < size; i++) {
    total = f32(total + cost(32_768 - contexts.zero(CONTEXT.rowFurther + Math.min(i - 1, 19))));
  }
  return f32(total + cost(contexts.zero(CONTEXT.rowFurther + Math.min(size - 1, 19))));
}

function nearestEven(x: number): number {
  const low = Math.floor(x);
  const part = x - low;
  return part < 0.5 || (part === 0.5 && low % 2 === 0) ? low : low + 1;
}

/** Costs of one level: entry u < 14 is k ≠ 0 with |k| − 1 >> shift = u, 14 the least of an escape, 15 the flag. */
interface LevelCosts {
  readonly zero: number;
  readonly sizes: Float32Array;
  readonly shift: number;
}

export class MatrixQuantizer {
  readonly #model: MatrixModel;
  #levels: (LevelCosts | undefined)[] = [];
  #blocks: ({ zero: number; flag: number } | undefined)[] = [];

  constructor(model: MatrixModel) {
    this.#model = model;
  }

  /** codes[start, end) = k of the entries, whose levels are prepared. */
  quantize(
    values: Float32Array,
    weights: Float32Array,
    codes: Int16Array,
    start: number,
    end: number,
    bitCost: number,
  ): void {
    this.#levels = new Array(2 * LEVELS);
    this.#blocks = new Array(BLOCK_LEVELS);
    if (this.#model.states > 1) {
      this.#quantizeTrellis(values, weights, codes, start, end, bitCost);
      return;
    }
    for (let block = start; block < end; block += 16) {
      const top = this.#model.blockLevel(block, end);
      let flagged = top === undefined;
      for (let j = block; j < Math.min(block + 16, end); j++) {
        const size = Math.min(f32(Math.abs(values[j]) * 2), 32_766);
        let k = 0;
        if (size > 1) {
          const costs = this.#levelCosts(0, this.#model.levels[j]);
          const { zero, flag } =
            top === undefined || flagged ? { zero: costs.zero, flag: 0 } : this.#blockCosts(top, costs);
          k = choose(size, weights[j], costs, zero, flag, bitCost);
          if (k !== 0) {
            flagged = true;
            if (values[j] < 0) k = -k;
          }
        }
        codes[j] = k;
      }
    }
  }

  /** Viterbi over the trellis, from the state the model is in. */
  #quantizeTrellis(
    values: Float32Array,
    weights: Float32Array,
    codes: Int16Array,
    start: number,
    end: number,
    bitCost: number,
  ): void {
    const { states, next, second, place } = this.#model;
    const candidates: Candidate[][] = [];
    const ways: number[][] = [];
    let paths = new Array<number>(states).fill(f32(1e30));
    paths[place] = 0;
    for (let j = start; j < end; j++) {
      const doubled = Math.min(f32(Math.abs(values[j]) * 2), 32_766);
      const size = Number.isNaN(doubled) ? 0 : doubled;
      const level = this.#model.levels[j];
      const entry = [0, 1].flatMap((quantizer) =>
        bestByParity(quantizer, size, weights[j], this.#levelCosts(quantizer, level), bitCost),
      );
      const reached = new Array<number>(states).fill(Number.NaN);
      const way = new Array<number>(states).fill(0);
      // Of two ways into a state the one from the lower state wins ties.
      for (let from = 0; from < states; from++) {
        for (const parity of [0, 1]) {
          const state = next[2 * from + parity];
          const total = f32(paths[from] + entry[2 * second[from] + parity].cost);
          if (Number.isNaN(reached[state]) || total < reached[state]) {
            reached[state] = total;
            way[state] = 2 * from + parity;
          }
        }
      }
      paths = reached;
      candidates.push(entry);
      ways.push(way);
    }
    let state = 0;
    for (let t = 1; t < states; t++) if (paths[t] < paths[state]) state = t;
    for (let j = end - 1; j >= start; j--) {
      const way = ways[j - start][state];
      state = way >> 1;
      const { k } = candidates[j - start][2 * second[state] + (way & 1)];
      codes[j] = values[j] < 0 ? -k : k;
    }
  }

  #levelCosts(quantizer: number, level: number): LevelCosts {
    const known = this.#levels[quantizer * LEVELS + level];
    if (known !== undefined) return known;
    const { contexts } = this.#model;
    const zero = contexts.zero(CONTEXT.zero + quantizer * LEVELS + level);
    const shift = levelShift(level);
    const more = CONTEXT.more + moreRow(quantizer, level) * 16;
    const sizes = new Float32Array(16);
    let sum = f32(cost(32_768 - zero) + (shift + 1));
    for (let u = 0; u < UNARY; u++) {
      const stop = contexts.zero(more + u);
      sizes[u] = sum + cost(stop);
      sum = f32(sum + cost(32_768 - stop));
    }
    sizes[UNARY] = sum;
    sizes[15] = cost(32_768 - zero);
    const costs = { zero: cost(zero), sizes, shift };
    this.#levels[quantizer * LEVELS + level] = costs;
    return costs;
  }

  /** Costs in a block that has no code yet: its flag shared among its entries. */
  #blockCosts(top: number, costs: LevelCosts): { zero: number; flag: number } {
    this.#blocks[top] ??= this.#learnBlock(top);
    const { zero, flag } = this.#blocks[top];
    return { zero, flag: f32(flag - costs.sizes[15]) };
  }

  #learnBlock(top: number): { zero: number; flag: number } {
    const zero = f32(cost(this.#model.contexts.zero(CONTEXT.block + top)) * 0.0625);
    return { zero, flag: Math.max(0, f32(-roughLog2(f32(zero * f32(Math.LN2))))) };
  }
}

/** Bits of |k| = `size` ≥ 1 with its flag and sign. */
function sizeCost({ sizes, shift }: LevelCosts, size: number): number {
  const u = (size - 1) >> shift;
  if (u < UNARY) return sizes[u];
  return f32(sizes[UNARY] + 2 * (32 - Math.clz32(u - UNARY + 1)));
}

/** A way to code an entry: |k| and its cost. */
interface Candidate {
  readonly k: number;
  readonly cost: number;
}

/** The best even and the best odd |k| of a quantiser for `size` half steps. */
function bestByParity(
  quantizer: number,
  size: number,
  weight: number,
  costs: LevelCosts,
  bitCost: number,
): [Candidate, Candidate] {
  const total = (k: number): number => {
    const off = f32(size - (2 * k - (k > 0 ? quantizer : 0)));
    const bits = k === 0 ? costs.zero : sizeCost(costs, k);
    return f32(f32(f32(weight * off) * off) + f32(bitCost * bits));
  };
  const k = Math.floor(f32(f32(size + quantizer) * 0.5));
  const low = { k, cost: total(k) };
  const up = { k: k + 1, cost: k < MAX_LEVEL_NUMBER ? total(k + 1) : f32(1e30) };
  const [even, odd] = k % 2 === 0 ? [low, up] : [up, low];
  const none = { k: 0, cost: total(0) };
  return [none.cost < even.cost ? none : even, odd];
}

/** The magnitude for `size` half steps. */
function choose(
  size: number,
  weight: number,
  costs: LevelCosts,
  zero: number,
  flag: number,
  bitCost: number,
): number {
  let k = 0;
  let best = f32(f32(f32(weight * size) * size) + f32(bitCost * zero));
  const low = Math.floor(f32(size * 0.5));
  for (const candidate of [low, low + 1]) {
    if (candidate === 0 || candidate > MAX_LEVEL_NUMBER) continue;
    const off = f32(size - 2 * candidate);
    const error = f32(f32(weight * off) * off);
    const total = f32(error + f32(bitCost * f32(flag + sizeCost(costs, candidate))));
    if (total < best) {
      best = total;
      k = candidate;
    }
  }
  return k;
}

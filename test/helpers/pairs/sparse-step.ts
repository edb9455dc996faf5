/**
 * One step of a long training run in bf16, which leaves about 99 % of the weights bit for bit as they were:
 * with independent changes, and as an optimiser does it.
 */
import {
  baseWeights,
  type GeneratedPair,
  matrixName,
  type PairMatrix,
  type PairSize,
  toBf16,
} from './pair.js';
import { normal, uniform } from './random.js';

const SIZE: PairSize = { rows: 1536, columns: 1024, count: 2 };

/** Share of weights that a step changes by one unit in the last place, up or down. */
export const CHANGED_SHARE = 0.01;

/** Every weight changes with the same probability; only zeros are left alone. */
export function sparseStepPair(size: PairSize = SIZE, seed = 31): GeneratedPair {
  const matrices = Array.from({ length: size.count }, (_, index): PairMatrix => {
    const ownSeed = seed + 100 * index;
    const base = baseWeights(size.rows * size.columns, ownSeed);
    const codes = new Uint16Array(base.slice().buffer);
    const draw = uniform(ownSeed + 1);
    for (let i = 0; i < codes.length; i++) {
      // The next code is the next larger magnitude, in either sign.
      if (draw() < CHANGED_SHARE && (codes[i]! & 0x7fff) !== 0) codes[i]! += draw() < 0.5 ? 1 : -1;
    }
    return { name: matrixName(index), ...dimensions(size), base, fineTuned: new Uint8Array(codes.buffer) };
  });
  return { name: 'sparse step', matrices };
}

/**
 * Standard deviation of the steps under float32 master weights, which come out in bf16 for about 1 % of
 * weights like those of the base: small weights, with their small units, much more often than large ones.
 */
export const MASTER_STEP = 2e-7;

/** bf16 copies of float32 master weights before and after a small step of all of them. */
export function masterStepPair(size: PairSize = SIZE, seed = 41): GeneratedPair {
  const matrices = Array.from({ length: size.count }, (_, index): PairMatrix => {
    const ownSeed = seed + 100 * index;
    const draw = normal(ownSeed);
    const drawStep = normal(ownSeed + 1);
    const master = Float32Array.from({ length: size.rows * size.columns }, () => 0.02 * draw());
    const stepped = master.map((value) => value + MASTER_STEP * drawStep());
    return {
      name: matrixName(index),
      ...dimensions(size),
      base: toBf16(master),
      fineTuned: toBf16(stepped),
    };
  });
  return { name: 'step of master weights', matrices };
}

function dimensions({ rows, columns }: PairSize): Pick<PairMatrix, 'rows' | 'columns'> {
  return { rows, columns };
}

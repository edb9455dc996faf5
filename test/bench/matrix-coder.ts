/**
 * Throughput of the matrix coder, by its states, and of the ANS coder on one core: `node dist/test/bench/matrix-coder.js [scalar]`.
 * I.i.d. Gaussian weights at four rates, the best of several runs, copies between the caller's arrays and
 * the linear memory included. The gap is to the Gaussian bound ½·log2(1/D), after the best single gain.
 */

import { loadKernels } from '../../src/kernels/load-kernels.js';
import type { RowsDecoder, RowsEncoder } from '../../src/kernels/matrix-coder.js';
import { gaussians } from '../kernels/gaussians.js';
import { bestSeconds, machineText } from './machine.js';

const path = process.argv[2] === 'scalar' ? 'scalar' : 'wasm';
const kernels = loadKernels(path);
const COLUMNS = 2048;
const ROWS = path === 'wasm' ? 128 : 32;
const RUNS = path === 'wasm' ? 40 : 3;
const LAMBDA = 0.1;

interface Coder {
  readonly name: string;
  /** Steps in standard deviations for about 0.1, 0.35, 1 and 2 bits per weight. */
  readonly steps: readonly number[];
  createEncoder(): RowsEncoder;
  createDecoder(): RowsDecoder;
}

function matrixCoder(states: 1 | 4 | 8, steps: readonly number[]): Coder {
  const options = { columns: COLUMNS, states };
  return {
    name: String(states),
    steps,
    createEncoder: () => kernels.createMatrixEncoder(options),
    createDecoder: () => kernels.createMatrixDecoder(options),
  };
}

const CODERS: readonly Coder[] = [
  {
    name: 'ANS',
    steps: [2.55, 1.87, 1.01],
    createEncoder: () => kernels.createAnsEncoder(COLUMNS),
    createDecoder: () => kernels.createAnsDecoder(COLUMNS),
  },
  matrixCoder(1, [2.9, 2.55, 1.87, 1.01]),
  matrixCoder(4, [2.96, 2.72, 1.95, 1.01]),
  matrixCoder(8, [3, 2.76, 1.96, 1.01]),
];

async function measure(coder: Coder, step: number): Promise<void> {
  const count = ROWS * COLUMNS;
  const values = gaussians(count, 1).map((x) => x / step);
  const codes = new Int16Array(count);
  let bytes: Uint8Array = new Uint8Array(0);
  const encodeSeconds = await bestSeconds(RUNS, () => {
    const encoder = coder.createEncoder();
    encoder.encodeRows({ values, rows: ROWS, lambda: LAMBDA, codes });
    bytes = encoder.endChunk();
    encoder.free();
  });
  const out = new Int16Array(count);
  const decodeSeconds = await bestSeconds(RUNS, () => {
    const decoder = coder.createDecoder();
    decoder.beginChunk(bytes);
    decoder.decodeRows(ROWS, out);
    decoder.free();
  });
  if (out.some((code, i) => code !== codes[i])) throw new Error('decoded other codes than were encoded');
  let energy = 0;
  let product = 0;
  let square = 0;
  for (let i = 0; i < count; i++) {
    energy += values[i] ** 2;
    product += (values[i] * codes[i]) / 2;
    square += (codes[i] / 2) ** 2;
  }
  const distortion = 1 - product ** 2 / square / energy;
  const bits = (8 * bytes.length) / count;
  console.log(
    `${coder.name.padStart(6)} ${bits.toFixed(4).padStart(10)} ${(bits + 0.5 * Math.log2(distortion)).toFixed(4).padStart(10)}` +
      `${(count / encodeSeconds / 1e6).toFixed(1).padStart(13)}${(count / decodeSeconds / 1e6).toFixed(1).padStart(13)}`,
  );
}

console.log(`${path} kernels, one core of ${machineText()}`);
console.log(`${ROWS} × ${COLUMNS} Gaussian weights, lambda ${LAMBDA}`);
console.log('states  bits/weight  gap (bits)  encode M/s  decode M/s');
for (const coder of CODERS) for (const step of coder.steps) await measure(coder, step);

/**
 * Size and speed of exact entropy coding on one core: `node dist/test/bench/entropy.js [scalar]`. Pairs are
 * generated; every payload is decoded and compared. Best of several runs, copies to and from the linear
 * memory included.
 */
import type { FloatDtype } from '../../formats/dtype.js';
import { elementByteLength } from '../../src/kernels/arguments.js';
import type { IntervalModel, IntervalPrediction } from '../../src/kernels/interval-model.js';
import { loadKernels } from '../../src/kernels/load-kernels.js';
import { type ExactPair, exactPair, sparsePair } from '../helpers/exact-pairs.js';
import { bestSeconds, machineText } from './machine.js';

const path = process.argv[2] === 'scalar' ? 'scalar' : 'wasm';
const kernels = loadKernels(path);
const RUNS = path === 'wasm' ? 7 : 1;
const ROWS = path === 'wasm' ? 512 : 32;
const COLUMNS = 2048;

function encode(
  model: IntervalModel,
  pair: ExactPair,
  prediction: IntervalPrediction | undefined,
): Uint8Array {
  const encoder = kernels.intervalEncoder(model);
  encoder.encode(pair.values, prediction);
  const payload = encoder.finish();
  if (payload === undefined) throw new Error('the payload is too long');
  return payload;
}

async function report(
  name: string,
  dtype: FloatDtype,
  pair: ExactPair,
  skip: 0 | 2,
  predicted = true,
): Promise<void> {
  const model: IntervalModel = { dtype, columns: COLUMNS, unit: pair.unit, skip, means: skip === 0, drop: 0 };
  const prediction = predicted ? { elements: pair.base } : undefined;
  const count = pair.values.byteLength / elementByteLength(dtype);
  const payload = encode(model, pair, prediction);
  const out = new Uint8Array(pair.values.byteLength);
  const encodeSeconds = await bestSeconds(RUNS, () => encode(model, pair, prediction));
  const decodeSeconds = await bestSeconds(RUNS, () => {
    const decoder = kernels.intervalDecoder(model);
    decoder.begin(payload);
    decoder.decode(prediction, out);
  });
  if (!Buffer.from(out).equals(pair.values)) throw new Error(`${name}: decoded to something else`);
  console.log(
    [
      name.padEnd(40),
      ((payload.byteLength * 8) / count).toFixed(3).padStart(7),
      ((100 * payload.byteLength) / pair.values.byteLength).toFixed(2).padStart(7),
      (count / encodeSeconds / 1e6).toFixed(1).padStart(8),
      (count / decodeSeconds / 1e6).toFixed(1).padStart(8),
    ].join(' '),
  );
}

console.log(`codec "interval", ${path} kernels, one core of ${machineText()}`);
console.log(`${''.padEnd(40)} bits/weight  %  encode, decode M weights/s`);
for (const noise of [1e-5, 3e-5, 1e-4, 3e-4, 1e-3]) {
  await report(`BF16 N(0, 0.02²) + N(0, ${noise}²)`, 'BF16', exactPair('BF16', ROWS, COLUMNS, noise), 0);
}
await report('F16, the same, 3e-4', 'F16', exactPair('F16', ROWS, COLUMNS, 3e-4), 0);
await report('F32, the same, 3e-4', 'F32', exactPair('F32', ROWS, COLUMNS, 3e-4), 0);
await report('F8_E4M3, the same, 3e-4', 'F8_E4M3', exactPair('F8_E4M3', ROWS, COLUMNS, 3e-4), 0);
await report(
  'BF16 without a base',
  'BF16',
  { ...exactPair('BF16', ROWS, COLUMNS, 3e-4), unit: -13 },
  0,
  false,
);
for (const share of [0.05, 0.01, 0.001]) {
  const name = `BF16, ${100 * share} % changed by one ulp`;
  await report(name, 'BF16', sparsePair('BF16', ROWS, COLUMNS, share), 2);
}

/**
 * Throughput of the kernels on one core: `node dist/test/bench/kernels.js [scalar]`.
 * Every figure is the best of several runs over arrays that are larger than the caches, copies between
 * the caller's arrays and the linear memory included.
 */
import { FLOAT_DTYPES, type FloatDtype } from '../../formats/dtype.js';
import { elementByteLength } from '../../src/kernels/arguments.js';
import { loadKernels } from '../../src/kernels/load-kernels.js';
import { bestSeconds, machineText } from './machine.js';

const path = process.argv[2] === 'scalar' ? 'scalar' : 'wasm';
const kernels = loadKernels(path);
/** Elements of the element-wise runs: 8 MiB of float32. */
const COUNT = 2 * 1024 * 1024;
const RUNS = path === 'wasm' ? 25 : 5;

async function report(name: string, amount: number, unit: string, run: () => void): Promise<void> {
  const seconds = await bestSeconds(RUNS, run);
  console.log(`${name.padEnd(44)} ${(amount / seconds / 1e9).toFixed(2).padStart(8)} ${unit}`);
}

function floats(length: number): Float32Array {
  let state = 1;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return (state / 2 ** 31) * 0.05;
  });
}

function codes(length: number, bound: number): Int16Array {
  return Int16Array.from(floats(length), (x) => Math.round(x * 20 * bound));
}

console.log(`${path} kernels, one core of ${machineText()}`);

const values = floats(COUNT);
const encoded = new Map<FloatDtype, Uint8Array>();
const scratch = new Float32Array(COUNT);
for (const dtype of FLOAT_DTYPES) {
  const bytes = new Uint8Array(COUNT * elementByteLength(dtype));
  encoded.set(dtype, bytes);
  await report(`fromFloat32 ${dtype}`, COUNT, 'G elements/s', () =>
    kernels.fromFloat32(dtype, values, bytes),
  );
  await report(`toFloat32 ${dtype}`, COUNT, 'G elements/s', () => kernels.toFloat32(dtype, bytes, scratch));
}
for (const dtype of FLOAT_DTYPES) {
  const bytes = encoded.get(dtype) as Uint8Array;
  const out = new Uint8Array(bytes.byteLength);
  await report(`addAndRound ${dtype} on ${dtype}`, COUNT, 'G elements/s', () =>
    kernels.addAndRound(dtype, dtype, bytes, values, out),
  );
  await report(`subtract ${dtype} − ${dtype}`, COUNT, 'G elements/s', () =>
    kernels.subtract(dtype, bytes, dtype, out, scratch),
  );
  await report(`squaredDistance ${dtype}`, COUNT, 'G elements/s', () =>
    kernels.squaredDistance(dtype, bytes, out),
  );
}
await report('statistics', COUNT, 'G elements/s', () => kernels.statistics(values));
const quantized = new Int16Array(COUNT);
await report('quantize', COUNT, 'G elements/s', () => kernels.quantize(values, 1e3, -127, 127, quantized));

for (const bits of [2, 3, 4, 8, 16]) {
  const source = codes(COUNT, 2 ** (bits - 1) - 1);
  const packed = new Uint8Array((COUNT * bits) / 8);
  const unpacked = new Int16Array(COUNT);
  await report(`packCodes ${bits} bits`, COUNT, 'G codes/s', () => kernels.packCodes(source, bits, packed));
  await report(`unpackCodes ${bits} bits`, COUNT, 'G codes/s', () =>
    kernels.unpackCodes(packed, bits, COUNT, unpacked),
  );
}
{
  const rows = 1024;
  const rowGains = new Uint16Array(rows).fill(300);
  const request = { rowGains, rows, columns: COUNT / rows, scale: 1e-4, out: scratch };
  await report('accumulateCodes int16', COUNT, 'G elements/s', () =>
    kernels.accumulateCodes({ ...request, codes: quantized }),
  );
}

/** The scalar path gets a few rows only. */
const ROWS = path === 'wasm' ? 128 : 8;
for (const [columns, k] of [
  [4096, 16],
  [4096, 64],
  [4096, 200],
  [4096, 1024],
  [14_336, 200],
]) {
  const a = codes(ROWS * k, 1000);
  const b = codes(columns * k, 1000);
  const out = new Float32Array(ROWS * columns);
  const operations = 2 * ROWS * columns * k;
  await report(`prepareProduct ${columns} × ${k}`, columns * k, 'G elements/s', () => {
    kernels.prepareProduct(b, columns, k, 1e-6);
  });
  const product = kernels.prepareProduct(b, columns, k, 1e-6);
  await report(`product ${ROWS} × ${columns}, k ${k}`, operations, 'GOP/s', () =>
    product.accumulate(a, ROWS, out),
  );
  const wide = kernels.prepareWideProduct(Int32Array.from(b), columns, k, 1e-6);
  const wideA = Int32Array.from(a);
  await report(`wide product ${ROWS} × ${columns}, k ${k}`, operations, 'GFLOP/s', () =>
    wide.accumulate(wideA, ROWS, out),
  );
}
for (const [m, n, k] of [
  [ROWS * 4, 16, 4096],
  [ROWS * 2, 64, 4096],
  [ROWS, 256, 4096],
  [ROWS, 2048, 256],
]) {
  const a = floats(m * k);
  const b = floats(k * n);
  const c = new Float32Array(m * n);
  for (const transposeA of [false, true]) {
    const name = `gemm ${transposeA ? 'Aᵀ' : 'A'}·B ${m} × ${n}, k ${k}`;
    await report(name, 2 * m * n * k, 'GFLOP/s', () => kernels.gemm({ transposeA, m, n, k, a, b, c }));
  }
}

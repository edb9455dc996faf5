/**
 * One residual of 4096 × 4096: the truncated SVD that the encoder computes at rank 128 beside the full one that LoRA
 * extractors compute and cut. The full one is LAPACK's divide and conquer (gesdd, what torch.linalg.svd and
 * numpy.linalg.svd call on a CPU), run by python3 with numpy where that is installed; else ml-matrix at a smaller
 * size, extrapolated by the cube of the size and marked as such. `npm run bench:svd [-- SIZE [RANK]]`, minutes.
 */
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Matrix as DenseMatrix, SingularValueDecomposition } from 'ml-matrix';
import { type GemmEngine, openGemmEngine } from '../../src/linalg/gemm-engine.js';
import { createMatrix, type Matrix, squaredNorm } from '../../src/linalg/matrix.js';
import { streamMatrix } from '../../src/linalg/matrix-stream.js';
import { sketchMatrix } from '../../src/linalg/sketch.js';
import type { TruncatedSvd } from '../../src/linalg/svd-result.js';
import { truncatedSvd } from '../../src/linalg/truncated-svd.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { plainGemm } from '../linalg/plain-gemm.js';
import { matrixWithSpectrum } from '../linalg/spectra.js';
import { machineText } from './machine.js';

const size = Number(process.argv[2] ?? 4096);
const rank = Number(process.argv[3] ?? 128);
if (!(Number.isInteger(size) && Number.isInteger(rank) && rank >= 1 && rank <= size)) {
  throw new RangeError(`expected a size and a rank of at most that, got ${process.argv.slice(2).join(' ')}`);
}
const RUNS = 3;
/** Size at which ml-matrix takes seconds. */
const SMALL_SIZE = 512;

interface Measured {
  readonly name: string;
  readonly seconds: number;
  /** Of all cores together: what a busy machine changes least. */
  readonly cpuSeconds: number;
  /** ‖R − R_rank‖ / ‖R‖; undefined where it was not measured on this matrix. */
  readonly relativeError: number | undefined;
}

/** What a fine-tune leaves: some hundred directions that decay as a power, above a bulk of noise. */
async function makeResidual(engine: GemmEngine): Promise<Matrix> {
  const spikes = Array.from({ length: Math.min(size, 256) }, (_, i) => 4 * (i + 1) ** -0.7);
  const residual = await matrixWithSpectrum(engine, size, size, spikes);
  const noise = sketchMatrix(size, size, 9);
  // The largest singular value of n × n normal entries is near 2√n; the bulk ends at 0.2, below the 64th spike.
  const scale = 0.1 / Math.sqrt(size);
  for (let i = 0; i < noise.data.length; i++) residual.data[i] += scale * noise.data[i];
  return residual;
}

async function measureOurs(residual: Matrix, threads: number): Promise<Measured> {
  const { engine } = await openGemmEngine({ fallback: plainGemm, threads });
  const times: number[] = [];
  const cpuTimes: number[] = [];
  let svd: TruncatedSvd | undefined;
  for (let run = 0; run < RUNS; run++) {
    const started = performance.now();
    const cpuStarted = process.cpuUsage();
    svd = await truncatedSvd(streamMatrix(residual), { maxRank: rank, engine });
    times.push((performance.now() - started) / 1000);
    const { user, system } = process.cpuUsage(cpuStarted);
    cpuTimes.push((user + system) / 1e6);
  }
  const relativeError = await errorOf(residual, svd!, engine);
  await engine.close();
  const name = `this encoder, rank ${rank}, ${threadCount(threads)}`;
  return { name, seconds: median(times), cpuSeconds: median(cpuTimes), relativeError };
}

/** ‖R − UΣVᵀ‖ / ‖R‖ from the entries. */
async function errorOf(residual: Matrix, svd: TruncatedSvd, engine: GemmEngine): Promise<number> {
  const left = createMatrix(svd.rank, size, Float32Array.from(svd.u));
  for (let i = 0; i < left.data.length; i++) left.data[i] *= -svd.singularValues[Math.floor(i / size)]!;
  const rest = createMatrix(size, size, Float32Array.from(residual.data));
  const right = createMatrix(svd.rank, size, Float32Array.from(svd.v));
  await engine.multiply(left, right, { transposeA: true, into: rest, accumulate: true });
  return Math.sqrt(squaredNorm(rest) / squaredNorm(residual));
}

/** Undefined where python3 or numpy is missing. */
async function measureLapack(residual: Matrix, threads: number): Promise<Measured | undefined> {
  return withTempFolder(async (folder) => {
    const path = join(folder, 'residual.f32');
    await writeFile(path, new Uint8Array(residual.data.buffer as ArrayBuffer));
    const script = `
import json, sys, time
import numpy as np
r = np.fromfile(sys.argv[1], dtype=np.float32).reshape(${size}, ${size})
started, cpu_started = time.perf_counter(), time.process_time()
u, s, vt = np.linalg.svd(r, full_matrices=False)
seconds, cpu = time.perf_counter() - started, time.process_time() - cpu_started
rest = r - (u[:, :${rank}] * s[:${rank}]) @ vt[:${rank}]
error = float(np.linalg.norm(rest.astype(np.float64)) / np.linalg.norm(r.astype(np.float64)))
print(json.dumps({"seconds": seconds, "cpu": cpu, "error": error, "version": np.__version__}))`;
    const { status, stdout } = spawnSync('python3', ['-c', script, path], {
      encoding: 'utf8',
      env: { ...process.env, OPENBLAS_NUM_THREADS: `${threads}`, MKL_NUM_THREADS: `${threads}` },
    });
    if (status !== 0) return undefined;
    const { seconds, cpu, error, version } = JSON.parse(stdout) as {
      readonly seconds: number;
      readonly cpu: number;
      readonly error: number;
      readonly version: string;
    };
    const name = `full SVD by LAPACK gesdd (numpy ${version}), cut to rank ${rank}, ${threadCount(threads)}`;
    return { name, seconds, cpuSeconds: cpu, relativeError: error };
  });
}

function extrapolateMlMatrix(): Measured {
  const small = sketchMatrix(SMALL_SIZE, SMALL_SIZE, 1);
  const dense = DenseMatrix.from1DArray(SMALL_SIZE, SMALL_SIZE, [...small.data]);
  const started = performance.now();
  new SingularValueDecomposition(dense);
  const seconds = (performance.now() - started) / 1000;
  return {
    name: `full SVD by ml-matrix, extrapolated: ${seconds.toFixed(1)} s at ${SMALL_SIZE}, times (${size} / ${SMALL_SIZE})³`,
    seconds: seconds * (size / SMALL_SIZE) ** 3,
    cpuSeconds: seconds * (size / SMALL_SIZE) ** 3, // on one core
    relativeError: undefined,
  };
}

function threadCount(threads: number): string {
  return `${threads} thread${threads === 1 ? '' : 's'}`;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((x, y) => x - y);
  return sorted[sorted.length >> 1]!;
}

const { engine } = await openGemmEngine({ fallback: plainGemm, threads: availableParallelism() });
const residual = await makeResidual(engine);
console.log(
  `${machineText()}, ${engine.name}; ` +
    `${size} × ${size}, median of ${RUNS} runs of ours and one of the full SVD\n`,
);
await engine.close();
await measureOurs(residual, 1); // compiles what is measured below
console.log(
  '| method | seconds | CPU seconds | full SVD takes | in CPU time | relative error | over the full SVD’s |',
);
console.log('|---|--:|--:|--:|--:|--:|--:|');
for (const threads of new Set([1, availableParallelism()])) {
  // Ours before and after the other, so that a machine that slows down or speeds up meanwhile shows.
  const before = await measureOurs(residual, threads);
  const full = (await measureLapack(residual, threads)) ?? extrapolateMlMatrix();
  for (const one of [before, full, await measureOurs(residual, threads)]) console.log(row(one, full));
}

function row({ name, seconds, cpuSeconds, relativeError }: Measured, full: Measured): string {
  const excess =
    relativeError === undefined || full.relativeError === undefined
      ? ''
      : `${(100 * (relativeError / full.relativeError - 1)).toFixed(3)} %`;
  const cells = [
    name,
    seconds.toFixed(2),
    cpuSeconds.toFixed(2),
    `${(full.seconds / seconds).toFixed(1)} ×`,
    `${(full.cpuSeconds / cpuSeconds).toFixed(1)} ×`,
    relativeError === undefined ? '' : relativeError.toFixed(5),
    excess,
  ];
  return `| ${cells.join(' | ')} |`;
}

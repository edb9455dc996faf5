/**
 * What the choices of src/linalg rest on, measured here and now, as Markdown tables on stdout:
 * GEMM throughput, the cost of the small dense problems, the cost of a truncated SVD, and how far
 * randomised SVDs are from Eckart–Young. About two minutes; `node dist/test/bench/svd.js [section …]`.
 */
import { Matrix as DenseMatrix, EigenvalueDecomposition, SingularValueDecomposition } from 'ml-matrix';
import { exactSvd } from '../../src/linalg/exact-svd.js';
import { openGemmEngine } from '../../src/linalg/gemm-engine.js';
import { type GrownSvd, growSvd } from '../../src/linalg/growing-svd.js';
import { createMatrix, type Matrix } from '../../src/linalg/matrix.js';
import { type MatrixStream, streamMatrix } from '../../src/linalg/matrix-stream.js';
import { orthonormalize } from '../../src/linalg/orthonormalize.js';
import { defaultOversample, randomizedSvd } from '../../src/linalg/randomized-svd.js';
import { sketchMatrix } from '../../src/linalg/sketch.js';
import { truncatedSvd } from '../../src/linalg/truncated-svd.js';
import { plainGemm } from '../linalg/plain-gemm.js';
import { matrixWithSpectrum, worstExcess } from '../linalg/spectra.js';
import { machineText } from './machine.js';

const { engine } = await openGemmEngine({ fallback: plainGemm, preferred: 'onnxruntime', threads: 1 });

/** Least of `runs` durations, in milliseconds, after one run that warms up. */
async function timed(run: () => unknown, runs = 3): Promise<number> {
  await run();
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    await run();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

function table(title: string, head: readonly string[], rows: readonly (string | number)[][]): void {
  console.log(`\n### ${title}\n\n| ${head.join(' | ')} |\n|${head.map(() => '---|').join('')}`);
  for (const row of rows) console.log(`| ${row.join(' | ')} |`);
}

/** Counts the passes over a stream. */
function counted(source: MatrixStream): MatrixStream & { passes: number } {
  const stream = {
    ...source,
    passes: 0,
    blocks() {
      stream.passes++;
      return source.blocks();
    },
  };
  return stream;
}

async function gemm(): Promise<void> {
  const rows: (string | number)[][] = [];
  for (const [m, k, n] of [
    [512, 4096, 138],
    [4096, 512, 138],
    [4096, 4096, 138],
    [4096, 138, 138],
  ]) {
    const b = sketchMatrix(k, n, 2);
    const into = createMatrix(m, n);
    const rates: string[] = [];
    for (const [a, options] of [
      [sketchMatrix(m, k, 1), {}],
      [sketchMatrix(m, k, 1), { into }],
      [sketchMatrix(k, m, 1), { into, transposeA: true }],
      [sketchMatrix(k, m, 1), { into, transposeA: true, accumulate: true }],
    ] as const) {
      const duration = await timed(() => engine.multiply(a, b, options), 20);
      rates.push(((2 * m * n * k) / duration / 1e6).toFixed(0));
    }
    rows.push([`${m} × ${k} × ${n}`, ...rates]);
  }
  table(
    `GFLOP/s of ${engine.name}, one thread`,
    ['m × k × n', 'new output', 'reused output', 'aᵀ', 'aᵀ, accumulated'],
    rows,
  );
}

async function dense(): Promise<void> {
  const rows: (string | number)[][] = [];
  for (const size of [64, 128, 256, 512]) {
    const panel = sketchMatrix(4096, size, 1);
    const gram = await engine.gram(panel);
    const symmetric = DenseMatrix.from1DArray(size, size, [...gram]);
    const runs = size > 256 ? 1 : 3;
    rows.push([
      size,
      (await timed(() => new EigenvalueDecomposition(symmetric, { assumeSymmetric: true }), runs)).toFixed(1),
      (await timed(() => new SingularValueDecomposition(symmetric), runs)).toFixed(1),
      (await timed(() => engine.gram(panel))).toFixed(1),
      (await timed(() => orthonormalize(panel, { engine }))).toFixed(1),
    ]);
  }
  table(
    'Small dense problems, ms',
    ['k', 'ml-matrix EVD', 'ml-matrix SVD', 'Gram of 4096 × k', 'orthonormalise 4096 × k'],
    rows,
  );
}

async function speed(): Promise<void> {
  const rows: (string | number)[][] = [];
  for (const [m, n, rank, rowBlock] of [
    [256, 256, 30, 256],
    [704, 256, 30, 704],
    [256, 704, 30, 256],
    [256, 256, 64, 256],
    [256, 256, 256, 256],
    [704, 256, 256, 704],
    [4096, 4096, 128, 4096],
    [4096, 4096, 128, 512],
    [11008, 4096, 128, 1024],
    [4096, 11008, 128, 1024],
    [4096, 4096, 400, 4096],
  ]) {
    const matrix = await matrixWithSpectrum(
      engine,
      m,
      n,
      Array.from({ length: Math.min(m, n, 700) }, (_, i) => (i + 1) ** -0.7),
    );
    const stream = counted(streamMatrix(matrix, { rowBlock }));
    const { method } = await truncatedSvd(stream, { maxRank: rank, engine });
    const passes = stream.passes;
    const duration = await timed(() => truncatedSvd(stream, { maxRank: rank, engine }), m * n > 1e6 ? 1 : 3);
    const products =
      method === 'exact'
        ? ''
        : ((2 * m * n * Math.max(rank + 10, Math.ceil(1.1 * rank)) * passes) / duration / 1e6).toFixed(0);
    rows.push([`${m} × ${n}`, rank, rowBlock, method, passes, duration.toFixed(1), products]);
  }
  table(
    'Truncated SVD, one thread, spectrum 1/i^0.7',
    ['size', 'rank', 'rows per block', 'method', 'passes', 'ms', 'GFLOP/s of its passes over all its time'],
    rows,
  );
}

/** Name, and the i-th of n singular values. */
const spectra: [string, (i: number, n: number) => number][] = [
  ['1/i^0.25', (i) => (i + 1) ** -0.25],
  ['1/i^0.5', (i) => (i + 1) ** -0.5],
  ['1/i', (i) => 1 / (i + 1)],
  ['1/i²', (i) => (i + 1) ** -2],
  ['linear', (i, n) => 1 - i / n],
  ['√(1 − 2i/n), then 0', (i, n) => Math.sqrt(Math.max(0, 1 - (2 * i) / n))],
  ['steps of 2 % every 7', (i) => Math.max(0.1, 1 - 0.02 * Math.floor(i / 7))],
  ['0.9^i', (i) => 0.9 ** i],
  ['10⁴, then linear', (i, n) => (i === 0 ? 1e4 : 1 - i / n)],
];

/** Name, matrix and singular values. */
async function casesOf(m: number, n: number): Promise<[string, Matrix, ArrayLike<number>][]> {
  const shortSide = Math.min(m, n);
  const cases: [string, Matrix, ArrayLike<number>][] = [];
  for (const [name, value] of spectra) {
    const sigmas = Array.from({ length: shortSide }, (_, i) => value(i, shortSide)).filter(
      (sigma) => sigma > 0,
    );
    cases.push([name, await matrixWithSpectrum(engine, m, n, sigmas), sigmas]);
  }
  const gaussian = sketchMatrix(m, n, 5);
  cases.push([
    'Gaussian entries',
    gaussian,
    (await exactSvd(streamMatrix(gaussian), { engine })).singularValues,
  ]);
  return cases;
}

async function error(): Promise<void> {
  const shares = [0.02, 0.05, 0.1, 0.2, 0.33, 0.5, 0.65];
  for (const [m, n, largestShare] of [
    [300, 300, 1],
    [1500, 300, 1],
    [700, 900, 0.2],
  ]) {
    const shortSide = Math.min(m, n);
    const ranks = shares
      .filter((share) => share <= largestShare)
      .map((share) => Math.round(share * shortSide));
    const rows: string[][] = [];
    for (const [name, matrix, sigmas] of await casesOf(m, n)) {
      const row = [name];
      for (const rank of ranks) {
        for (const powerIterations of [undefined, 2]) {
          const stream = counted(streamMatrix(matrix));
          const svd = await randomizedSvd(stream, {
            rank,
            engine,
            ...(powerIterations === undefined ? {} : { powerIterations }),
          });
          const excess = `${(100 * worstExcess(matrix, svd, sigmas)).toFixed(2)} %`;
          row.push(powerIterations === undefined ? `${excess} (${stream.passes / 2 - 1})` : excess);
        }
      }
      rows.push(row);
    }
    table(
      `Worst excess over Eckart–Young at any rank up to r, ${m} × ${n} (power iterations), beside a fixed two`,
      ['spectrum', ...ranks.flatMap((rank) => [`r = ${rank}`, 'q = 2'])],
      rows,
    );
  }
}

/** Ranks that are asked for one after the other, against the last one from scratch. */
async function growth(): Promise<void> {
  const requests = [
    [32, 64],
    [32, 40, 50, 62, 78],
    [16, 64],
    [33, 120],
  ];
  for (const [m, n] of [
    [300, 300],
    [1500, 300],
  ]) {
    const rows: string[][] = [];
    for (const [name, matrix, sigmas] of await casesOf(m, n)) {
      const row = [name];
      for (const ranks of requests) {
        const stream = counted(streamMatrix(matrix));
        let grown: GrownSvd | undefined;
        let columns = 0;
        let worst = 0;
        for (const rank of ranks) {
          const [passes, before] = [stream.passes, grown?.all.rank ?? 0];
          grown = await growSvd(stream, grown, { rank, engine });
          columns += (stream.passes - passes) * (grown.all.rank - before);
          worst = Math.max(worst, worstExcess(matrix, grown.svd, sigmas));
        }
        const scratch = counted(streamMatrix(matrix));
        const { rank } = grown!.svd;
        await randomizedSvd(scratch, { rank, engine });
        const direct = scratch.passes * (rank + defaultOversample(rank));
        row.push(
          `${(100 * worst).toFixed(2)} %`,
          `${stream.passes} / ${scratch.passes}`,
          (columns / direct).toFixed(2),
        );
      }
      rows.push(row);
    }
    table(
      `Growth, ${m} × ${n}: worst excess at any rank after any block; passes, and those from scratch; share of its products`,
      ['spectrum', ...requests.flatMap((ranks) => [ranks.join(' → '), 'passes', 'products'])],
      rows,
    );
  }
}

const sections: Record<string, () => Promise<void>> = { gemm, dense, speed, error, growth };
console.log(`${machineText()}, ${engine.name}`);
for (const name of process.argv.length > 2 ? process.argv.slice(2) : Object.keys(sections))
  await sections[name]();
await engine.close();

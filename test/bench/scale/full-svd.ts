/**
 * The truncated SVD of one residual beside the full one of LAPACK (gesdd, which torch.linalg.svd calls as well), by
 * NumPy where python3 has it: what extractors of LoRAs compute for every matrix.
 */
import { rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { openCheckpoint } from '../../../src/io/open-checkpoint.js';
import { openGemmEngine } from '../../../src/linalg/gemm-engine.js';
import { createMatrix, type Matrix } from '../../../src/linalg/matrix.js';
import { streamMatrix } from '../../../src/linalg/matrix-stream.js';
import { truncatedSvd } from '../../../src/linalg/truncated-svd.js';
import { fromBf16 } from '../../helpers/pairs/pair.js';
import { plainGemm } from '../../linalg/plain-gemm.js';
import type { MeasureOptions, ModelPair } from './measure-model.js';
import { timedProcess } from './measured-run.js';

/** Square in every generated model. */
const TENSOR = 'model.layers.0.self_attn.q_proj.weight';
export const SVD_RANK = 128;

export interface SvdFigures {
  readonly rows: number;
  readonly columns: number;
  readonly truncatedMs: number;
  /** ‖R − R_r‖ of the truncated SVD. */
  readonly truncatedError: number;
  /** Name and version; undefined where there is nothing that computes it. */
  readonly fullBy: string | undefined;
  readonly fullMs: number | undefined;
  /** The least error that any matrix of this rank has. */
  readonly leastError: number | undefined;
}

/** Both on all cores; the better of two runs of the truncated one, after one that warms up. */
export async function measureFullSvd(
  pair: ModelPair,
  { folder, signal }: Pick<MeasureOptions, 'folder' | 'signal'>,
): Promise<SvdFigures> {
  const residual = await readResidual(pair);
  const { rows, columns } = residual;
  const threads = availableParallelism();
  const { engine } = await openGemmEngine({ fallback: plainGemm, threads });
  const durations: number[] = [];
  let kept = 0;
  for (let round = 0; round < 3; round++) {
    const started = performance.now();
    const { singularValues } = await truncatedSvd(streamMatrix(residual), { maxRank: SVD_RANK, engine });
    durations.push(performance.now() - started);
    kept = singularValues.reduce((sum, sigma) => sum + sigma * sigma, 0);
  }
  await engine.close();
  const energy = residual.data.reduce((sum, x) => sum + x * x, 0);
  return {
    rows,
    columns,
    truncatedMs: Math.min(...durations.slice(1)),
    // Q·Qᵀ·R is a projection, so that errors follow from norms.
    truncatedError: Math.sqrt(Math.max(0, energy - kept)),
    ...(await fullSvd(residual, energy, folder, signal)),
  };
}

async function readResidual({ base, fineTuned }: ModelPair): Promise<Matrix> {
  const checkpoints = await Promise.all([openCheckpoint(base), openCheckpoint(fineTuned)]);
  try {
    const [before, after] = await Promise.all(
      checkpoints.map(async (checkpoint) => fromBf16(await checkpoint.read(TENSOR))),
    );
    const [rows, columns] = checkpoints[0].tensors.get(TENSOR)!.shape as [number, number];
    return createMatrix(
      rows,
      columns,
      after!.map((x, i) => x - before![i]!),
    );
  } finally {
    await Promise.all(checkpoints.map((checkpoint) => checkpoint.close()));
  }
}

const PROGRAM = `
import sys, time, numpy
matrix = numpy.fromfile(sys.argv[1], dtype='<f4').reshape(int(sys.argv[2]), int(sys.argv[3]))
started = time.perf_counter()
u, sigma, v = numpy.linalg.svd(matrix, full_matrices=False)
elapsed = time.perf_counter() - started
energy = (sigma[:int(sys.argv[4])].astype(float) ** 2).sum()
print('NumPy ' + numpy.__version__, elapsed, energy, sep=',')
`;

async function fullSvd(
  residual: Matrix,
  energy: number,
  folder: string,
  signal: AbortSignal,
): Promise<Pick<SvdFigures, 'fullBy' | 'fullMs' | 'leastError'>> {
  const missing = { fullBy: undefined, fullMs: undefined, leastError: undefined };
  const { data, rows, columns } = residual;
  try {
    await timedProcess('python3', ['-c', 'import numpy'], signal);
  } catch {
    signal.throwIfAborted();
    return missing; // no Python, or without NumPy: the requirement stays unmeasured
  }
  const path = join(folder, 'residual.f32');
  await writeFile(path, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  try {
    const { stdout } = await timedProcess(
      'python3',
      ['-c', PROGRAM, path, ...[rows, columns, SVD_RANK].map(String)],
      signal,
    );
    const [fullBy, seconds, kept] = stdout.trim().split(',') as [string, string, string];
    return {
      fullBy,
      fullMs: 1000 * Number(seconds),
      leastError: Math.sqrt(Math.max(0, energy - Number(kept))),
    };
  } finally {
    await rm(path, { force: true });
  }
}

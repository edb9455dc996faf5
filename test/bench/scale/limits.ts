/** What the hardware allows: reading a warm file, and matrix products of the shapes that a run had. */
import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { openWorkerPool } from '../../../src/io/worker-pool.js';
import type { GemmJob } from './gemm-jobs.js';
import { median, timedProcess } from './measured-run.js';
import type { ProductCount } from './products.js';

/** As large as reads of the library. */
const READ_BYTE_LENGTH = 2 ** 23;
/** Enough to measure, little enough to stay in the page cache. */
const MOST_READ_BYTE_LENGTH = 2 ** 30;

/** Weight files of a model folder, in order. */
export async function weightFiles(folder: string): Promise<{ path: string; byteLength: number }[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.safetensors')).sort();
  return Promise.all(
    names.map(async (name) => ({
      path: join(folder, name),
      byteLength: (await stat(join(folder, name))).size,
    })),
  );
}

/** Bytes a second of reading the first GiB of a warm file, as many reads at once as there are cores. */
export async function readBandwidth(path: string, rounds = 5): Promise<number> {
  const file = await open(path, 'r');
  try {
    const byteLength = Math.min((await file.stat()).size, MOST_READ_BYTE_LENGTH);
    await readThrough(file, byteLength); // into the page cache
    const durations: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const started = performance.now();
      await readThrough(file, byteLength);
      durations.push(performance.now() - started);
    }
    return (1000 * byteLength) / median(durations);
  } finally {
    await file.close();
  }
}

/** Reads files once, so that they are in the page cache; leaves it at that where they would fill most of it. */
export async function warmFiles(folder: string): Promise<void> {
  const files = await weightFiles(folder);
  const total = files.reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (total > totalmem() / 2) return;
  for (const { path, byteLength } of files) {
    const file = await open(path, 'r');
    try {
      await readThrough(file, byteLength);
    } finally {
      await file.close();
    }
  }
}

async function readThrough(file: FileHandle, byteLength: number): Promise<void> {
  let next = 0;
  const readNext = async (): Promise<void> => {
    const room = new Uint8Array(READ_BYTE_LENGTH);
    while (next < byteLength) {
      const position = next;
      next += room.length;
      await file.read(room, 0, Math.min(room.length, byteLength - position), position);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, readNext));
}

/** Writes out what earlier runs left in the page cache, so that a run pays for its own bytes only. */
export async function settleDisk(signal?: AbortSignal): Promise<void> {
  await timedProcess('sync', [], signal);
}

const MOST_SHAPES = 5;

/** A shape of a run, and how fast all cores are at it together. */
export interface ShapePeak extends ProductCount {
  readonly peakFlopsPerSecond: number;
}

/**
 * Peaks of the shapes with the most operations: one thread a core, each with its own engine and nothing else to do.
 * @param durationMs how long each of them is measured
 */
export async function gemmPeaks(products: readonly ProductCount[], durationMs: number): Promise<ShapePeak[]> {
  if (products.length === 0) return [];
  const threads = availableParallelism();
  const pool = await openWorkerPool<undefined, GemmJob, number>({
    module: new URL('./gemm-jobs.js', import.meta.url),
    init: undefined,
    threads,
  });
  try {
    const peaks: ShapePeak[] = [];
    for (const product of products.slice(0, MOST_SHAPES)) {
      const { kind, m, k, n } = product;
      const rates = await Promise.all(
        Array.from({ length: threads }, (_, worker) =>
          pool.run({ kind, m, k, n, durationMs }, worker % pool.threads),
        ),
      );
      peaks.push({ ...product, peakFlopsPerSecond: rates.reduce((sum, { result }) => sum + result, 0) });
    }
    return peaks;
  } finally {
    await pool.close();
  }
}

/** Operations a second if every product ran at the peak of its shape; undefined without products. */
export function meanPeak(peaks: readonly ShapePeak[]): number | undefined {
  const flops = peaks.reduce((sum, peak) => sum + peak.flops, 0);
  const seconds = peaks.reduce((sum, peak) => sum + peak.flops / peak.peakFlopsPerSecond, 0);
  return seconds === 0 ? undefined : flops / seconds;
}

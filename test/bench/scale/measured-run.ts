/** Runs `ere` in a process of its own and measures it from outside and from inside. */
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Phase, phasesOf } from './phases.js';
import { flopsBetween, type ProductCount, sumShapes, type ThreadProducts } from './products.js';
import type { ProcessFigures } from './run-ere.js';

/** A phase with the operations of its matrix products. */
export interface MeasuredPhase extends Phase {
  readonly flops: number;
}

export interface MeasuredRun {
  /** From the start of the process to its end. */
  readonly durationMs: number;
  /** Of all threads: what other work on the machine changes least. */
  readonly processorMs: number;
  /** The system's part of it, which tells in what state memory was. */
  readonly systemMs: number;
  readonly peakByteLength: number;
  /** Of all read calls, program files included; undefined where the system does not tell. */
  readonly readByteLength: number | undefined;
  readonly phases: readonly MeasuredPhase[];
  /** Most operations first; none unless asked for. */
  readonly products: readonly ProductCount[];
  /** What `ere --json` printed. */
  readonly report: unknown;
}

export interface MeasuredRunOptions {
  /** For files of the measurement. */
  readonly folder: string;
  /** Count matrix products; default false. */
  readonly countProducts?: boolean;
  /** Name of what comes after the last pass over the tensors. */
  readonly lastPhase: string;
  readonly signal?: AbortSignal | undefined;
}

const RUN_ERE = fileURLToPath(new URL('./run-ere.js', import.meta.url));
const COUNT_PRODUCTS = new URL('./count-products.js', import.meta.url).href;

/** Wall-clock time of a process, from its start to its end. @throws Error when it fails, or is killed by the signal */
export function timedProcess(
  command: string,
  argv: readonly string[],
  signal?: AbortSignal,
): Promise<{ durationMs: number; stdout: string }> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const child = spawn(command, argv, { stdio: ['ignore', 'pipe', 'pipe'], ...(signal && { signal }) });
    let [stdout, stderr, durationMs] = ['', '', 0];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('exit', () => {
      durationMs = performance.now() - started;
    });
    child.on('close', (status, killedBy) => {
      if (status === 0) resolve({ durationMs, stdout });
      else reject(new Error(`${command} ${argv.join(' ')}: status ${status ?? killedBy}\n${stderr.trim()}`));
    });
  });
}

/** `ere ARGUMENT… --json`, measured. */
export async function runEre(argv: readonly string[], options: MeasuredRunOptions): Promise<MeasuredRun> {
  const folder = await mkdtemp(join(options.folder, 'run-'));
  try {
    const preload = options.countProducts === true ? ['--import', COUNT_PRODUCTS] : [];
    const { durationMs, stdout } = await timedProcess(
      process.execPath,
      [...preload, RUN_ERE, folder, ...argv, '--json'],
      options.signal,
    );
    const { startEpochMs, passes, end, peakByteLength, processorMs, systemMs } =
      await readJson<ProcessFigures>(join(folder, 'process.json'));
    const names = (await readdir(folder)).filter((name) => name.startsWith('products-'));
    const threads = await Promise.all(names.map((name) => readJson<ThreadProducts>(join(folder, name))));
    const phases = phasesOf(passes, end, options.lastPhase).map((phase) => ({
      ...phase,
      flops: flopsBetween(threads, startEpochMs + phase.startMs, startEpochMs + phase.endMs),
    }));
    return {
      durationMs,
      processorMs,
      systemMs,
      peakByteLength,
      readByteLength: end.readByteLength,
      phases,
      products: sumShapes(threads),
      report: JSON.parse(stdout),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await readFile(path, 'utf8')) as T;
}

/** Of at least one number; the mean of both middle ones. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('expected at least one number');
  const sorted = [...values].sort((x, y) => x - y);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

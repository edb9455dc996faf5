/** What throughput benchmarks say of the machine, and how they time a run on it. */
import { availableParallelism, cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { formatDuration } from '../../src/report/numbers.js';

/** Processor, cores and Node version, for the head of a benchmark's output. */
export function machineText(): string {
  const processor = cpus()[0]?.model ?? 'unknown processor';
  return `${processor}, ${availableParallelism()} cores, Node ${process.version}`;
}

/**
 * Seconds of the fastest of so many runs. Runs are short, so that some are undisturbed on a busy machine; the pauses
 * let V8 finish its optimised code.
 */
export async function bestSeconds(runs: number, run: () => void): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < runs; i++) {
    await sleep(3);
    const start = performance.now();
    run();
    best = Math.min(best, performance.now() - start);
  }
  return best / 1000;
}

/** What a part of a benchmark gives; how long it took goes to stderr. */
export async function timed<T>(what: string, measure: () => Promise<T>): Promise<T> {
  const started = performance.now();
  const result = await measure();
  process.stderr.write(`${what}: ${formatDuration(performance.now() - started)}\n`);
  return result;
}

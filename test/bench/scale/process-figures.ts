/** What the operating system knows of this process: Linux tells by /proc, elsewhere only the peak is known. */
import { readFileSync } from 'node:fs';
import type { Moment } from './phases.js';

/** A field of a file of `name: value` lines; undefined where there is no such file or field. */
function fieldOf(path: string, field: string): number | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return undefined; // not Linux, or a system that hides it
  }
  const match = new RegExp(`^${field}:\\s*(\\d+)`, 'm').exec(text);
  return match === null ? undefined : Number(match[1]);
}

/** Now, with the bytes of all read and write calls of all threads, whether or not a disk was behind them. */
export function moment(): Moment {
  return {
    atMs: performance.now(),
    readByteLength: fieldOf('/proc/self/io', 'rchar'),
    writtenByteLength: fieldOf('/proc/self/io', 'wchar'),
  };
}

/**
 * Most bytes of this process that were resident at a time. The resource usage of Linux would count the process that
 * started this one as well.
 */
export function peakResidentByteLength(): number {
  return 1024 * (fieldOf('/proc/self/status', 'VmHWM') ?? process.resourceUsage().maxRSS);
}

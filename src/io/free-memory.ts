/**
 * Memory that this process may still take: what the machine has free, and what the control groups around the
 * process (containers, services) leave of their limits. Pages of the file cache count as free: they give way.
 */
import { readFileSync } from 'node:fs';
import { freemem } from 'node:os';
import { dirname, join } from 'node:path';

/** Where a file of a control group is read; undefined when there is none. */
export type ReadText = (path: string) => string | undefined;

/** Bytes free to this process now. */
export function freeMemory(): number {
  return Math.min(freemem(), controlGroupFreeMemory(readText));
}

/** Bytes that the limits of the control groups around this process leave; Infinity without any. */
export function controlGroupFreeMemory(read: ReadText): number {
  let free = Number.POSITIVE_INFINITY;
  for (const line of (read('/proc/self/cgroup') ?? '').split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (path === undefined || controllers === undefined) continue;
    const isUnified = controllers === '';
    if (!isUnified && !controllers.split(',').includes('memory')) continue;
    const root = isUnified ? '/sys/fs/cgroup' : '/sys/fs/cgroup/memory';
    // A group is bound by those around it. In a container the path may be that of the host: then only the root is there.
    for (let group = path; ; group = dirname(group)) {
      free = Math.min(
        free,
        isUnified ? unifiedFree(join(root, group), read) : splitFree(join(root, group), read),
      );
      if (group === '/') break;
    }
  }
  return free;
}

/** Version 2. */
function unifiedFree(folder: string, read: ReadText): number {
  const limit = parseBytes(read(join(folder, 'memory.max')));
  const used = parseBytes(read(join(folder, 'memory.current')));
  return freeBelow(limit, used, fileCache(read(join(folder, 'memory.stat')), 'inactive_file', 'active_file'));
}

/** Version 1. */
function splitFree(folder: string, read: ReadText): number {
  const limit = parseBytes(read(join(folder, 'memory.limit_in_bytes')));
  const used = parseBytes(read(join(folder, 'memory.usage_in_bytes')));
  const stat = read(join(folder, 'memory.stat'));
  return freeBelow(limit, used, fileCache(stat, 'total_inactive_file', 'total_active_file'));
}

/** `max` is no limit, as is what cannot be read. */
function freeBelow(limit: number | undefined, used: number | undefined, cache: number): number {
  if (limit === undefined || used === undefined) return Number.POSITIVE_INFINITY;
  return Math.max(0, limit - Math.max(0, used - cache));
}

function fileCache(stat: string | undefined, ...names: readonly string[]): number {
  const fields = new Map((stat ?? '').split('\n').map((line) => line.split(' ') as [string, string]));
  return names.reduce((sum, name) => sum + (parseBytes(fields.get(name)) ?? 0), 0);
}

function parseBytes(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+\s*$/.test(text) ? Number(text) : undefined;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

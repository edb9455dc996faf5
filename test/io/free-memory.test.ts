import { freemem } from 'node:os';
import { describe, expect, test } from 'vitest';
import { controlGroupFreeMemory, freeMemory } from '../../src/io/free-memory.js';

/** Reads from a table of files. */
function files(table: Record<string, string>): (path: string) => string | undefined {
  return (path) => table[path];
}

describe('controlGroupFreeMemory', () => {
  test('without control groups there is no limit', () => {
    expect(controlGroupFreeMemory(files({}))).toBe(Number.POSITIVE_INFINITY);
    expect(controlGroupFreeMemory(files({ '/proc/self/cgroup': '0::/\n' }))).toBe(Number.POSITIVE_INFINITY);
  });

  test('the file cache of a group counts as free', () => {
    const read = files({
      '/proc/self/cgroup': '0::/job\n',
      '/sys/fs/cgroup/job/memory.max': '1000\n',
      '/sys/fs/cgroup/job/memory.current': '900\n',
      '/sys/fs/cgroup/job/memory.stat': 'anon 300\ninactive_file 400\nactive_file 150\n',
    });
    expect(controlGroupFreeMemory(read)).toBe(650);
  });

  test('the tightest of the groups around the process decides; "max" is no limit', () => {
    const read = files({
      '/proc/self/cgroup': '0::/slice/job\n',
      '/sys/fs/cgroup/slice/job/memory.max': 'max\n',
      '/sys/fs/cgroup/slice/job/memory.current': '900\n',
      '/sys/fs/cgroup/slice/memory.max': '5000\n',
      '/sys/fs/cgroup/slice/memory.current': '1000\n',
    });
    expect(controlGroupFreeMemory(read)).toBe(4000);
  });

  test('version 1 has a folder of its own, and a group over its limit leaves nothing', () => {
    const read = files({
      '/proc/self/cgroup': '5:cpu,memory:/job\n3:cpuset:/\n',
      '/sys/fs/cgroup/memory/job/memory.limit_in_bytes': '1000\n',
      '/sys/fs/cgroup/memory/job/memory.usage_in_bytes': '1500\n',
      '/sys/fs/cgroup/memory/job/memory.stat': 'cache 400\ntotal_inactive_file 300\ntotal_active_file 100\n',
    });
    expect(controlGroupFreeMemory(read)).toBe(0);
  });
});

test('free memory is at most that of the machine', () => {
  expect(freeMemory()).toBeGreaterThan(0);
  expect(freeMemory()).toBeLessThan(freemem() * 1.5);
});

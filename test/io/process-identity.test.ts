import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { isGone, processIdentity, runningProcess } from '../../src/io/process-identity.js';

it('a process that runs is found by its identity, and gone when it has ended', async () => {
  expect(runningProcess(processIdentity())).toBe(process.pid);
  expect(isGone(processIdentity())).toBe(false);
  const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)']);
  await once(child, 'spawn');
  const identity = processIdentity(child.pid!);
  expect(runningProcess(identity)).toBe(child.pid);
  expect(isGone(identity)).toBe(false);
  child.kill('SIGKILL');
  await once(child, 'close');
  expect(runningProcess(identity)).toBeUndefined();
  expect(isGone(identity)).toBe(true);
});

it('of another host, of another numbering of processes, and of no identity, nothing is known', () => {
  const [host, pid, start, numbering] = JSON.parse(processIdentity());
  for (const other of [
    JSON.stringify([`${host}-2`, pid, start, numbering]),
    JSON.stringify([host, pid, start, `${numbering}1`]),
    JSON.stringify([host, 'x', start, numbering]),
    '{}',
    '',
  ]) {
    expect(runningProcess(other)).toBeUndefined();
    expect(isGone(other), other).toBe(false);
  }
});

it('a number that was given again is another process', () => {
  const [host, pid, start, numbering] = JSON.parse(processIdentity());
  expect(isGone(JSON.stringify([host, pid, `${start}1`, numbering]))).toBe(true);
});

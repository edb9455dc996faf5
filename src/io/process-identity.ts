/**
 * Which process works on a file: to tell a run that was killed from one that still goes on. Numbers of processes are
 * given again, so the time that one was started belongs to it where the system tells (Linux).
 */
import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { isSystemError } from './io-error.js';

/** Host, number and start of a process, in one line without spaces at its ends. This one's by default. */
export function processIdentity(pid: number = process.pid): string {
  return JSON.stringify([hostname().slice(0, 64), pid, startOf(pid)]);
}

/**
 * The number of the process that an identity names, if it is running now; undefined if it is not, or if it is one of
 * another host, of which nothing is known.
 */
export function runningProcess(identity: string): number | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(identity);
  } catch {
    return undefined;
  }
  const pid = Array.isArray(parsed) ? parsed[1] : undefined;
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  return isRunning(pid) && processIdentity(pid) === identity ? pid : undefined;
}

/** The same for names of files: where a process runs, its number, and its start. Letters, digits and hyphens. */
export function processTag(pid: number = process.pid): string {
  return `${placeTag()}-${pid}-${startOf(pid) || '0'}`;
}

/** What `processTag` gives. */
const PROCESS_TAG = /^([0-9a-f]{8})-(\d{1,15})-\d+$/;

/** Whether a tag names a process that ran here and has ended; false for any that runs, or ran elsewhere. */
export function hasEnded(tag: string): boolean {
  const [, place, pid] = PROCESS_TAG.exec(tag) ?? [];
  if (place === undefined || place !== placeTag()) return false;
  return !isRunning(Number(pid)) || processTag(Number(pid)) !== tag;
}

/** Of the machine and, in a container, of its own numbering of processes: elsewhere a number says nothing. */
function placeTag(): string {
  const place = [hostname(), textOf('/etc/machine-id'), linkOf('/proc/self/ns/pid')];
  return createHash('sha256').update(JSON.stringify(place)).digest('hex').slice(0, 8);
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0); // Sends nothing.
    return true;
  } catch (error) {
    return isSystemError(error, 'EPERM'); // Somebody else's.
  }
}

/** Field 22 of /proc/PID/stat, in clock ticks since the system started; '' elsewhere. */
function startOf(pid: number): string {
  const text = textOf(`/proc/${pid}/stat`);
  // The name of the program, in parentheses, may hold anything.
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

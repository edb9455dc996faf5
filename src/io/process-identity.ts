/**
 * Which process works on a file: to tell a run that was killed from one that still goes on. Numbers of processes are
 * given again, so the time that one was started belongs to it where the system tells (Linux).
 */
import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { isSystemError } from './io-error.js';

/** Host, number, start and numbering of a process, in one line of ASCII or Latin letters. This one's by default. */
export function processIdentity(pid: number = process.pid): string {
  return JSON.stringify([hostname().slice(0, 64), pid, startOf(pid), numbering()]);
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

/** True if an identity is of a process of this host that has ended: false for one of another host, or for no identity. */
export function isGone(identity: string): boolean {
  let parsed: unknown;
  try {
    parsed = JSON.parse(identity);
  } catch {
    return false;
  }
  const [host, , , numbers] = JSON.parse(processIdentity());
  if (!Array.isArray(parsed) || parsed[0] !== host || parsed[3] !== numbers) return false;
  return Number.isSafeInteger(parsed[1]) && parsed[1] > 0 && runningProcess(identity) === undefined;
}

/** The same for names of files: where a process runs, its number, and its start. Letters, digits and hyphens. */
export function processTag(pid: number = process.pid): string {
  return `${placeTag()}-${pid}-${startOf(pid) || '0'}`;
}

/** What `processTag` gives. */
const PROCESS_TAG = /^([0-9a-f]{8})-(\d{1,15})-\d+$/;

/** As `isGone`, of a tag. */
export function hasEnded(tag: string): boolean {
  const [, place, pid] = PROCESS_TAG.exec(tag) ?? [];
  if (place === undefined || place !== placeTag()) return false;
  return !isRunning(Number(pid)) || processTag(Number(pid)) !== tag;
}

/** Of the host and its numbering of processes: elsewhere a number says nothing. */
function placeTag(): string {
  const place = JSON.stringify([hostname(), numbering()]);
  return createHash('sha256').update(place).digest('hex').slice(0, 8);
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
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name of the program, in parentheses, may hold anything.
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

/** Which numbers processes are told apart by: two containers can have one host name and each its own (Linux); else ''. */
function numbering(): string {
  try {
    return readlinkSync('/proc/self/ns/pid').replace(/\D/g, '');
  } catch {
    return '';
  }
}

/**
 * Names of what a writer keeps under `tmp/` while it works: they tell whose it is, so that what killed processes have
 * left can be told from what others write right now.
 */
import { randomBytes } from 'node:crypto';
import { isGone, processIdentity, runningProcess } from '../../io/process-identity.js';

let ownPrefix: string | undefined;

/** A name that no other writer has: `<identity of this process in base64url>.<16 random hexadecimal digits>`. */
export function newWriterName(): string {
  ownPrefix ??= Buffer.from(processIdentity()).toString('base64url');
  return `${ownPrefix}.${randomBytes(8).toString('hex')}`;
}

/** The identity in a name; undefined for a name of another making. */
export function writerOf(name: string): string | undefined {
  const match = /^([\w-]+)\.[0-9a-f]{16}$/.exec(name);
  return match?.[1] === undefined ? undefined : Buffer.from(match[1], 'base64url').toString();
}

/** True if the name is of a process of this host that has ended. */
export function isOfGoneWriter(name: string): boolean {
  const writer = writerOf(name);
  return writer !== undefined && isGone(writer);
}

/** True if the name is of a process of this host that runs. False also where that cannot be told. */
export function isOfRunningWriter(name: string): boolean {
  const writer = writerOf(name);
  return writer !== undefined && runningProcess(writer) !== undefined;
}

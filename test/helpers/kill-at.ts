/** A process that kills itself at an exact call: what changes the disk goes through node:fs/promises, and is counted. */
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const FUNCTIONS = [
  'mkdir',
  'mkdtemp',
  'open',
  'writeFile',
  'rename',
  'link',
  'unlink',
  'rmdir',
  'rm',
] as const;
const METHODS = ['write', 'writev', 'sync', 'datasync', 'truncate', 'close'] as const;

export interface KillPoint {
  /** Number of the call, from 1. */
  readonly call: number;
  readonly isAfter: boolean;
}

export interface CallCounter {
  readonly count: number;
  /** Counts anew, up to the point at which the process ends. */
  arm(point: KillPoint | undefined): void;
}

type Call = (...given: unknown[]) => unknown;

/** To be called before anything is imported that keeps functions of its own. */
export async function countDiskCalls(): Promise<CallCounter> {
  let count = 0;
  let point: KillPoint | undefined;
  const counted = (call: Call): Call =>
    function (this: unknown, ...given) {
      const isLast = ++count === point?.call;
      if (isLast && !point!.isAfter) process.kill(process.pid, 'SIGKILL');
      const result = call.apply(this, given);
      if (!isLast) return result;
      return Promise.resolve(result).finally(() => process.kill(process.pid, 'SIGKILL'));
    };
  const handle = await fs.open(process.execPath);
  const targets: [object, readonly string[]][] = [
    [fs, FUNCTIONS],
    [Object.getPrototypeOf(handle), METHODS],
  ];
  await handle.close();
  for (const [target, names] of targets) {
    const functions = target as Record<string, Call>;
    for (const name of names) functions[name] = counted(functions[name]!);
  }
  syncBuiltinESMExports();
  return {
    get count() {
      return count;
    },
    arm(next) {
      count = 0;
      point = next;
    },
  };
}

/** A server in a process of its own, and what the system knows of it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

export interface ServerProcess {
  /** The first address that it printed. */
  readonly url: string;
  /** Most bytes that were resident at a time; undefined where the system does not tell. */
  peakByteLength(): number | undefined;
  stop(): Promise<void>;
}

export async function startServer(
  argv: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<ServerProcess> {
  const child = spawn(process.execPath, argv, {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, ...environment },
  });
  const url = await firstUrl(child);
  return {
    url,
    peakByteLength: () => peakOf(child.pid!),
    async stop() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.stdin.end();
      child.kill('SIGTERM');
      await ended;
    },
  };
}

async function firstUrl({ stdout }: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: stdout! })) {
    const [url] = /http:\/\/[\w.:]+/.exec(line) ?? [];
    if (url !== undefined) return url;
  }
  throw new Error('the server ended before it told its address');
}

function peakOf(pid: number): number | undefined {
  try {
    const [, kib] = /^VmHWM:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return kib === undefined ? undefined : 1024 * Number(kib);
  } catch {
    return undefined;
  }
}

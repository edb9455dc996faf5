/**
 * A process that works on a store's folder, to be killed or raced:
 * `node backend-process.js MODE FOLDER KEY NUMBER`. Each line that it prints is an acknowledged step.
 */
import { writeSync } from 'node:fs';
import promises, { type FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { openFolderBackend } from '../../src/store/backends/file-system.js';
import { withKeyLock } from '../../src/store/backends/key-lock.js';
import { increment } from '../conformance/increment.js';

const [mode, folder, key, number] = process.argv.slice(2);
const bytes = (text: string) => new TextEncoder().encode(text);
const acknowledge = (line: string | number) => writeSync(1, `${line}\n`);

const MODES: Record<string, () => Promise<void>> = {
  /** Adds 1 to a counter, NUMBER times. */
  async increment() {
    const backend = await openFolderBackend(folder);
    for (let i = 0; i < Number(number); i++) {
      await increment(backend, key, 1);
      acknowledge(i);
    }
  },

  /** Writes whole values and counts them, until it is killed. */
  async churn() {
    const backend = await openFolderBackend(folder);
    for (let i = 0; ; i++) {
      await backend.write(`objects/${i % 3}`, pieces(i % 256));
      await increment(backend, key, 1);
      acknowledge(i);
    }
  },

  /** Holds the lock of a key and does nothing. */
  async hold() {
    const temporaryFolder = join(folder, 'tmp');
    const lock = {
      temporaryFolder,
      path: join(temporaryFolder, key),
      shown: key,
      deadlineMs: Infinity,
      signal: undefined,
    };
    await withKeyLock(lock, async () => {
      acknowledge('held');
      await new Promise((resolve) => setTimeout(resolve, 60_000));
    });
  },

  /** Replaces two values, and kills itself before its NUMBER-th call of the file system. */
  async 'die-at'() {
    const backend = await openFolderBackend(folder);
    await dieAt(Number(number));
    await backend.write('objects/new/one', bytes('new'));
    await backend.compareAndSwap(key, bytes('old'), bytes('new'));
    await backend.compareAndSwap('refs/removed', bytes('old'), undefined);
    acknowledge('done');
  },
};

async function* pieces(byte: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < 3; i++) yield new Uint8Array(50_000).fill(byte);
}

/** Counts the calls that change something, and ends this process before one of them. */
async function dieAt(call: number): Promise<void> {
  let count = 0;
  const handle: FileHandle = await promises.open(folder, 'r');
  const counted: [object, string[]][] = [
    [promises, ['mkdir', 'open', 'rename', 'rm', 'rmdir', 'unlink']],
    [Object.getPrototypeOf(handle), ['write', 'sync']],
  ];
  await handle.close();
  for (const [target, names] of counted) {
    const functions = target as Record<string, (...values: unknown[]) => unknown>;
    for (const name of names) {
      const original = functions[name];
      functions[name] = function (this: unknown, ...values: unknown[]) {
        const isChange = name !== 'open' || values[1] === 'wx';
        if (isChange && ++count === call) process.kill(process.pid, 'SIGKILL');
        return original.apply(this, values);
      };
    }
  }
  syncBuiltinESMExports();
}

await MODES[mode]();

/**
 * The same state of memory before every run that writes as much, so that `cp` and decoding can be compared. On a virtual
 * machine that gives free memory back to its host, a page that was free for seconds costs a fault of the host when it
 * is written: several times as much as writing it, and whoever writes first pays. So little is left free: a process holds
 * what the runs do not need, files of earlier runs fill the page cache, and as many bytes as the run will write are
 * written and flushed right before it. What it writes then takes pages that were in use a moment ago.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freeMemory } from '../../../src/io/free-memory.js';
import { settleDisk } from './limits.js';
import { timedProcess } from './measured-run.js';

const BALLAST_PROCESS = fileURLToPath(new URL('./ballast-process.js', import.meta.url));

/**
 * What the ballast leaves, in times the bytes that a run writes: base, fine-tune, what is written before the run, what it
 * writes, and what was written before. Linux lets writers wait once a fifth of it is dirty: after as much as this.
 */
const ROOM_TIMES = 5;
/** What the ballast leaves besides, for the memory of the runs themselves. */
const ROOM_BYTE_LENGTH = 2 ** 31;
/** Less ballast than this changes nothing. */
const LEAST_BALLAST_BYTE_LENGTH = 2 ** 30;
/** Written folders that stay: more than the page cache then holds, so that what is removed frees no memory. */
const KEPT = 5;
/** Room on the disk for these, what is written before a run and by it, and archives; in times the bytes of a run. */
const DISK_TIMES = KEPT + 2.25;

export interface SteadyMemoryOptions {
  /** What is copied to fill memory, and its bytes. */
  readonly files: readonly { readonly path: string; readonly byteLength: number }[];
  /** On the disk of the models. */
  readonly folder: string;
  /** Bytes of the ballast; default: what is free but for the room that runs need. 0: nothing of all this. */
  readonly ballastByteLength?: number | undefined;
  /** Free bytes of the disk. */
  readonly diskByteLength: number;
  readonly signal: AbortSignal;
}

export interface SteadyMemory {
  /** 0 where runs find memory as it happens to be. */
  readonly ballastByteLength: number;
  /** To be called right before a run; gives it a folder that is not there yet. */
  prepare(): Promise<string>;
  /** Removes all that was written, and ends the ballast. */
  close(): Promise<void>;
}

export async function openSteadyMemory(options: SteadyMemoryOptions): Promise<SteadyMemory> {
  const { files, folder, diskByteLength, signal } = options;
  const written: string[] = [];
  let count = 0;
  const byteLength = files.reduce((sum, file) => sum + file.byteLength, 0);
  const next = (): string => {
    const path = join(folder, `written-${count++}`);
    written.push(path);
    return path;
  };
  const removeUntil = async (kept: number): Promise<void> => {
    while (written.length > kept) await rm(written.shift()!, { recursive: true, force: true });
  };
  const copyFiles = async (): Promise<void> => {
    const path = next();
    await mkdir(path);
    await timedProcess('cp', [...files.map((file) => file.path), path], signal);
  };
  const ballastByteLength =
    diskByteLength < DISK_TIMES * byteLength ? 0 : (options.ballastByteLength ?? freeBallast(byteLength));
  if (ballastByteLength === 0) {
    return {
      ballastByteLength,
      prepare: async () => {
        await removeUntil(0);
        await settleDisk(signal);
        return next();
      },
      close: () => removeUntil(0),
    };
  }
  const ballast = await startBallast(ballastByteLength, signal);
  const close = async (): Promise<void> => {
    await ballast.close();
    await removeUntil(0);
  };
  try {
    for (let i = 0; i < KEPT; i++) await copyFiles();
  } catch (error) {
    await close();
    throw error;
  }
  return {
    ballastByteLength,
    prepare: async () => {
      if (!ballast.isHeld()) {
        throw new Error('the ballast was taken away: end what else needs memory, or give --ballast less');
      }
      await removeUntil(KEPT);
      await copyFiles();
      await settleDisk(signal);
      return next();
    },
    close,
  };
}

function freeBallast(byteLength: number): number {
  const ballast = freeMemory() - ROOM_TIMES * byteLength - ROOM_BYTE_LENGTH;
  return ballast < LEAST_BALLAST_BYTE_LENGTH ? 0 : Math.floor(ballast);
}

/** @throws Error when it ends before it has its memory */
async function startBallast(
  byteLength: number,
  signal: AbortSignal,
): Promise<{ readonly isHeld: () => boolean; readonly close: () => Promise<void> }> {
  const child = spawn(process.execPath, [BALLAST_PROCESS, String(byteLength)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    signal,
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.on('error', reject).on('exit', () => resolve());
  });
  ended.catch(() => {}); // Told by whoever waits for it.
  const isReady = await Promise.race([once(child.stdout, 'data').then(() => true), ended.then(() => false)]);
  if (!isReady) throw new Error(`expected room for a ballast of ${byteLength} bytes; give --ballast less`);
  return {
    isHeld: () => child.exitCode === null && child.signalCode === null,
    close: async () => {
      child.stdin.end();
      await ended.catch(() => {});
    },
  };
}

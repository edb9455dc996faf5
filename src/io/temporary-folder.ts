/** A folder for what is needed only while something runs, on the disk of what comes out of it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { withIoErrors } from './io-error.js';

/**
 * Runs `work` with an empty folder beside `output`, hidden, and removes it afterwards.
 * @throws NotFoundError where the folder of the output does not exist
 */
export async function withFolderBeside<T>(output: string, work: (folder: string) => Promise<T>): Promise<T> {
  const parent = dirname(resolve(output));
  const folder = await withIoErrors('create', parent, () => mkdtemp(join(parent, '.ere-tmp-')));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Runs `work` with an empty folder among the system's temporary ones, and removes it afterwards. */
export async function withTemporaryFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await withIoErrors('create', tmpdir(), () => mkdtemp(join(tmpdir(), 'ere-')));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

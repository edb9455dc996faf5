/** Room for what an operation needs only while it runs: archives and decoded references. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withIoErrors } from '../io/io-error.js';
import type { StoreBackend } from './backend.js';
import { newWriterName } from './backends/writer-names.js';
import { RESERVED_SEGMENT } from './keys.js';

/** Runs `work` with an empty folder: on the store's disk where it has one, for that is chosen for large files. */
export async function withTemporaryFolder<T>(
  backend: StoreBackend,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await makeFolder(backend);
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function makeFolder({ folder: store, isReadOnly }: StoreBackend): Promise<string> {
  if (store === undefined || isReadOnly) return mkdtemp(join(tmpdir(), 'ere-'));
  // Its name says whose it is: what a killed process leaves is removed as all leftovers are.
  const folder = join(store, RESERVED_SEGMENT, newWriterName());
  await withIoErrors('create', folder, () => mkdir(folder, { recursive: true }));
  return folder;
}

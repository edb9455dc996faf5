/** Which small files of the fine-tuned folder travel in the archive, and which the base already has. */
import type { Checkpoint } from '../../formats/checkpoint.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import { type PlannedSideFile, packBlob } from './assemble-archive.js';
import type { Runtime } from './runtime.js';

export function digestBytes(bytes: Uint8Array, runtime: Runtime): Digest {
  const hash = runtime.createHasher();
  hash.update(bytes);
  return hash.digest();
}

/** Side files of the fine-tune in path order; without `blob` where the base holds the same bytes at the same path. */
export async function planSideFiles(
  base: Checkpoint,
  fineTuned: Checkpoint,
  runtime: Runtime,
): Promise<PlannedSideFile[]> {
  const inBase = new Map(base.sideFiles.map((file) => [file.path, file]));
  const planned: PlannedSideFile[] = [];
  for (const file of fineTuned.sideFiles) {
    const bytes = await file.read();
    const digest = digestBytes(bytes, runtime);
    const candidate = inBase.get(file.path);
    const isShared =
      candidate?.byteLength === file.byteLength && digestBytes(await candidate.read(), runtime) === digest;
    const entry = { path: file.path, byteLength: bytes.byteLength, digest };
    planned.push(isShared ? entry : { ...entry, blob: await packBlob(bytes) });
  }
  return planned;
}

/** Telling without reading whether the weights of a checkpoint on disk are still those that were read. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checkpoint } from '../../formats/checkpoint.js';
import { withIoErrors } from './io-error.js';

/**
 * What changes when weight files are written or replaced: sizes, times and the file system's numbers of them.
 * @throws NotFoundError, IoError
 */
export async function weightsState({
  location,
  files,
}: Pick<Checkpoint, 'location' | 'files'>): Promise<string> {
  const stateOf = (path: string) => withIoErrors('look at', path, () => stat(path, { bigint: true }));
  const isFolder = (await stateOf(location)).isDirectory();
  const states = await Promise.all(
    files.map(async (file) => {
      const { dev, ino, size, mtimeNs, ctimeNs } = await stateOf(
        isFolder ? join(location, file.path) : location,
      );
      return [file.path, dev, ino, size, mtimeNs, ctimeNs].map(String);
    }),
  );
  return JSON.stringify([location, states]);
}

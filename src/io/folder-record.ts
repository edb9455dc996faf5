/**
 * A note in a folder that ERE has written: what it was made from, and its files with their sizes and times, so that the
 * same is not made twice. The name begins with a dot, which keeps it out of models.
 */
import { rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isEreError } from '../../formats/errors.js';
import { relativePathProblem } from '../../formats/relative-path.js';
import { readSmallFile } from './file-source.js';
import { withIoErrors } from './io-error.js';

const RECORD_NAME = '.ere-pull.json';
const MAX_RECORD_BYTE_LENGTH = 4 << 20;

interface FolderRecord {
  readonly key: string;
  readonly files: readonly {
    readonly path: string;
    readonly byteLength: number;
    readonly modifiedMs: number;
  }[];
}

/** Records that the files of a folder were made from `key`. */
export async function writeFolderRecord(
  folder: string,
  key: string,
  paths: readonly string[],
): Promise<void> {
  const files = await Promise.all(paths.map(async (path) => ({ path, ...(await fileState(folder, path)) })));
  const path = join(folder, RECORD_NAME);
  await withIoErrors('write', path, async () => {
    await writeFile(`${path}.tmp`, JSON.stringify({ key, files }));
    await rename(`${path}.tmp`, path);
  });
}

/** The paths of the record, if the folder was made from `key` and no file was changed since; else undefined. */
export async function readFolderRecord(folder: string, key: string): Promise<string[] | undefined> {
  try {
    const text = new TextDecoder().decode(
      await readSmallFile(join(folder, RECORD_NAME), MAX_RECORD_BYTE_LENGTH),
    );
    const record: FolderRecord = JSON.parse(text);
    if (record.key !== key) return undefined;
    for (const { path, byteLength, modifiedMs } of record.files) {
      if (relativePathProblem(path) !== undefined) return undefined;
      const found = await fileState(folder, path);
      if (found.byteLength !== byteLength || found.modifiedMs !== modifiedMs) return undefined;
    }
    return record.files.map(({ path }) => path);
  } catch (error) {
    // No record, one that is not ours, or a file that is gone: it is made anew, or said to be in the way.
    if (error instanceof SyntaxError || error instanceof TypeError || isEreError(error)) return undefined;
    throw error;
  }
}

async function fileState(
  folder: string,
  path: string,
): Promise<{ readonly byteLength: number; readonly modifiedMs: number }> {
  const absolute = join(folder, path);
  const info = await withIoErrors('open', absolute, () => stat(absolute));
  return { byteLength: info.size, modifiedMs: info.mtimeMs };
}

/**
 * The files of a model folder that travel with its weights: every regular file, recursively, except weights,
 * hidden files and folders, and what is too large or not safe to write elsewhere.
 */
import type { Dirent } from 'node:fs';
import { lstat, readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { SideFile } from '../../formats/checkpoint.js';
import { IoError, LimitError } from '../../formats/errors.js';
import { LIMITS } from '../../formats/limits.js';
import { relativePathProblem } from '../../formats/relative-path.js';
import { openFileSource } from './file-source.js';
import { hubCacheBlobs } from './hub-cache.js';
import { isSystemError, withIoErrors } from './io-error.js';
import { isInside } from './is-inside.js';
import { weightFormat } from './weight-extensions.js';

export interface SideFileListing {
  /** In code-unit order of their paths. */
  readonly sideFiles: readonly SideFile[];
  /** Files that are not carried, with the reason; same order. */
  readonly skippedFiles: readonly { readonly path: string; readonly reason: string }[];
}

interface Walk {
  readonly folder: string;
  /** Folders that a symbolic link may lead into, without links themselves. */
  readonly roots: readonly string[];
  readonly weights: ReadonlySet<string>;
  readonly sideFiles: SideFile[];
  readonly skippedFiles: { path: string; reason: string }[];
}

/**
 * Lists the side files of a folder; contents are read by SideFile.read.
 * @param weights paths of the checkpoint's own weight files, relative to the folder
 * @throws LimitError when the folder holds over LIMITS.sideFileCount files
 */
export async function listSideFiles(folder: string, weights: Iterable<string>): Promise<SideFileListing> {
  const root = await withIoErrors('open', folder, () => realpath(folder));
  const blobs = hubCacheBlobs(root);
  const roots = blobs === undefined ? [root] : [root, blobs];
  const walk: Walk = { folder, roots, weights: new Set(weights), sideFiles: [], skippedFiles: [] };
  await walkFolder(walk, '');
  walk.sideFiles.sort(byPath);
  walk.skippedFiles.sort(byPath);
  return { sideFiles: walk.sideFiles, skippedFiles: walk.skippedFiles };
}

async function walkFolder(walk: Walk, prefix: string): Promise<void> {
  const folder = join(walk.folder, prefix);
  const entries = await withIoErrors('list', folder, () => readdir(folder, { withFileTypes: true }));
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue;
    const path = `${prefix}${entry.name}`;
    if (entry.isDirectory()) await walkFolder(walk, `${path}/`);
    else if (!walk.weights.has(path)) await addFile(walk, path, entry);
    assertCount(walk);
  }
}

async function addFile(walk: Walk, path: string, entry: Dirent): Promise<void> {
  const absolutePath = join(walk.folder, path);
  const verdict = await withIoErrors('open', absolutePath, () => judgeFile(walk, path, absolutePath, entry));
  if (typeof verdict === 'string') walk.skippedFiles.push({ path, reason: verdict });
  else walk.sideFiles.push(sideFile(path, absolutePath, verdict.byteLength));
}

/** The file's length, or the reason to skip it. */
async function judgeFile(
  walk: Walk,
  path: string,
  absolutePath: string,
  entry: Dirent,
): Promise<string | { byteLength: number }> {
  if (entry.isSymbolicLink()) {
    const problem = await linkProblem(walk, absolutePath);
    if (problem !== undefined) return problem;
  } else if (!entry.isFile()) {
    return 'not a regular file';
  }
  const format = weightFormat(path);
  if (format === 'safetensors') return 'weights that are not part of this checkpoint';
  if (format !== undefined) return `weights in another format (${format})`;
  const problem = path.includes('\ufffd') ? 'is not valid UTF-8' : relativePathProblem(path);
  if (problem !== undefined) return `not portable: the path ${problem}`;
  const { size } = await stat(absolutePath);
  if (size > LIMITS.sideFileByteLength) return `too large: ${size} bytes, over ${LIMITS.sideFileByteLength}`;
  return { byteLength: size };
}

/** Why a symbolic link is not followed; undefined when it leads to a regular file inside the roots. */
async function linkProblem(walk: Walk, absolutePath: string): Promise<string | undefined> {
  let target: string;
  try {
    target = await realpath(absolutePath);
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return 'symbolic link that leads nowhere';
    throw error;
  }
  if (!walk.roots.some((root) => isInside(root, target))) return 'symbolic link that leaves the folder';
  const info = await lstat(target);
  if (info.isDirectory()) return 'symbolic link to a folder';
  return info.isFile() ? undefined : 'not a regular file';
}

function sideFile(path: string, absolutePath: string, byteLength: number): SideFile {
  return {
    path,
    byteLength,
    async read() {
      const source = await openFileSource(absolutePath);
      try {
        if (source.byteLength !== byteLength) {
          throw new IoError(
            `${absolutePath}: changed from ${byteLength} to ${source.byteLength} bytes meanwhile`,
          );
        }
        return await source.read(0, byteLength);
      } finally {
        await source.close();
      }
    },
  };
}

function assertCount({ folder, sideFiles, skippedFiles }: Walk): void {
  const count = sideFiles.length + skippedFiles.length;
  if (count <= LIMITS.sideFileCount) return;
  const message = `${folder}: holds over ${LIMITS.sideFileCount} files; is this a model folder? Name the weight file`;
  throw new LimitError(message, LIMITS.sideFileCount, count);
}

function byPath(a: { readonly path: string }, b: { readonly path: string }): number {
  return a.path < b.path ? -1 : a.path > b.path ? 1 : 0;
}

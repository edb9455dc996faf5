/**
 * Outputs that are there whole or not at all: everything is written to a temporary sibling, flushed to the disk and
 * renamed. On an error or an abort the sibling is removed and what was at the path before is untouched.
 * A process that is killed can leave the sibling, `.<name>.ere-tmp-<process>-<random>`, never a partial output; the next
 * one that writes to the path removes it.
 */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import {
  type FileHandle,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  realpath,
  rename,
  rm,
  stat,
  unlink,
} from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { ConflictError, EreError, IoError, NotFoundError } from '../../formats/errors.js';
import { assertSafeRelativePath } from '../../formats/relative-path.js';
import { isSystemError, toIoError, withIoErrors } from './io-error.js';
import { isInside } from './is-inside.js';
import { handleOutput, type OutputFile } from './output-file.js';
import { hasEnded, processTag } from './process-identity.js';
import { syncFile, syncFolder, syncTree } from './sync.js';

export interface AtomicOutputOptions {
  /** Replace what is at the path; default false. */
  readonly overwrite?: boolean;
  /** Files and folders that are read meanwhile: an output that would replace one of them is refused. */
  readonly inputs?: readonly string[];
  /** Checked before the work and before the result is put in place. */
  readonly signal?: AbortSignal | undefined;
}

/** A folder that is being written. */
export interface OutputFolder {
  /** Where the files go for now. */
  readonly path: string;
  /**
   * Creates a file, and the folders on the way to it; it is closed with the folder.
   * @throws FormatError on a path that is not safe, ConflictError on one that is there already
   */
  createFile(relativePath: string): Promise<OutputFile>;
}

/** Temporary outputs that exist now; for `removeTemporaryOutputs`. */
const temporaryPaths = new Set<string>();

/** NAME_MAX less what the temporary name adds. */
const MAX_SHOWN_NAME_BYTE_LENGTH = 180;

/**
 * Removes every temporary output at once, for a process that has to exit before its promises settle
 * (a second Ctrl-C). Never throws.
 */
export function removeTemporaryOutputs(): void {
  for (const path of temporaryPaths) {
    try {
      rmSync(path, { recursive: true, force: true });
    } catch {
      // Nobody is left to tell.
    }
  }
  temporaryPaths.clear();
}

/**
 * Writes a file: `work` fills it, then it appears at `path`.
 * @returns what `work` returns
 * @throws ConflictError before any work when something is at the path: always for a folder or a device, for a file
 *   without `overwrite`
 * @throws NotFoundError when the parent folder does not exist
 * @throws IoError when the system refuses a write; EreError with code ERE_ABORTED on abort
 */
export async function withAtomicFile<T>(
  path: string,
  options: AtomicOutputOptions,
  work: (file: OutputFile) => Promise<T>,
): Promise<T> {
  const { target, exists } = await prepare(path, 'file', options);
  await removeAbandoned(target);
  const temporary = temporarySibling(target, 'tmp');
  return cleaningUp(path, temporary, async () => {
    // 'wx': never through something that is there already.
    const handle = await withIoErrors('create', path, () => open(temporary, 'wx'));
    const result = await closingAll(path, [handle], () => work(handleOutput(handle, temporary, path)));
    assertNotAborted(path, options.signal);
    await withIoErrors('write', path, () => syncFile(temporary));
    await withIoErrors('write', path, () =>
      exists ? rename(temporary, target) : moveToFree(temporary, target),
    );
    await withIoErrors('write', path, () => syncFolder(dirname(target)));
    return result;
  });
}

/**
 * Writes a folder: `work` fills it, then it appears at `path`. POSIX cannot exchange two folders, so with `overwrite`
 * the old one is renamed aside first; between the two renames both are on the disk and neither is at `path`.
 * @returns what `work` returns
 * @throws as withAtomicFile; with `overwrite` also ConflictError for the current folder and folders around it
 */
export async function withAtomicFolder<T>(
  path: string,
  options: AtomicOutputOptions,
  work: (folder: OutputFolder) => Promise<T>,
): Promise<T> {
  const { target, exists } = await prepare(path, 'folder', options);
  await removeAbandoned(target);
  const temporary = temporarySibling(target, 'tmp');
  return cleaningUp(path, temporary, async () => {
    await withIoErrors('create', path, () => mkdir(temporary));
    const result = await fillFolder(path, temporary, work);
    assertNotAborted(path, options.signal);
    await withIoErrors('write', path, () => syncTree(temporary));
    if (exists) {
      await swapFolders(path, temporary, target);
    } else {
      await moveFolderToFree(path, temporary, target);
    }
    return result;
  });
}

async function fillFolder<T>(
  path: string,
  temporary: string,
  work: (folder: OutputFolder) => Promise<T>,
): Promise<T> {
  const handles: FileHandle[] = [];
  const createFile = async (relativePath: string): Promise<OutputFile> => {
    assertSafeRelativePath(relativePath, { format: 'output', file: path });
    const shownPath = join(path, relativePath);
    const filePath = join(temporary, relativePath);
    const handle = await withIoErrors('create', shownPath, async () => {
      await mkdir(dirname(filePath), { recursive: true });
      return open(filePath, 'wx');
    });
    handles.push(handle);
    return handleOutput(handle, filePath, shownPath);
  };
  return closingAll(path, handles, () => work({ path: temporary, createFile }));
}

/** Runs `work` and closes the handles; the error of the work goes before one of closing. */
async function closingAll<T>(
  path: string,
  handles: readonly FileHandle[],
  work: () => Promise<T>,
): Promise<T> {
  let result: T;
  try {
    result = await work();
  } catch (error) {
    await Promise.allSettled(handles.map((handle) => handle.close()));
    throw error;
  }
  for (const handle of handles) await withIoErrors('write', path, () => handle.close());
  return result;
}

/** Checks the path before any work. `target` is where the output goes: absolute, symbolic links followed. */
async function prepare(
  path: string,
  kind: 'file' | 'folder',
  options: AtomicOutputOptions,
): Promise<{ target: string; exists: boolean }> {
  assertNotAborted(path, options.signal);
  const absolute = resolve(path);
  const found = await lstatOrUndefined(absolute, path);
  if (found === undefined) {
    await assertParentFolder(path, dirname(absolute));
    return { target: absolute, exists: false };
  }
  if (options.overwrite !== true) {
    throw new ConflictError(`${path}: exists already; choose another output, or allow it to be replaced`);
  }
  const target = await withIoErrors('replace', path, () => realpath(absolute));
  const info = await withIoErrors('replace', path, () => stat(target));
  if (!(kind === 'file' ? info.isFile() : info.isDirectory())) {
    throw new ConflictError(
      `${path}: the output is a ${kind}, and something else is there; it is not replaced`,
    );
  }
  if (kind === 'folder' && isInside(target, await realpath(process.cwd()))) {
    throw new ConflictError(`${path}: holds the current folder; it is not replaced`);
  }
  await assertNoInput(path, target, options.inputs ?? []);
  return { target, exists: true };
}

async function assertNoInput(path: string, target: string, inputs: readonly string[]): Promise<void> {
  for (const input of inputs) {
    // An input that does not exist is for whoever reads it to tell.
    const real = await realpath(input).catch(() => undefined);
    if (real !== undefined && isInside(target, real)) {
      throw new ConflictError(`${path}: replacing it would remove the input ${input}; choose another output`);
    }
  }
}

async function assertParentFolder(path: string, parent: string): Promise<void> {
  const info = await stat(parent).catch((error: unknown) => {
    throw isSystemError(error, 'ENOENT', 'ENOTDIR')
      ? new NotFoundError(`${path}: the folder ${parent} does not exist; create it first`, { cause: error })
      : toIoError(error, 'open', parent);
  });
  if (!info.isDirectory()) throw new ConflictError(`${path}: ${parent} is not a folder`);
}

async function lstatOrUndefined(absolute: string, path: string): Promise<unknown> {
  try {
    return await lstat(absolute);
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw toIoError(error, 'open', path);
  }
}

/** Renames onto a path that must be free: link(2) fails where rename(2) would replace what came meanwhile. */
async function moveToFree(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    // File systems without hard links (exFAT, some network shares).
    if (!isSystemError(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EACCES')) throw error;
    if ((await lstatOrUndefined(to, to)) !== undefined)
      throw new ConflictError(`${to}: was created meanwhile`);
    await rename(from, to);
    return;
  }
  await unlink(from);
}

async function moveFolderToFree(path: string, temporary: string, target: string): Promise<void> {
  try {
    await rename(temporary, target);
  } catch (error) {
    // rename(2) replaces an empty folder, which loses nothing, and no other.
    if (isSystemError(error, 'ENOTEMPTY', 'EEXIST', 'ENOTDIR')) {
      throw new ConflictError(`${path}: was created meanwhile`, { cause: error });
    }
    throw toIoError(error, 'write', path);
  }
  await withIoErrors('write', path, () => syncFolder(dirname(target)));
}

async function swapFolders(path: string, temporary: string, target: string): Promise<void> {
  const aside = temporarySibling(target, 'old');
  await withIoErrors('replace', path, () => rename(target, aside));
  try {
    await rename(temporary, target);
  } catch (error) {
    await withIoErrors('restore', path, () => rename(aside, target));
    throw toIoError(error, 'replace', path);
  }
  await withIoErrors('write', path, () => syncFolder(dirname(target)));
  try {
    await rm(aside, { recursive: true, force: true });
  } catch (cause) {
    throw new IoError(`${path}: is complete, but the folder it replaced could not be removed: ${aside}`, {
      cause,
    });
  }
}

/** Runs `write` and removes the temporary output when it fails. */
async function cleaningUp<T>(path: string, temporary: string, write: () => Promise<T>): Promise<T> {
  temporaryPaths.add(temporary);
  try {
    return await write();
  } catch (error) {
    // The first error is the one to tell.
    await rm(temporary, { recursive: true, force: true }).catch(() => {});
    // A system error of the work's own writes names the temporary path; any other is about something else.
    const ours = isSystemError(error) && error.path !== undefined && isInside(temporary, resolve(error.path));
    throw ours ? toIoError(error, 'write', path) : error;
  } finally {
    temporaryPaths.delete(temporary);
  }
}

function temporarySibling(target: string, kind: 'tmp' | 'old'): string {
  const random = randomBytes(6).toString('hex');
  return join(dirname(target), `${temporaryPrefix(target, kind)}${processTag()}-${random}`);
}

function temporaryPrefix(target: string, kind: 'tmp' | 'old'): string {
  let name = basename(target);
  while (Buffer.byteLength(name) > MAX_SHOWN_NAME_BYTE_LENGTH) name = [...name].slice(0, -1).join('');
  return `.${name}.ere-${kind}-`;
}

/**
 * Removes what processes that were killed left of this output; never what runs now or ran elsewhere, and nothing where one
 * was killed between two renames: then the folder it replaced lies aside, and its successor may be the only whole one.
 */
async function removeAbandoned(target: string): Promise<void> {
  const folder = dirname(target);
  const names = await readdir(folder).catch((): string[] => []);
  const [prefix, aside] = [temporaryPrefix(target, 'tmp'), temporaryPrefix(target, 'old')];
  if (names.some((name) => name.startsWith(aside))) return;
  for (const name of names) {
    if (!name.startsWith(prefix) || !hasEnded(name.slice(prefix.length, name.lastIndexOf('-')))) continue;
    // Somebody else's to remove, then.
    await rm(join(folder, name), { recursive: true, force: true }).catch(() => {});
  }
}

function assertNotAborted(path: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new EreError('ERE_ABORTED', `${path}: aborted, nothing was written`, { cause: signal.reason });
}

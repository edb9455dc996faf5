/**
 * Paths inside a model folder, as archives and shard indexes carry them: POSIX separators, relative, and the same
 * file on every system. An untrusted path that passes can be joined to a folder without leaving it, on Windows too:
 * no drive, no stream (`a:b`), no device (`NUL.txt`), no name that Windows would trim into another.
 */
import { FormatError, quoteName } from './errors.js';
import { LIMITS } from './limits.js';

/** What the path belongs to, for messages. */
export interface RelativePathDetails {
  /** Format that carries the path: 'safetensors', 'ere', … */
  readonly format: string;
  readonly file?: string;
}

/** Device names of Windows, which an extension does not free (learn.microsoft.com, "Naming Files, Paths, and Namespaces"). */
const RESERVED =
  /^(?:con|prn|aux|nul|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3]|conin\$|conout\$)[ ]*(?:\.|$)/i;
const FORBIDDEN = /[<>:"|?*]/;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** @throws FormatError unless the path is safe, see `relativePathProblem`. */
export function assertSafeRelativePath(path: string, details: RelativePathDetails): void {
  const problem = relativePathProblem(path);
  if (problem === undefined) return;
  throw new FormatError(details.format, `path ${quoteName(path)} ${problem}`, {
    file: details.file,
  });
}

/** Why a path is refused, as the end of a sentence ("is absolute"); undefined when it is safe. */
export function relativePathProblem(path: string): string | undefined {
  if (path === '') return 'is empty';
  if (path.startsWith('/')) return 'is absolute';
  if (path.includes('\\')) return 'has a backslash; separators are /';
  if (/^[a-z]:/i.test(path)) return 'has a drive letter';
  if (LONE_SURROGATE.test(path)) return 'is not well-formed Unicode';
  const byteLength = new TextEncoder().encode(path).byteLength;
  if (byteLength > LIMITS.pathByteLength) return `takes ${byteLength} bytes, over ${LIMITS.pathByteLength}`;
  for (const segment of path.split('/')) {
    const problem = segmentProblem(segment);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/**
 * @throws FormatError when two paths would be one file on a file system that ignores case, or when one is a folder
 * of another.
 */
export function assertDistinctPaths(paths: Iterable<string>, details: RelativePathDetails): void {
  const taken = new Map<string, string>();
  const folders = new Map<string, string>();
  for (const path of paths) {
    const key = path.normalize('NFC').toLowerCase();
    const other = taken.get(key) ?? folders.get(key) ?? firstFolderTaken(key, taken);
    if (other !== undefined) {
      const message = `paths ${quoteName(other)} and ${quoteName(path)} cannot both be written`;
      throw new FormatError(details.format, message, { file: details.file });
    }
    taken.set(key, path);
    for (const folder of foldersOf(key)) folders.set(folder, path);
  }
}

function segmentProblem(segment: string): string | undefined {
  if (segment === '') return 'has an empty segment';
  if (segment === '..') return "has the segment '..'";
  if (segment === '.') return "has the segment '.'";
  for (let i = 0; i < segment.length; i++) {
    const unit = segment.charCodeAt(i);
    if (unit < 0x20 || unit === 0x7f) return 'has a control character';
  }
  if (FORBIDDEN.test(segment)) return 'has one of < > : " | ? *';
  if (segment.endsWith('.') || segment.endsWith(' ')) return 'has a segment that ends in a dot or a space';
  if (RESERVED.test(segment)) return `has the reserved device name ${quoteName(segment)}`;
  const byteLength = new TextEncoder().encode(segment).byteLength;
  if (byteLength > LIMITS.pathSegmentByteLength)
    return `has a segment over ${LIMITS.pathSegmentByteLength} bytes`;
  return undefined;
}

function firstFolderTaken(key: string, taken: ReadonlyMap<string, string>): string | undefined {
  for (const folder of foldersOf(key)) {
    const path = taken.get(folder);
    if (path !== undefined) return path;
  }
  return undefined;
}

/** 'a/b/c' → 'a', 'a/b'. */
function* foldersOf(path: string): Generator<string> {
  for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1)) yield path.slice(0, end);
}

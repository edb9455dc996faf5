/**
 * The one rule for paths that come out of a file: relative, POSIX, and unable to leave the folder they
 * are joined to on any operating system.
 */
import { FormatError } from './errors.js';

/** Longest path that is taken; every common file system's own bound (PATH_MAX) is at or below it. */
const MAX_PATH_LENGTH = 4096;

/**
 * Checks that `path` is safe to join to a folder: non-empty segments separated by `/`, none of them `.` or
 * `..`, no leading `/`, no drive letter, no backslash, no control character.
 * @throws FormatError that names the file, the path and the rule it breaks.
 */
export function assertSafeRelativePath(path: string, details: { format: string; file?: string }): void {
  const rule = brokenRule(path);
  if (rule !== undefined) {
    const shown = path.length > 120 ? `${path.slice(0, 120)}…` : path;
    throw new FormatError(details.format, `path ${JSON.stringify(shown)}: expected ${rule}`, {
      file: details.file,
    });
  }
}

function brokenRule(path: string): string | undefined {
  if (path.length > MAX_PATH_LENGTH) return `at most ${MAX_PATH_LENGTH} characters, found ${path.length}`;
  if (path.startsWith('/')) return 'a relative path';
  if (path.includes('\\')) return 'POSIX separators, found a backslash';
  if (/^[A-Za-z]:/.test(path)) return 'no drive letter';
  if (/\p{Cc}/u.test(path)) return 'no control characters';
  if (/\p{Surrogate}/u.test(path)) return 'well-formed Unicode';
  for (const segment of path.split('/')) {
    if (segment === '') return 'no empty segment';
    if (segment === '.' || segment === '..') return `no "${segment}" segment`;
  }
  return undefined;
}

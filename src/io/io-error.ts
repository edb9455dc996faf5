/** Turns what the operating system throws into ERE's own errors, with the path in the message. */
import { ConflictError, EreError, IoError, NotFoundError } from '../../formats/errors.js';

/** Codes with more to say than their name; the others are told by the system's own text. */
const HINTS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  ENOSPC: 'no space left on the device',
  EDQUOT: 'disk quota exceeded',
  EROFS: 'read-only file system',
  EMFILE: 'too many open files',
  ENFILE: 'too many open files in the system',
  EISDIR: 'it is a folder',
  EFBIG: 'the file is too large for the file system',
  EIO: 'input/output error of the device',
  ELOOP: 'too many symbolic links',
  ENAMETOOLONG: 'the name is too long',
};

/** True for an error of node:fs, optionally with one of the given codes. */
export function isSystemError(
  error: unknown,
  ...codes: string[]
): error is NodeJS.ErrnoException & { code: string } {
  if (!(error instanceof Error) || error instanceof EreError) return false;
  const { code } = error as NodeJS.ErrnoException;
  if (typeof code !== 'string' || !/^E[A-Z0-9]+$/.test(code)) return false;
  return codes.length === 0 || codes.includes(code);
}

/**
 * The error to throw when `action` ("read", "write", …) on `path` failed: NotFoundError, ConflictError or IoError
 * for a system error, with the original as cause; any other error comes back unchanged.
 */
export function toIoError(error: unknown, action: string, path: string): unknown {
  if (!isSystemError(error)) return error;
  const options = { cause: error };
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') {
    return new NotFoundError(`${path}: cannot ${action}: no such file or folder`, options);
  }
  if (error.code === 'EEXIST' || error.code === 'ENOTEMPTY') {
    return new ConflictError(`${path}: cannot ${action}: it exists already`, options);
  }
  const reason = HINTS[error.code] ?? error.message;
  return new IoError(`${path}: cannot ${action}: ${reason} (${error.code})`, options);
}

/** Runs `operation` and rethrows what fails as `toIoError` does. */
export async function withIoErrors<T>(action: string, path: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    throw toIoError(error, action, path);
  }
}

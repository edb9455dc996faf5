import { isAbsolute, relative, sep } from 'node:path';

/** True when `path` is `folder` or under it; both absolute, without symbolic links. */
export function isInside(folder: string, path: string): boolean {
  const rest = relative(folder, path);
  return rest !== '..' && !rest.startsWith(`..${sep}`) && !isAbsolute(rest);
}

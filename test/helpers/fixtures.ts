import { fileURLToPath } from 'node:url';

/** Absolute path of a file or folder under test/fixtures; this module runs as dist/test/helpers/fixtures.js. */
export function fixturePath(path: string): string {
  return fileURLToPath(new URL(`../../../test/fixtures/${path}`, import.meta.url));
}

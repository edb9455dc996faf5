/** The bundle as pages load it, with the types of its source; this module runs as dist/test/web/bundle.js. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const BUNDLE_FOLDER = fileURLToPath(new URL('../../web', import.meta.url));

export function loadBundle(): Promise<typeof import('../../src/web/index.js')> {
  return import(join(BUNDLE_FOLDER, 'ere.js'));
}

/** Every file of the bundle, by name. */
export function readBundle(): ReadonlyMap<string, Buffer> {
  return new Map(readdirSync(BUNDLE_FOLDER).map((name) => [name, readFileSync(join(BUNDLE_FOLDER, name))]));
}

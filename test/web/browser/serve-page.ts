/** The demo page on a loopback server: the bundle, onnxruntime-web, the base and an archive of tinylm. */
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encode } from '../../../src/index.js';
import { type StaticServer, serveFolder } from '../../helpers/static-server.js';
import { withTempFolder } from '../../helpers/temp-folder.js';
import { tinylm } from '../../helpers/tinylm.js';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));

export interface ServedPage {
  readonly server: StaticServer;
  /** What is served: the archive is `archive.ere`. */
  readonly folder: string;
}

/** Encodes the archive, and serves while `use` runs. */
export async function withPage<T>(use: (page: ServedPage) => Promise<T>): Promise<T> {
  return withTempFolder(async (folder) => {
    const page = join(ROOT, 'test/web/browser/page');
    const links: Readonly<Record<string, string>> = {
      'index.html': join(page, 'index.html'),
      'demo.js': join(page, 'demo.js'),
      ere: join(ROOT, 'dist/web'),
      ort: join(ROOT, 'node_modules/onnxruntime-web/dist'),
      base: tinylm('base'),
      'text.bin': tinylm('eval', 'python.bin'),
    };
    for (const [name, target] of Object.entries(links)) await symlink(target, join(folder, name));
    await encode(tinylm('python'), {
      base: tinylm('base'),
      output: join(folder, 'archive.ere'),
      effort: 'fast',
    });
    const server = await serveFolder(folder);
    try {
      return await use({ server, folder });
    } finally {
      await server.close();
    }
  });
}

/**
 * Bundles what tsc wrote of src/web into dist/web: `ere.js`, the script of its workers and what they share, for a page
 * without a bundler of its own. Run: node src/web/bundle.mjs, after tsc.
 */
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { rolldown } from 'rolldown';

const dist = new URL('../../dist/', import.meta.url);
const folder = fileURLToPath(new URL('web/', dist));
const entry = (/** @type {string} */ path) => fileURLToPath(new URL(`src/web/${path}`, dist));

const bundle = await rolldown({
  // A worker's script has its name in the bundle too: worker-pool.ts asks for it beside itself.
  input: { ere: entry('index.js'), 'worker-main': entry('worker-main.js') },
  platform: 'browser',
  treeshake: { moduleSideEffects: (id) => id.endsWith('worker-main.js') },
});
await bundle.write({
  dir: folder,
  format: 'esm',
  entryFileNames: '[name].js',
  chunkFileNames: 'ere-[hash].js',
  cleanDir: true,
  // Errors go by the names of their classes.
  minify: { compress: true, mangle: { keepNames: { function: false, class: true } }, codegen: true },
});
await bundle.close();

const sizes = { raw: 0, gzip: 0, brotli: 0 };
for (const name of await readdir(folder)) {
  const bytes = await readFile(new URL(`web/${name}`, dist));
  sizes.raw += bytes.byteLength;
  sizes.gzip += gzipSync(bytes, { level: 9 }).byteLength;
  sizes.brotli += brotliCompressSync(bytes).byteLength;
}
console.log(`web: ${sizes.raw} bytes, ${sizes.gzip} as gzip, ${sizes.brotli} as brotli`);

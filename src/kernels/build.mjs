/**
 * Compiles assembly/*.ts to one WebAssembly module and writes it as a base64 constant to
 * generated/kernels-wasm.ts, so that the same file loads in Node, workers and browsers.
 * Equal sources give equal bytes. Run: node src/kernels/build.mjs
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { main } from 'assemblyscript/asc';

const folder = dirname(fileURLToPath(import.meta.url));

/**
 * @param {string} name file inside assembly/
 * @returns {Promise<Uint8Array>} the module
 */
async function compile(name) {
  /** @type {Uint8Array | undefined} */
  let binary;
  const { error, stderr } = await main(
    [
      name,
      '--outFile',
      'kernels.wasm',
      '--runtime',
      'stub',
      '--importMemory',
      '--noExportMemory',
      '-O3',
      '--enable',
      'simd',
    ],
    {
      readFile: async (path) => {
        try {
          return await readFile(join(folder, 'assembly', path), 'utf8');
        } catch {
          return null;
        }
      },
      writeFile: (_path, contents) => {
        if (typeof contents !== 'string') binary = contents;
      },
      listFiles: () => [],
    },
  );
  if (error !== null || binary === undefined) {
    throw new Error(
      `AssemblyScript could not compile ${name}: ${error?.message ?? 'no output'}\n${stderr.toString()}`,
    );
  }
  return binary;
}

const binary = await compile('index.ts');
await mkdir(join(folder, 'generated'), { recursive: true });
await writeFile(
  join(folder, 'generated', 'kernels-wasm.ts'),
  `/** The module of src/kernels/assembly, ${binary.byteLength} bytes in base64. Written by build.mjs. */\n` +
    `export const KERNELS_WASM =\n  '${Buffer.from(binary).toString('base64')}';\n`,
);
console.log(`kernels: ${binary.byteLength} bytes of WebAssembly`);

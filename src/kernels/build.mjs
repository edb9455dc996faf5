/**
 * Compiles assembly/*.ts to WebAssembly and writes it as base64 constants to generated/, so that the same files load
 * in Node, workers and browsers: one module of all kernels, and one of those that decoding calls, for pages.
 * Equal sources give equal bytes. Run: node src/kernels/build.mjs
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deflateRawSync } from 'node:zlib';
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

/** @param {Uint8Array} bytes */
function base64(bytes) {
  return `'${Buffer.from(bytes).toString('base64')}'`;
}

/**
 * @param {string} source file inside assembly/
 * @param {string} name of the generated file
 * @param {string} constant that it exports
 * @param {(binary: Uint8Array) => string} write the value of the constant, as source
 */
async function generate(source, name, constant, write) {
  const binary = await compile(source);
  await writeFile(
    join(folder, 'generated', `${name}.ts`),
    `/** The module of src/kernels/assembly/${source}, ${binary.byteLength} bytes, in base64. Written by build.mjs. */\n` +
      `export const ${constant} = ${write(binary)};\n`,
  );
  console.log(`${name}: ${binary.byteLength} bytes of WebAssembly`);
}

await mkdir(join(folder, 'generated'), { recursive: true });
await generate('index.ts', 'kernels-wasm', 'KERNELS_WASM', base64);
// Deflated before it is text: compressing the text again takes off half as much.
await generate('decoding.ts', 'decode-kernels-wasm', 'DECODE_KERNELS_WASM', (binary) => {
  const deflated = deflateRawSync(binary, { level: 9 });
  return `{\n  byteLength: ${binary.byteLength},\n  deflated:\n    ${base64(deflated)},\n}`;
});

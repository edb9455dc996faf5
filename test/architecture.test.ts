/** Layers: cli → src → formats. What a browser needs never imports node:, and heavy packages load lazily. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const HEAVY = /^(onnxruntime-node|ml-matrix|@huggingface\/hub|@aws-sdk\/.*)(\/|$)/;

interface Import {
  readonly file: string;
  /** The bare specifier, or the path from the root for a relative one. */
  readonly target: string;
  readonly kind: 'static' | 'type' | 'dynamic';
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const statics = text.matchAll(/^(?:import|export)(\s+type)?\s+(?:[\w$*{}\s,]+\sfrom\s+)?'([^']+)'/gm);
  const dynamics = text.matchAll(/\bimport\(\s*(?:\/\*.*?\*\/\s*)?['"]([^'"]+)['"]/g);
  const target = (specifier: string) =>
    specifier.startsWith('.') ? relative(ROOT, resolve(ROOT, dirname(file), specifier)) : specifier;
  return [
    ...[...statics].map(
      (match) => ({ file, target: target(match[2]!), kind: match[1] ? 'type' : 'static' }) as const,
    ),
    ...[...dynamics].map((match) => ({ file, target: target(match[1]!), kind: 'dynamic' }) as const),
  ];
}

const imports = ['cli', 'src', 'formats'].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.startsWith(join('kernels', 'assembly')))
    .flatMap((path) => importsOf(join(folder, path))),
);

/** Imports of files in `from` whose target is not allowed, as 'file → target'. */
function violations(from: RegExp, forbidden: (target: string) => boolean): string[] {
  return imports
    .filter(({ file, target }) => from.test(file) && forbidden(target))
    .map(({ file, target }) => `${file} → ${target}`);
}

test('the imports that the rules below judge are found', () => {
  expect(imports).toContainEqual({
    file: 'cli/context.ts',
    target: 'src/residual/inspect.js',
    kind: 'dynamic',
  });
  expect(imports).toContainEqual({ file: 'cli/program.ts', target: 'commander', kind: 'static' });
  expect(imports).toContainEqual({
    file: 'src/evaluate/onnx-runtime.ts',
    target: 'onnxruntime-node',
    kind: 'type',
  });
});

test('cli imports src, formats, commander and node only', () => {
  expect(violations(/^cli\//, (target) => !/^(cli\/|src\/|formats\/|node:|commander$)/.test(target))).toEqual(
    [],
  );
});

test('src imports neither cli nor test', () => {
  expect(violations(/^src\//, (target) => /^(cli|test)\//.test(target))).toEqual([]);
});

test('formats imports formats only', () => {
  expect(violations(/^formats\//, (target) => !target.startsWith('formats/'))).toEqual([]);
});

test('only src/io and src/store import node:fs', () => {
  expect(violations(/^(?!src\/(io|store)\/)/, (target) => /^node:fs(\/|$)/.test(target))).toEqual([]);
});

test('only src/linalg and src/evaluate import onnxruntime-node', () => {
  expect(violations(/^(?!src\/(linalg|evaluate)\/)/, (target) => target.startsWith('onnxruntime'))).toEqual(
    [],
  );
});

test('only src/store imports the client of S3', () => {
  expect(violations(/^(?!src\/store\/)/, (target) => target.startsWith('@aws-sdk/'))).toEqual([]);
});

test('only src/hub imports the client of the Hub', () => {
  expect(violations(/^(?!src\/hub\/)/, (target) => target.startsWith('@huggingface/'))).toEqual([]);
});

test.each(['hub', 'serve'])(
  'only the command line imports src/%s: without it the rest compiles',
  (folder) => {
    const others = new RegExp(`^(?:formats|src/(?!${folder}/))`);
    expect(violations(others, (target) => target.startsWith(`src/${folder}/`))).toEqual([]);
  },
);

test('only src/serve imports the library of metrics', () => {
  expect(violations(/^(?!src\/serve\/)/, (target) => target === 'prom-client')).toEqual([]);
});

test('kernels and codecs run in a browser: no node: import', () => {
  expect(violations(/^src\/(kernels|codecs)\//, (target) => target.startsWith('node:'))).toEqual([]);
});

test('pages of the server are made of data alone: no node: import, no package', () => {
  expect(violations(/^src\/serve\/pages\//, (target) => !/^(src|formats)\//.test(target))).toEqual([]);
});

/** Files and packages that a file imports at run time, over any number of steps. */
function reachedFrom(entry: string, kinds: readonly Import['kind'][]): string[] {
  const reached = new Set([entry]);
  for (const from of reached) {
    for (const { file, target, kind } of imports) {
      if (file === from && kinds.includes(kind)) reached.add(target.replace(/\.js$/, '.ts'));
    }
  }
  return [...reached];
}

test.each(['src/web/index.ts', 'src/web/worker-main.ts'])(
  '%s reaches no node: module, no package and no kernel of encoding',
  (entry) => {
    const reached = reachedFrom(entry, ['static', 'dynamic']);
    expect(reached).toContain('src/residual/tensor-decoder.ts');
    expect(reached.filter((target) => !/^(src|formats)\//.test(target))).toEqual([]);
    expect(reached).not.toContain('src/kernels/generated/kernels-wasm.ts');
  },
);

test('nothing that src/index.ts imports statically imports a heavy package', () => {
  const reached = reachedFrom('src/index.ts', ['static']);
  expect(reached.filter((target) => HEAVY.test(target))).toEqual([]);
});

/** What is published: the files in the tarball, the entry points, and pinned, reasoned dependencies. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { PACKAGE_NAME, PACKAGE_VERSION } from '../src/version.js';

const ROOT = new URL('../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, ROOT), 'utf8');

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly allowScripts: Record<string, boolean>;
  readonly bin: { readonly ere: string };
  readonly types: string;
  readonly exports: Record<string, string | Record<string, string>>;
  readonly dependencies: Record<string, string>;
  readonly optionalDependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
}

const manifest: Manifest = JSON.parse(read('package.json'));
const dependencies = Object.entries({
  ...manifest.dependencies,
  ...manifest.optionalDependencies,
  ...manifest.devDependencies,
});

test('the tarball holds the built library, the specification and the top-level texts, nothing else', async () => {
  // Without scripts: prepack would rebuild dist under the feet of the running tests.
  const argv = ['pack', '--dry-run', '--json', '--ignore-scripts'];
  const { stdout } = await promisify(execFile)('npm', argv, { cwd: fileURLToPath(ROOT) });
  const paths: string[] = JSON.parse(stdout)[0].files.map((file: { path: string }) => file.path);
  const expected =
    /^(dist\/(src|cli|formats|web)\/|docs\/spec\/|(README\.md|CHANGELOG\.md|LICENSE|package\.json)$)/;
  expect(paths.filter((path) => !expected.test(path))).toEqual([]);
  for (const path of [
    'README.md',
    'CHANGELOG.md',
    'LICENSE',
    'dist/src/index.js',
    'dist/src/index.d.ts',
    'dist/web/ere.js',
    'dist/web/worker-main.js',
    'dist/cli/bin.js',
  ]) {
    expect(paths).toContain(path);
  }
});

test('every entry point is a file', () => {
  const targets = Object.values(manifest.exports).flatMap((entry) =>
    typeof entry === 'string' ? entry : Object.values(entry),
  );
  const missing = [...targets, manifest.types, ...Object.values(manifest.bin)].filter(
    (path) => !existsSync(new URL(path, ROOT)),
  );
  expect(missing).toEqual([]);
});

test('the bin is a script that the shell hands to node', () => {
  expect(read(manifest.bin.ere).split('\n')[0]).toBe('#!/usr/bin/env node');
});

test('dependencies are pinned exactly', () => {
  expect(dependencies.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
});

test('every dependency has its line in docs/decisions, and no line is left over', () => {
  const lines = [...read('docs/decisions/0001-dependencies.md').matchAll(/^- `([^`]+)`/gm)].map(
    (match) => match[1],
  );
  expect([...lines].sort()).toEqual(dependencies.map(([name]) => name).sort());
});

test('the changelog has an entry for this version', () => {
  expect(read('CHANGELOG.md')).toContain(`## ${manifest.version}`);
});

test('the library states the name and version of the package', () => {
  expect([PACKAGE_NAME, PACKAGE_VERSION]).toEqual([manifest.name, manifest.version]);
});

test('npm is told to keep onnxruntime-node from downloading CUDA libraries', () => {
  expect(read('.npmrc')).toMatch(/^onnxruntime-node-install=skip$/m); // npm up to 11
  expect(manifest.allowScripts).toEqual({ 'onnxruntime-node': false, protobufjs: false }); // npm from 11 on
});

/** Files and folders of a version, whose hashes follow from what is in them. */
import { expect, test } from 'vitest';
import type { ServedFile } from '../../src/serve/catalog.js';
import { entriesIn, treeOf } from '../../src/serve/tree.js';

/** Of paths, and what is in them. @param onPath called for each look at a path */
function versionOf(contents: Readonly<Record<string, string>>, onPath: () => void = () => {}) {
  const files = Object.keys(contents)
    .sort()
    .map((path): ServedFile => {
      const oid = contents[path]!.repeat(40);
      const file = { kind: 'side', byteLength: 1, digest: undefined, pieces: [], isLarge: false } as const;
      return Object.defineProperty({ ...file, path, oid, etag: oid }, 'path', {
        get: () => {
          onPath();
          return path;
        },
      });
    });
  return { files };
}

const CONTENTS = {
  'a-b': '0',
  'a.txt': '1',
  'a/c/d/e': '2',
  'a/c/f': '3',
  'a/z': '4',
  'ab/c/f': '3',
  z: '5',
};

test('folders come before what is in them, each once', () => {
  const tree = treeOf(versionOf(CONTENTS));
  const paths = ['a-b', 'a.txt', 'a', 'a/c', 'a/c/d', 'a/c/d/e', 'a/c/f', 'a/z', 'ab', 'ab/c', 'ab/c/f', 'z'];
  expect([...tree.keys()]).toEqual(paths);
  expect([...tree.values()].map(({ path }) => path)).toEqual(paths);
  for (const { type, oid, path } of tree.values()) {
    expect(type).toBe(path in CONTENTS ? 'file' : 'directory');
    expect(oid).toMatch(/^[0-9a-f]{40}$/);
  }
});

test('entries of a folder are those right in it, or all below it', () => {
  const version = versionOf(CONTENTS);
  const pathsIn = (folder: string, isRecursive: boolean) =>
    entriesIn(version, folder, isRecursive).map(({ path }) => path);
  expect(pathsIn('', false)).toEqual(['a-b', 'a.txt', 'a', 'ab', 'z']);
  expect(pathsIn('a/', false)).toEqual(['a/c', 'a/z']);
  expect(pathsIn('a/', true)).toEqual(['a/c', 'a/c/d', 'a/c/d/e', 'a/c/f', 'a/z']);
  expect(pathsIn('none/', true)).toEqual([]);
});

test('the hash of a folder changes with anything in it, and with nothing else', () => {
  const oidsOf = (contents: Readonly<Record<string, string>>) =>
    new Map([...treeOf(versionOf(contents)).values()].map(({ path, oid }) => [path, oid]));
  const before = oidsOf(CONTENTS);
  const changed = (contents: Readonly<Record<string, string>>) =>
    [...oidsOf(contents)].filter(([path, oid]) => before.get(path) !== oid).map(([path]) => path);
  expect(changed({ ...CONTENTS, 'a/c/d/e': '9' })).toEqual(['a', 'a/c', 'a/c/d', 'a/c/d/e']);
  expect(changed({ ...CONTENTS, 'a/new': '9' })).toEqual(['a', 'a/new']);
  expect(changed({ ...CONTENTS, z: '9' })).toEqual(['z']);
  const { 'a/z': _, ...without } = CONTENTS;
  expect(changed({ ...without, 'a/y': '4' })).toEqual(['a', 'a/y']);
  // Folders of the same files are the same wherever they are.
  const twice = oidsOf({ 'x/c/f': '3', 'y/c/f': '3' });
  expect(twice.get('x')).toBe(twice.get('y'));
});

test('a version with many deep folders is gone through once, whatever is asked of it', () => {
  let looks = 0;
  const deep = Array.from({ length: 100 }, (_, i) => [`d${i}${'/a'.repeat(50)}/f`, '0']);
  const version = versionOf(Object.fromEntries(deep), () => looks++);
  expect(entriesIn(version, '', true)).toHaveLength(100 * 52);
  expect(looks).toBeLessThanOrEqual(4 * 100);
  const before = looks;
  expect(entriesIn(version, '', false)).toHaveLength(100);
  expect(treeOf(version).get('d7/a')).toMatchObject({ type: 'directory' });
  expect(looks).toBe(before);
});

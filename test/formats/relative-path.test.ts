import { posix, win32 } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FormatError } from '../../formats/errors.js';
import {
  assertDistinctPaths,
  assertSafeRelativePath,
  relativePathProblem,
} from '../../formats/relative-path.js';

const details = { format: 'ere', file: 'a.ere' };

it.each([
  'config.json',
  'a/b/c.txt',
  '.hidden',
  'a b',
  'ünï/😀',
  'console.log',
  'com',
  'nul1',
  '...a',
  'x'.repeat(255),
])('accepts %.40j', (path) => {
  expect(() => assertSafeRelativePath(path, details)).not.toThrow();
});

it.each([
  ['', 'is empty'],
  ['/etc/passwd', 'is absolute'],
  ['//host/share', 'is absolute'],
  ['..', "segment '..'"],
  ['../x', "segment '..'"],
  ['a/..', "segment '..'"],
  ['a/../b', "segment '..'"],
  ['.', "segment '.'"],
  ['./a', "segment '.'"],
  ['a//b', 'empty segment'],
  ['a/', 'empty segment'],
  ['C:/x', 'drive letter'],
  ['c:x', 'drive letter'],
  ['a\\b', 'backslash'],
  ['a\0b', 'control character'],
  ['a\u001b[2J', 'control character'],
  ['file:stream', 'has one of'],
  ['what?', 'has one of'],
  ['a./b', 'ends in a dot'],
  ['.. /x', 'ends in a dot or a space'],
  ['NUL', 'device name'],
  ['con.txt', 'device name'],
  ['a/COM1.tar.gz', 'device name'],
  ['lpt9', 'device name'],
  ['com\u00b9.txt', 'device name'],
  ['aux .txt', 'device name'],
  ['\ud800', 'well-formed'],
  ['x'.repeat(256), 'segment over 255 bytes'],
  ['é'.repeat(128), 'segment over 255 bytes'],
  [`${'a/'.repeat(400)}a`, 'over 768'],
])('refuses %.40j: %s', (path, problem) => {
  expect(() => assertSafeRelativePath(path, details)).toThrow(FormatError);
  expect(relativePathProblem(path)).toContain(problem);
});

it('an accepted path stays inside its folder on POSIX and on Windows', () => {
  const segment = fc.oneof(
    fc.constantFrom('..', '.', '', 'a', 'C:', '\\', '~', ' ', '.. ', 'nul'),
    fc.string({ maxLength: 4 }),
  );
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 5 }), (segments) => {
      const path = segments.join('/');
      if (relativePathProblem(path) !== undefined) return;
      expect(posix.join('/root/model', path)).toBe(`/root/model/${path}`);
      expect(win32.join('C:\\model', path)).toBe(`C:\\model\\${path.replaceAll('/', '\\')}`);
    }),
    { numRuns: 1000 },
  );
});

describe('paths that cannot both be written', () => {
  it.each([
    [['a', 'a']],
    [['Config.json', 'config.json']],
    [['a', 'a/b']],
    [['a/b', 'A']],
    [['a/b/c', 'x', 'a/b']],
    [['caf\u00e9', 'cafe\u0301']],
  ])('%j is a FormatError', (paths) => {
    expect(() => assertDistinctPaths(paths, details)).toThrow(FormatError);
  });

  it('siblings and shared folders are fine', () => {
    expect(() => assertDistinctPaths(['a/b', 'a/c', 'ab', 'a.b', 'b/a/b'], details)).not.toThrow();
  });
});

import { describe, expect, it } from 'vitest';
import { FormatError } from '../../formats/errors.js';
import { assertSafeRelativePath } from '../../formats/relative-path.js';

const details = { format: 'ere', file: 'a.ere' };

describe('assertSafeRelativePath', () => {
  for (const path of [
    'config.json',
    'a/b/c.txt',
    '.gitattributes',
    '...',
    'Ünïcode 模型.json',
    'a..b/c',
    'at 12:30.log',
  ]) {
    it(`takes ${path}`, () => {
      expect(() => assertSafeRelativePath(path, details)).not.toThrow();
    });
  }

  for (const [path, rule] of [
    ['', 'no empty segment'],
    ['/etc/passwd', 'a relative path'],
    ['..', 'no ".." segment'],
    ['a/../../b', 'no ".." segment'],
    ['./a', 'no "." segment'],
    ['a//b', 'no empty segment'],
    ['a/', 'no empty segment'],
    ['a\\b', 'POSIX separators, found a backslash'],
    ['C:/windows', 'no drive letter'],
    ['c:x', 'no drive letter'],
    ['a\0b', 'no control characters'],
    ['a\nb', 'no control characters'],
    ['\ud800', 'well-formed Unicode'],
    ['a'.repeat(5000), 'at most 4096 characters, found 5000'],
  ] as const) {
    it(`refuses ${JSON.stringify(path.slice(0, 20))}: ${rule}`, () => {
      expect(() => assertSafeRelativePath(path, details)).toThrow(FormatError);
      expect(() => assertSafeRelativePath(path, details)).toThrow(`expected ${rule}`);
    });
  }
});

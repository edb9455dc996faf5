import fc from 'fast-check';
import { expect, it } from 'vitest';
import { assertKey, assertPrefix, isKey, isUnder } from '../../src/store/keys.js';

it('a key has lower-case segments without a dot at their ends, and is at most 512 characters', () => {
  for (const key of [
    'a',
    'a/b',
    'a.b',
    '~1%2f=-_',
    'x'.repeat(255),
    `${'x'.repeat(255)}/${'y'.repeat(255)}`,
    'tmpx',
    'a/tmp',
  ]) {
    expect(isKey(key), key).toBe(true);
  }
  for (const key of [
    '',
    '/',
    'a/',
    '/a',
    'a//b',
    '.',
    'a/..',
    '.a',
    'a.',
    'A',
    'ä',
    'a b',
    'a\n',
    'a\\b',
    'tmp',
    'tmp/a',
  ]) {
    expect(isKey(key), key).toBe(false);
  }
  expect(isKey('x'.repeat(256))).toBe(false);
  expect(isKey(Array(257).fill('x').join('/'))).toBe(false);
});

it('a malformed key is named in the error, escaped and cut', () => {
  expect(() => assertKey(`A\n${'x'.repeat(1000)}`)).toThrow(/^expected a key: .{0,300}; got "A\\nx+…"$/);
  expect(() => assertKey(undefined as unknown as string)).toThrow(RangeError);
  expect(() => assertPrefix('')).not.toThrow();
  expect(() => assertPrefix('a/')).toThrow(RangeError);
});

it('a key is under its folders, and not under itself or what only begins alike', () => {
  expect(['', 'a', 'a/b'].map((prefix) => isUnder('a/b/c', prefix))).toEqual([true, true, true]);
  expect(['a/b/c', 'a/', 'a/b/'].map((prefix) => isUnder('a/b/c', prefix))).toEqual([false, false, false]);
  expect(isUnder('ab', 'a')).toBe(false);
});

it('no two keys are one on a file system that ignores case, nor leave their folder', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      if (!isKey(text)) return;
      expect(text.toLowerCase()).toBe(text);
      expect(text.split('/')).not.toContain('..');
      expect(new URL(text, 'file:///root/').pathname.startsWith('/root/')).toBe(true);
    }),
  );
});

it('is decided in time that grows with the length', () => {
  const start = performance.now();
  for (const long of [`${'.'.repeat(511)}`, `a${'.'.repeat(510)}`, `${'a.'.repeat(255)}`, 'a'.repeat(1e6)]) {
    expect(isKey(long)).toBe(false);
  }
  expect(performance.now() - start).toBeLessThan(500);
});

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { EXIT_CODES, exitCodeOf, exitStatus } from '../../cli/exit-codes.js';
import { NotFoundError } from '../../formats/errors.js';

test('the table in docs/guide/cli.md equals the function', () => {
  const text = readFileSync(new URL('../../../docs/guide/cli.md', import.meta.url), 'utf8');
  const rows = [...text.matchAll(/^\| (\d+) +\| `(\w+)` +\|/gm)].map(([, status, code]) => [
    code,
    Number(status),
  ]);
  expect(rows).toEqual(EXIT_CODES.map((code) => [code, exitStatus(code)]));
});

test('every code has a status of its own', () => {
  expect(new Set(EXIT_CODES.map(exitStatus)).size).toBe(EXIT_CODES.length);
});

test('an error that is not ours is unexpected, and an interruption outranks every error', () => {
  expect(exitCodeOf(new RangeError('x'))).toBe('ERE_UNEXPECTED');
  expect(exitCodeOf(undefined)).toBe('ERE_UNEXPECTED');
  expect(exitCodeOf(new NotFoundError('x'))).toBe('ERE_NOT_FOUND');
  expect(exitCodeOf(new NotFoundError('x'), 'SIGINT')).toBe('ERE_ABORTED');
});

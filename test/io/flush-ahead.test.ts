import { expect, test } from 'vitest';
import { flushAhead } from '../../src/io/flush-ahead.js';
import type { OutputFile } from '../../src/io/output-file.js';

const STEP = 256 << 20;

/** An output file that only counts flushes. */
function fakeFile(flush: () => Promise<void>): OutputFile {
  const nothing = async () => {};
  return { path: 'x', position: 0, write: nothing, writeAt: nothing, truncate: nothing, flush };
}

test('flushes every 256 MiB, and not while a flush runs', async () => {
  let count = 0;
  let release = () => {};
  const flush = () => {
    count++;
    return new Promise<void>((resolve) => {
      release = resolve;
    });
  };
  const ahead = flushAhead([fakeFile(flush)]);
  ahead.wrote(STEP - 1);
  expect(count).toBe(0);
  ahead.wrote(STEP);
  ahead.wrote(4 * STEP);
  expect(count).toBe(1);
  release();
  await ahead.settle();
  ahead.wrote(5 * STEP);
  expect(count).toBe(2);
  release();
  await ahead.settle();
});

test('an error of a flush is told at the end, though later ones succeed', async () => {
  let count = 0;
  const error = new Error('no space');
  const flush = async () => {
    if (count++ === 0) throw error;
  };
  const ahead = flushAhead([fakeFile(flush)]);
  ahead.wrote(STEP);
  await expect(ahead.settle()).rejects.toBe(error);
  ahead.wrote(2 * STEP);
  await expect(ahead.settle()).rejects.toBe(error);
});

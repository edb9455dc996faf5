import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { createProgressLine, progressText } from '../../cli/output/progress.js';
import { interruptSignal } from '../../cli/signals.js';
import { capturedStream } from './doubles.js';

const at = (doneByteLength: number, tensor = 'w') => ({
  phase: 'decode' as const,
  doneByteLength,
  totalByteLength: 1000,
  tensor,
});

test('nothing is written unless stderr is a terminal', () => {
  const stream = capturedStream();
  const line = createProgressLine(stream, false);
  line.onProgress(at(1));
  line.clear();
  expect(stream.text).toBe('');
});

test('nothing is written when quiet', () => {
  const stream = capturedStream({ isTTY: true });
  createProgressLine(stream, true).onProgress(at(1));
  expect(stream.text).toBe('');
});

test('redraws at most every 100 ms, and at once when the phase changes', () => {
  const stream = capturedStream({ isTTY: true });
  let nowMs = 0;
  const line = createProgressLine(stream, false, () => nowMs);
  const draws = () => stream.text.split('\r').length - 1;
  line.onProgress(at(1));
  nowMs = 50;
  line.onProgress(at(2));
  expect(draws()).toBe(1);
  nowMs = 101;
  line.onProgress(at(3));
  expect(draws()).toBe(2);
  line.onProgress({ ...at(4), phase: 'verify' });
  expect(draws()).toBe(3);
});

test('what is decoded while it is downloaded shows when the download is done, timed from its beginning', () => {
  const stream = capturedStream({ isTTY: true });
  let nowMs = 0;
  const line = createProgressLine(stream, false, () => nowMs);
  const shown = () => stream.text.split('\u001b[K').at(-1);
  line.onProgress({ ...at(500), phase: 'download' });
  nowMs = 1000;
  line.onProgress(at(100));
  expect(shown()).toMatch(/^download /);
  nowMs = 2000;
  line.onProgress({ ...at(1000), phase: 'download' });
  nowMs = 3000;
  line.onProgress(at(200));
  expect(shown()).toMatch(/^decode .* 100 B\/s /);
});

test('a line never fills the terminal, so that it can be erased', () => {
  const stream = capturedStream({ isTTY: true, columns: 40 });
  createProgressLine(stream, false).onProgress(at(1, 'x'.repeat(200)));
  expect(stream.text.replace('\r\u001b[K', '')).toHaveLength(39);
});

test('rate and time left appear once a second has passed', () => {
  expect(progressText(at(250), 999)).toBe('decode [#####---------------]   25 %  w');
  expect(progressText(at(250), 2000)).toBe('decode [#####---------------]   25 %  125 B/s  6.0 s left  w');
});

test('an empty checkpoint is done, not NaN', () => {
  expect(progressText({ ...at(0), totalByteLength: 0 }, 5000)).toContain('100 %');
});

test('the first signal aborts with its name, and its listener is gone for the second', () => {
  const process = new EventEmitter();
  const signal = interruptSignal(process);
  process.emit('SIGINT');
  expect([signal.aborted, signal.reason, process.listenerCount('SIGINT')]).toEqual([true, 'SIGINT', 0]);
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatBits,
  formatByteLength,
  formatCount,
  formatDecibel,
  formatDuration,
  formatRange,
  formatRelativeError,
  formatShare,
} from '../../src/report/numbers.js';

test.each([
  [0, '0 B'],
  [565, '565 B'],
  [999, '999 B'],
  [1000, '1.00 kB'],
  [9996, '10.0 kB'],
  [284_841, '285 kB'],
  [999_499, '999 kB'],
  [999_500, '1.00 MB'],
  [9_909_200, '9.91 MB'],
  [13_480_000_000, '13.5 GB'],
  [2e15, '2.00 PB'],
])('%d bytes read %s', (byteLength, text) => expect(formatByteLength(byteLength)).toBe(text));

describe('shares', () => {
  test.each([
    [0, '0 %'],
    [1e-9, '< 0.001 %'],
    [0.00013, '0.013 %'],
    [0.0013, '0.13 %'],
    [0.06, '6.0 %'],
    [0.0597, '6.0 %'],
    [0.9994, '99.9 %'],
    [0.9999, '> 99.9 %'],
    [1, '100.0 %'],
    [1.25, '125.0 %'],
    [Number.NaN, '–'],
  ])('%d reads %s', (share, text) => expect(formatShare(share)).toBe(text));

  test('only nothing reads as 0 %, and only all as 100 %', () => {
    fc.assert(
      fc.property(fc.double({ min: Number.MIN_VALUE, max: 1 - 2 ** -53, noNaN: true }), (share) => {
        expect(Number.parseFloat(formatShare(share).replace(/[<>] /, ''))).toBeGreaterThan(0);
        expect(formatShare(share)).not.toBe('100.0 %');
      }),
    );
  });
});

test.each([
  [0, '0'],
  [1, '1.00'],
  [0.6123, '0.612'],
  [0.0456, '0.0456'],
  [0.00012, '1.2e-4'],
  [12.34, '12.3'],
  [Number.NaN, '–'],
])('a relative error of %d reads %s', (error, text) => expect(formatRelativeError(error)).toBe(text));

test.each([
  [3.4, '3 ms'],
  [999.6, '1.0 s'],
  [4210, '4.2 s'],
  [59_960, '1 min 00 s'],
  [125_000, '2 min 05 s'],
])('%d ms read %s', (durationMs, text) => expect(formatDuration(durationMs)).toBe(text));

test('counts have separators and a plural', () => {
  expect([formatCount(1, 'tensor'), formatCount(0, 'tensor'), formatCount(1_234_567, 'tensor')]).toEqual([
    '1 tensor',
    '0 tensors',
    '1,234,567 tensors',
  ]);
});

test('a range of values that print alike is one value', () => {
  expect(formatRange(0.6121, 0.6123, formatRelativeError)).toBe('0.612');
  expect(formatRange(3, 12, String)).toBe('3–12');
});

test.each([
  [0, '0'],
  [0.9649, '0.96'],
  [16, '16'],
  [0.0131, '0.013'],
  [-0.02, '−0.02'],
  [4e-7, '4e-7'],
  [Number.NaN, '–'],
])('%d bits read %s', (bits, text) => expect(formatBits(bits)).toBe(text));

test.each([
  [6.94, '6.9'],
  [-0.3, '−0.3'],
  [-0.01, '0.0'],
  [Number.POSITIVE_INFINITY, '–'],
])('%d dB read %s', (decibel, text) => expect(formatDecibel(decibel)).toBe(text));

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  parseBits,
  parseByteLength,
  parseCost,
  parseCount,
  parseDuration,
  parseRelativeError,
  parseShare,
  parseWeight,
} from '../../cli/values.js';

describe('parseShare', () => {
  test.each([
    ['6%', 0.06],
    ['6 %', 0.06],
    ['0.06', 0.06],
    ['.5', 0.5],
    ['1', 1],
    ['100%', 1],
    ['0.5%', 0.005],
    ['1e-2', 0.01],
  ])('%s is %d', (text, share) => expect(parseShare(text)).toBeCloseTo(share, 12));

  test.each(['0', '0%', '-1', '101%', '1.01', '', '%', 'six', '6%%', '0x1', 'NaN', 'Infinity', '1,5'])(
    '%j is refused',
    (text) => {
      expect(() => parseShare(text)).toThrow(/Expected a share/);
    },
  );

  test('a percentage without its sign is asked about', () => {
    expect(() => parseShare('6')).toThrow('did you mean 6%?');
    expect(() => parseShare('600')).not.toThrow('did you mean');
  });
});

describe('parseByteLength', () => {
  test.each([
    ['12MB', 12_000_000],
    ['12 MB', 12_000_000],
    ['12mb', 12_000_000],
    ['1.5kB', 1500],
    ['800KiB', 819_200],
    ['1MiB', 1_048_576],
    ['2GiB', 2_147_483_648],
    ['3GB', 3_000_000_000],
    ['77B', 77],
    ['77', 77],
    ['1.9', 1],
  ])('%s is %i bytes', (text, byteLength) => expect(parseByteLength(text)).toBe(byteLength));

  test.each(['0', '0.4B', '', 'MB', '12XB', '12M', '-3MB', '1e3', '12 M B', '9e99', '99999999GB'])(
    '%j is refused',
    (text) => {
      expect(() => parseByteLength(text)).toThrow(/Expected a size/);
    },
  );

  test('never gives more than was asked', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10 ** 6 }),
        fc.integer({ min: 0, max: 999 }),
        (whole, thousandths) => {
          const text = `${whole}.${String(thousandths).padStart(3, '0')}`;
          expect(parseByteLength(`${text}KiB`)).toBeLessThanOrEqual((whole + thousandths / 1000) * 1024);
        },
      ),
    );
  });
});

describe('other values', () => {
  test('counts are whole and at least 1', () => {
    expect(parseCount('16')).toBe(16);
    for (const text of ['0', '-1', '1.5', '1e3', '', 'x', '99999999999999999999']) {
      expect(() => parseCount(text), text).toThrow('whole number of at least 1');
    }
  });

  test('bits are auto or 2 to 16', () => {
    expect([parseBits('auto'), parseBits('2'), parseBits('16')]).toEqual(['auto', 2, 16]);
    for (const text of ['1', '17', 'Auto', '4.5'])
      expect(() => parseBits(text), text).toThrow('from 2 to 16');
  });

  test('relative errors lie strictly between 0 and 1', () => {
    expect([parseRelativeError('0.3'), parseRelativeError('30%')]).toEqual([0.3, 0.3]);
    for (const text of ['0', '1', '100%', '-0.1', 'x'])
      expect(() => parseRelativeError(text), text).toThrow('relative error');
  });

  test.each([
    ['1h', 3_600_000],
    ['90 min', 5_400_000],
    ['2d', 172_800_000],
    ['30s', 30_000],
    ['1.5', 1500],
    ['0', 0],
  ])('%s is %i ms', (text, durationMs) => expect(parseDuration(text)).toBe(durationMs));

  test('durations are not negative and have a unit that is known', () => {
    for (const text of ['-1h', '1w', '1m', '', 'h', '1e3', '9e99']) {
      expect(() => parseDuration(text), text).toThrow('Expected a duration');
    }
  });

  test('costs are at least 1', () => {
    expect([parseCost('1'), parseCost('2.5')]).toEqual([1, 2.5]);
    for (const text of ['0.9', '-2', '', 'x', '1e999'])
      expect(() => parseCost(text), text).toThrow('at least 1');
  });

  test('weights run from 0 to 1', () => {
    expect([parseWeight('0'), parseWeight('0.25'), parseWeight('1')]).toEqual([0, 0.25, 1]);
    for (const text of ['1.1', '-0.1', 'x']) expect(() => parseWeight(text), text).toThrow('from 0 to 1');
  });

  test('no text makes a parser throw anything but its usage error, or return a number out of range', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        for (const [parse, low, high] of [
          [parseShare, 0, 1],
          [parseRelativeError, 0, 1],
          [parseWeight, 0, 1],
          [parseCount, 1, Number.MAX_SAFE_INTEGER],
          [parseByteLength, 1, Number.MAX_SAFE_INTEGER],
          [parseDuration, 0, Number.MAX_SAFE_INTEGER],
          [parseCost, 1, Number.MAX_VALUE],
        ] as const) {
          try {
            const value = parse(text);
            expect(value).toBeGreaterThanOrEqual(low);
            expect(value).toBeLessThanOrEqual(high);
          } catch (error) {
            expect(error).toMatchObject({ code: 'commander.invalidArgument' });
          }
        }
      }),
    );
  });
});

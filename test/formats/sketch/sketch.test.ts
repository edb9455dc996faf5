/** Which elements of a tensor a sketch has. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { elementCount } from '../../../formats/dtype.js';
import { MAX_SAMPLES, sampledRuns } from '../../../formats/sketch/sketch.js';

const shapes = fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 4 });

describe('sampledRuns', () => {
  it('lie inside the tensor, and are all of a small one', () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const count = elementCount(shape);
        const { starts, length } = sampledRuns(shape);
        if (count <= MAX_SAMPLES) {
          expect({ starts, length }).toEqual({ starts: count === 0 ? [] : [0], length: count });
          return;
        }
        expect(starts.length * length).toBe(MAX_SAMPLES);
        for (const start of starts) {
          expect(Number.isSafeInteger(start)).toBe(true);
          expect(start).toBeGreaterThanOrEqual(0);
          expect(start + length).toBeLessThanOrEqual(count);
        }
      }),
    );
  });

  it('do not leave a row of a matrix', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 5000 }), fc.integer({ min: 40, max: 5000 }), (rows, columns) => {
        for (const start of sampledRuns([rows, columns]).starts) {
          expect((start % columns) + 4).toBeLessThanOrEqual(columns);
        }
      }),
    );
  });

  it('are spread over rows and columns', () => {
    const { starts } = sampledRuns([4096, 11008]);
    const quarters = (of: (start: number) => number) =>
      new Set(starts.map((start) => Math.floor(4 * of(start))));
    expect(quarters((start) => Math.floor(start / 11008) / 4096).size).toBe(4);
    expect(quarters((start) => (start % 11008) / 11008).size).toBe(4);
    expect(new Set(starts).size).toBe(starts.length);
  });

  it('mostly stay where they are when rows are added', () => {
    const before = new Set(sampledRuns([32_000, 4096]).starts);
    const stayed = (rows: number) =>
      sampledRuns([rows, 4096]).starts.filter((start) => before.has(start)).length;
    expect(stayed(32_016)).toBeGreaterThanOrEqual(15);
    expect(stayed(33_000)).toBeGreaterThanOrEqual(13);
    expect(stayed(64_000)).toBeGreaterThanOrEqual(4);
  });

  it('are those that the specification lists', () => {
    expect(sampledRuns([1000, 1000])).toEqual({ starts: STARTS_1000, length: 4 });
    expect(sampledRuns([100]).starts).toEqual(STARTS_100);
  });
});

const STARTS_1000 = [
  248252, 2844, 282280, 486320, 38588, 742952, 294052, 299176, 577776, 392936, 673068, 753608, 705824, 414596,
  199016, 451668,
];
const STARTS_100 = [96, 88, 64, 76, 12, 0, 52, 84, 56, 24, 68, 80, 20, 32, 16, 44];

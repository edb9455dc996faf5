import { describe, expect, test } from 'vitest';
import { noiseEdge } from '../../src/allocation/gaussian-bound.js';
import { detectRoundingFloor } from '../../src/allocation/rounding-floor.js';

/** A product of rank 3 on rounding noise of variance 1, m × n; the noise as its edge tells. */
function model(fields: { singularValues?: readonly number[]; remainder?: number } = {}) {
  const [rows, columns] = [100, 80];
  const roundingEnergy = rows * columns;
  const edge = Math.sqrt(noiseEdge(rows, columns));
  const { singularValues = [9, 5, 2, 0.9, 0.8].map((share) => share * edge), remainder = roundingEnergy } =
    fields;
  const strong = singularValues.filter((sigma) => sigma > edge);
  const energy = strong.reduce((sum, sigma) => sum + sigma ** 2, remainder);
  return { rows, columns, energy, singularValues, roundingEnergy };
}

describe('the floor of rounding', () => {
  test('is reached by a product: its rank is what lies over the edge', () => {
    const floor = detectRoundingFloor(model());
    expect(floor?.rank).toBe(3);
    expect(floor?.remainder).toBeCloseTo(8000, 6);
  });

  test('is reached by a small update, of which less than the rounding variance is left', () => {
    expect(detectRoundingFloor(model({ remainder: 4000 }))?.rank).toBe(3);
  });

  test('is not reached when more than rounding is left', () => {
    expect(detectRoundingFloor(model({ remainder: 10_000 }))).toBeUndefined();
  });

  test('cannot be told while every known value is over the edge', () => {
    const { singularValues } = model();
    expect(detectRoundingFloor(model({ singularValues: singularValues.slice(0, 3) }))).toBeUndefined();
  });

  test('says nothing of a residual without a component: single ulps may be all that was trained', () => {
    expect(detectRoundingFloor(model({ singularValues: [1, 0.5], remainder: 100 }))).toBeUndefined();
  });

  test('is not looked for in dtypes without rounding', () => {
    expect(detectRoundingFloor({ ...model(), roundingEnergy: 0 })).toBeUndefined();
  });
});
